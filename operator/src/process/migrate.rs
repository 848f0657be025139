//! `arxiv-operator migrate`: a step of its own, with the owners' credentials.

use anyhow::Context;
use service::settings::{DatabaseUrl, Environment, SettingError, database_url, secret};
use storage::migrate::{MigrateSettings, RolePasswords, run};

/// What `--help` tells of the environment.
pub(crate) const HELP: &str = "\
Environment (each database also in parts: NAME_HOST, NAME_PORT, NAME_NAME, NAME_USER, NAME_PASSWORD or
NAME_PASSWORD_FILE instead of NAME_URL):
  DATABASE_OWNER_URL            owner of the database with queries and results
  DATABASE_SEQUENCE_OWNER_URL   owner of the database with the sequence, its ledger and the upstream gate
  DATABASE_QUERIES_OWNER_URL, DATABASE_RESULTS_OWNER_URL, DATABASE_UPSTREAM_OWNER_URL
                                where these are elsewhere
  ARXIV_RW_PASSWORD, ARXIV_RO_PASSWORD, ARXIV_SEQUENCE_PASSWORD, ARXIV_OPERATOR_PASSWORD,
  ARXIV_UPSTREAM_PASSWORD       for users that do not exist yet (each also as NAME_FILE)
  RETENTION_DAYS                removes queries and their results that were recorded for ArxivQuery objects so many days ago;
                                kept for ever unless set. Rows of other writers stay";

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
    let url = |prefix: &str| database_url(environment, prefix);
    let common = url("DATABASE_OWNER")?;
    let sequence = url("DATABASE_SEQUENCE_OWNER")?.ok_or_else(|| {
        SettingError::missing(
            "DATABASE_SEQUENCE_OWNER_URL",
            "it names the owner of the sequence database",
        )
    })?;
    let of_common = |prefix: &str| -> Result<DatabaseUrl, SettingError> {
        url(prefix)?.or_else(|| common.clone()).ok_or_else(|| {
            SettingError::missing(
                "DATABASE_OWNER_URL",
                "it names the owner of the database with queries and results",
            )
        })
    };
    let password = |name: &str| secret(environment, name);
    let retention_days = environment
        .get("RETENTION_DAYS")
        .map(|text| match text.parse::<i32>() {
            Ok(days) if days >= 1 => Ok(days),
            _ => Err(SettingError::invalid(
                "RETENTION_DAYS",
                "it has to be a whole number of days, 1 or more",
            )),
        })
        .transpose()?;
    Ok(MigrateSettings {
        retention_days,
        upstream_url: url("DATABASE_UPSTREAM_OWNER")?
            .as_ref()
            .unwrap_or(&sequence)
            .as_str()
            .to_owned(),
        queries_url: of_common("DATABASE_QUERIES_OWNER")?.as_str().to_owned(),
        results_url: of_common("DATABASE_RESULTS_OWNER")?.as_str().to_owned(),
        sequence_url: sequence.as_str().to_owned(),
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
    fn two_databases_are_the_rule_and_each_store_may_be_elsewhere() {
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
    fn rows_are_kept_for_ever_or_for_days() {
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
    fn what_is_missing_is_named() {
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
