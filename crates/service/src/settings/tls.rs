//! How a database server is verified.
//!
//! The mode is `sslmode` of the URL, else `PREFIX_SSLMODE`, else `DATABASE_SSLMODE`, else `PGSSLMODE`. The file with the
//! server's certificate authority (CA) is `sslrootcert` of the URL, else `PREFIX_CA_FILE`, else `DATABASE_CA_FILE`, else
//! `PGSSLROOTCERT`; `system` in place of a file means the authorities that the system trusts. With a CA and no mode, the
//! mode is `verify-full`. libpq checks the CA in mode `require` too, which sqlx does not: with a CA, `require` becomes
//! `verify-ca`.

use url::Url;

use super::{Environment, SettingError};

/// In place of a file: the authorities that the system trusts.
const SYSTEM: &str = "system";
/// The names of the URL's parameters, as sqlx knows them.
const MODES: [&str; 2] = ["sslmode", "ssl-mode"];
const ROOTS: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];

/// Puts the mode and the CA into the URL, so that nothing else decides about them.
pub(super) fn complete(url: &mut Url, environment: &Environment, prefix: &str) -> Result<(), SettingError> {
    let in_url = |names: &[&str]| {
        let found = url.query_pairs().find(|(key, _)| names.contains(&&**key));
        found.map(|(key, value)| (format!("{prefix}_URL ({key})"), value.into_owned()))
    };
    let variable = |name: String| environment.get(&name).map(|value| (name, value));
    let mode = in_url(&MODES)
        .or_else(|| variable(format!("{prefix}_SSLMODE")))
        .or_else(|| variable("DATABASE_SSLMODE".into()))
        .or_else(|| variable("PGSSLMODE".into()));
    let own_ca = in_url(&ROOTS).or_else(|| variable(format!("{prefix}_CA_FILE")));
    let ca = own_ca
        .clone()
        .or_else(|| variable("DATABASE_CA_FILE".into()))
        .or_else(|| variable("PGSSLROOTCERT".into()));
    if environment.get("PGSSLROOTCERT").as_deref() == Some(SYSTEM) {
        // sqlx takes it for the name of a file.
        return Err(SettingError::invalid(
            "PGSSLROOTCERT",
            "has to be a file; set DATABASE_CA_FILE to system",
        ));
    }
    let (setting, mode) = match (mode, &ca) {
        (Some((setting, mode)), _) => (setting, mode.to_ascii_lowercase()),
        (None, Some((setting, _))) => (setting.clone(), "verify-full".to_owned()),
        (None, None) => return Ok(()),
    };
    let mode = match (mode.as_str(), &ca) {
        ("verify-ca" | "verify-full", None) => {
            let problem = format!(
                "{mode} needs the server's CA: set {prefix}_CA_FILE to its certificate, or to {SYSTEM} for the authorities \
                 that the system trusts"
            );
            return Err(SettingError::invalid(&setting, problem));
        }
        ("disable" | "allow" | "prefer", _) if own_ca.is_some() => {
            let problem =
                format!("{mode} verifies no server, but there is a CA: leave the mode out for verify-full");
            return Err(SettingError::invalid(&setting, problem));
        }
        ("require", Some(_)) => "verify-ca",
        (mode @ ("disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full"), _) => mode,
        _ => {
            let problem = "is none of disable, allow, prefer, require, verify-ca and verify-full";
            return Err(SettingError::invalid(&setting, problem));
        }
    };
    let verifies = mode.starts_with("verify");
    let file = ca.map(|(_, file)| file).filter(|file| verifies && file != SYSTEM);
    let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    pairs.retain(|(key, _)| !MODES.contains(&key.as_str()) && !ROOTS.contains(&key.as_str()));
    pairs.push((MODES[0].into(), mode.into()));
    pairs.extend(file.map(|file| (ROOTS[0].into(), file)));
    url.query_pairs_mut().clear().extend_pairs(pairs);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::database_url;

    /// A URL, further variables, and the URL or error that is expected.
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    );

    const PLAIN: &str = "postgresql://u@h/d";

    fn complete_url(url: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let all = [("DB_URL", url)].into_iter().chain(variables.iter().copied());
        let url = database_url(&Environment::given(all), "DB");
        url.map(|url| url.unwrap().as_str().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn server_with_a_ca_is_verified_unless_a_mode_is_given() {
        let cases: &[Case] = &[
            (PLAIN, &[], PLAIN),
            (
                PLAIN,
                &[("DB_CA_FILE", "/ca")],
                "postgresql://u@h/d?sslmode=verify-full&sslrootcert=%2Fca",
            ),
            (
                PLAIN,
                &[("DATABASE_CA_FILE", "/ca"), ("PGSSLROOTCERT", "/other")],
                "postgresql://u@h/d?sslmode=verify-full&sslrootcert=%2Fca",
            ),
            (
                PLAIN,
                &[("PGSSLROOTCERT", "/ca")],
                "postgresql://u@h/d?sslmode=verify-full&sslrootcert=%2Fca",
            ),
            (
                PLAIN,
                &[("DB_CA_FILE", "/own"), ("PGSSLROOTCERT", "/ca")],
                "postgresql://u@h/d?sslmode=verify-full&sslrootcert=%2Fown",
            ),
            (
                "postgresql://u@h/d?sslrootcert=/ca",
                &[],
                "postgresql://u@h/d?sslmode=verify-full&sslrootcert=%2Fca",
            ),
            (
                PLAIN,
                &[("DB_CA_FILE", "system")],
                "postgresql://u@h/d?sslmode=verify-full",
            ),
            (
                PLAIN,
                &[("DB_CA_FILE", "/ca"), ("DB_SSLMODE", "verify-ca")],
                "postgresql://u@h/d?sslmode=verify-ca&sslrootcert=%2Fca",
            ),
            (
                PLAIN,
                &[("DB_CA_FILE", "/ca"), ("PGSSLMODE", "require")],
                "postgresql://u@h/d?sslmode=verify-ca&sslrootcert=%2Fca",
            ),
            (
                PLAIN,
                &[("PGSSLMODE", "require")],
                "postgresql://u@h/d?sslmode=require",
            ),
            (
                "postgresql://u@h/d?sslmode=disable",
                &[("PGSSLROOTCERT", "/ca"), ("PGSSLMODE", "verify-full")],
                "postgresql://u@h/d?sslmode=disable",
            ),
            (
                "postgresql://u@h/d?connect_timeout=3&ssl-mode=require",
                &[],
                "postgresql://u@h/d?connect_timeout=3&sslmode=require",
            ),
        ];
        for (url, variables, expected) in cases {
            assert_eq!(
                complete_url(url, variables).as_deref(),
                Ok(*expected),
                "{url} {variables:?}"
            );
        }
    }

    #[test]
    fn mode_that_does_not_go_with_the_ca_is_refused_at_the_start() {
        let cases: &[Case] = &[
            (
                "postgresql://u@h/d?sslmode=verify-full",
                &[],
                "DB_URL (sslmode): verify-full needs the server's CA",
            ),
            (
                PLAIN,
                &[("PGSSLMODE", "verify-ca")],
                "PGSSLMODE: verify-ca needs the server's CA",
            ),
            (
                PLAIN,
                &[("DB_CA_FILE", "/ca"), ("DB_SSLMODE", "prefer")],
                "DB_SSLMODE: prefer verifies no server",
            ),
            (
                PLAIN,
                &[("PGSSLROOTCERT", "system")],
                "PGSSLROOTCERT: has to be a file",
            ),
            (PLAIN, &[("DB_SSLMODE", "on")], "DB_SSLMODE: is none of disable"),
        ];
        for (url, variables, expected) in cases {
            let error = complete_url(url, variables).unwrap_err();
            assert!(error.starts_with(expected), "{url} {variables:?}: {error}");
        }
    }
}
