//! How much of the ids is used up: the existing tables give them 32 bits.

use sqlx::PgPool;

use super::Records;
use crate::{StorageError, connect::bounded, session::Session};

/// The narrower of column and sequence is the end.
macro_rules! used {
    ($table:literal) => {
        concat!(
            "select greatest(coalesce((select max(id) from ", $table, "), 0), 0)::float8 / least(
               (select case atttypid when 'pg_catalog.int4'::regtype then 2147483647 else 9223372036854775807 end
                from pg_catalog.pg_attribute where attrelid = '", $table, "'::regclass and attname = 'id'),
               (select seqmax from pg_catalog.pg_sequence
                where seqrelid = pg_get_serial_sequence('", $table, "', 'id')::regclass))"
        )
    };
}

/// What part of their ids the tables have given, each between 0 and 1. Rows that are deleted give none back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdUsage {
    /// Of `queries`.
    pub queries: f64,
    /// Of `results`.
    pub results: f64,
}

impl Records {
    /// Looks up how much of the ids is used up.
    pub async fn id_usage(&self) -> Result<IdUsage, StorageError> {
        let results = if self.split { &self.results } else { &self.queries };
        bounded(async {
            Ok(IdUsage {
                queries: used(&self.queries, used!("public.queries")).await?,
                results: used(results, used!("public.results")).await?,
            })
        })
        .await
    }
}

async fn used(pool: &PgPool, sql: &'static str) -> Result<f64, StorageError> {
    let mut session = Session::statement(pool).await?;
    let (used,): (f64,) = session.query_as(sql).fetch_one(session.conn()).await?;
    session.commit().await?;
    Ok(used)
}
