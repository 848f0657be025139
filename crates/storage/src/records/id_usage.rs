//! How much of the ids is used: the existing tables have 32 bits for them.

use super::Records;
use crate::{
    StorageError,
    connection::{Kind, Session},
};

/// The narrower of column and sequence is the limit.
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
    /// Reads how much of the ids is used.
    pub async fn id_usage(&self) -> Result<IdUsage, StorageError> {
        let used = async |pool, sql: &'static str| {
            Session::run(pool, Kind::Statement, async |session| {
                let used = session.query_as::<(f64,)>(sql);
                Ok(used.fetch_one(session.conn()).await?.0)
            })
            .await
        };
        Ok(IdUsage {
            queries: used(&self.queries, used!("public.queries")).await?,
            results: used(self.results(), used!("public.results")).await?,
        })
    }
}
