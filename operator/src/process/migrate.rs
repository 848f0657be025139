//! `arxiv-operator migrate`: prepares the databases, with their owners' credentials.

use anyhow::Context;
use databases::{Store, Tables};
use service::settings::{Environment, SettingError, secret};
use storage::migrate::{MigrateSettings, RolePasswords, run};

/// The part of `--help` about the environment.
pub(crate) const HELP: &str = "\
Environment (each database also in parts: NAME_HOST, NAME_PORT, NAME_NAME, NAME_USER, NAME_PASSWORD
instead of NAME_URL; each also in a file: NAME_URL_FILE, NAME_PASSWORD_FILE, …):
  DATABASE_OWNER_URL            owner of the database with queries and results
  DATABASE_SEQUENCE_OWNER_URL   owner of the database with the sequence, its ledger and the upstream gate
  DATABASE_QUERIES_OWNER_URL, DATABASE_RESULTS_OWNER_URL, DATABASE_UPSTREAM_OWNER_URL
                                where these are in another database
  ARXIV_RW_PASSWORD, ARXIV_RO_PASSWORD, ARXIV_SEQUENCE_PASSWORD, ARXIV_OPERATOR_PASSWORD,
  ARXIV_UPSTREAM_PASSWORD       for users that do not exist yet (each also as NAME_FILE)
  DATABASE_SSLMODE, DATABASE_CA_FILE
                                how servers are verified, and by which CA (a file, or `system`); with a CA, the
                                mode is verify-full unless it is set. For one database NAME_SSLMODE, NAME_CA_FILE
  RETENTION_DAYS                removes queries and their results that were recorded for ArxivQuery objects so many
                                days ago; not set, they are kept for ever. Rows of other writers are always kept";

/// Prepares all stores.
pub(crate) async fn migrate() -> anyhow::Result<()> {
    let settings = settings(&Environment::of_process())?;
    run(&settings, &|step| service::notice!("{step}"))
        .await
        .context("the databases are not prepared; it is safe to run this again")?;
    service::notice!("the databases are prepared");
    Ok(())
}

fn settings(environment: &Environment) -> Result<MigrateSettings, SettingError> {
    let url = |store: Store| store.url(environment)?.current();
    let sequence_url = url(Store::SequenceOwner)?;
    let tables = Tables::read(environment, Store::QueriesOwner, Store::ResultsOwner)?;
    let password = |name: &str| secret(environment, name);
    let retention_days = match environment.get("RETENTION_DAYS").map(|text| text.parse()) {
        None => None,
        Some(Ok(days)) if days >= 1 => Some(days),
        Some(_) => {
            let problem = "it has to be a whole number of days, 1 or more";
            return Err(SettingError::invalid("RETENTION_DAYS", problem));
        }
    };
    Ok(MigrateSettings {
        retention_days,
        sequence_url,
        upstream_url: url(Store::UpstreamOwner)?,
        queries_url: tables.queries.current()?,
        results_url: tables.results.current()?,
        passwords: RolePasswords {
            arxiv_rw: password("ARXIV_RW_PASSWORD")?,
            arxiv_ro: password("ARXIV_RO_PASSWORD")?,
            arxiv_sequence: password("ARXIV_SEQUENCE_PASSWORD")?,
            arxiv_operator: password("ARXIV_OPERATOR_PASSWORD")?,
            arxiv_upstream: password("ARXIV_UPSTREAM_PASSWORD")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_without_own_url_uses_the_url_of_its_database() {
        let common = [
            ("DATABASE_OWNER_URL", "postgresql://o@h/arxiv"),
            ("DATABASE_SEQUENCE_OWNER_URL", "postgresql://o@h/arxiv_sequence"),
        ];
        let urls = |extra: &[(&str, &str)]| {
            let all = common.iter().chain(extra).copied();
            let settings = settings(&Environment::given(all)).unwrap();
            [
                settings.sequence_url,
                settings.upstream_url,
                settings.queries_url,
                settings.results_url,
            ]
        };
        let (arxiv, sequence) = ("postgresql://o@h/arxiv", "postgresql://o@h/arxiv_sequence");
        assert_eq!(urls(&[]), [sequence, sequence, arxiv, arxiv]);
        let elsewhere = "postgresql://o@other/d";
        assert_eq!(
            urls(&[
                ("DATABASE_RESULTS_OWNER_URL", elsewhere),
                ("DATABASE_UPSTREAM_OWNER_URL", elsewhere)
            ]),
            [sequence, elsewhere, arxiv, elsewhere]
        );
    }

    #[test]
    fn retention_is_a_positive_number_of_days_or_unset() {
        let common = [
            ("DATABASE_OWNER_URL", "postgresql://o@h/arxiv"),
            ("DATABASE_SEQUENCE_OWNER_URL", "postgresql://o@h/arxiv_sequence"),
        ];
        for (given, days) in [
            ("", Ok(None)),
            ("30", Ok(Some(30))),
            ("0", Err(())),
            ("-1", Err(())),
            ("a month", Err(())),
        ] {
            let given = [("RETENTION_DAYS", given)];
            let settings = settings(&Environment::given(common.into_iter().chain(given)));
            assert_eq!(
                settings.map(|settings| settings.retention_days).map_err(drop),
                days,
                "{given:?}"
            );
        }
    }

    #[test]
    fn missing_setting_is_named() {
        for (given, missing) in [
            (None, "DATABASE_SEQUENCE_OWNER_URL is not set"),
            (
                Some(("DATABASE_SEQUENCE_OWNER_URL", "postgresql://o@h/s")),
                "DATABASE_OWNER_URL is not set",
            ),
        ] {
            let error = settings(&Environment::given(given)).err().unwrap().to_string();
            assert!(error.starts_with(missing), "{error}");
        }
    }
}
