//! Periodic work on the tables: the removal of what is old, the settled watermark, and the use of ids.

use uuid::Uuid;

use super::{Ending, Records, ending};
use crate::{
    StorageError,
    connection::{Kind, Lock, Session, bounded},
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

/// What part of their ids the tables have given, each between 0 and 1: the existing tables have 32 bits for them. Rows that are
/// deleted give none back.
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
                Ok(session.query_scalar(sql).fetch_one(session.conn()).await?)
            })
            .await
        };
        Ok(IdUsage {
            queries: used(&self.queries, used!("public.queries")).await?,
            results: used(self.results(), used!("public.results")).await?,
        })
    }

    /// The id of the installation whose rows these are: that of the database of `queries`, and of each copy of it.
    pub async fn installation(&self) -> Result<Uuid, StorageError> {
        Session::run(&self.queries, Kind::Statement, async |session| {
            let id = session.query_scalar("select id from public.arxiv_installation");
            Ok(id.fetch_one(session.conn()).await?)
        })
        .await
    }

    /// Advances the settled watermark of `results` (up to which id no row will be added any more) as far as it can; to be called
    /// again and again.
    pub async fn advance_watermark(&self) -> Result<(), StorageError> {
        Session::run(self.results(), Kind::Statement, async |session| {
            let advance = session.query("select public.advance_results_watermark()");
            advance.execute(session.conn()).await?;
            Ok(())
        })
        .await
    }

    /// Deletes tombstones that are a week old; how many.
    pub async fn prune_tombstones(&self) -> Result<u64, StorageError> {
        Session::run(&self.queries, Kind::Statement, async |session| {
            let prune = session.query_scalar("select public.prune_query_tombstones()");
            count(prune.fetch_one(session.conn()).await?)
        })
        .await
    }

    /// Removes some of the oldest records past the age that the databases' owner has set; how many objects' they were. To be
    /// repeated until it is none. Where no age is set, nothing is removed.
    ///
    /// No reader ever sees half of a record: on one server all of it is removed in one transaction; on two the row in `queries`, by
    /// which readers know of it, is removed first, and if a crash leaves its results, the sweeper removes them.
    pub async fn expire(&self) -> Result<usize, StorageError> {
        bounded(async {
            let mut session = Session::open(&self.queries, Kind::Transaction).await?;
            let expire = session.query_scalar::<Uuid>("select public.expire_queries()");
            let uids = expire.fetch_all(session.conn()).await?;
            if let Some(results) = &self.results {
                session.commit().await?;
                session = Session::open(results, Kind::Transaction).await?;
            }
            let sweep = session.query("select public.sweep_results(uid) from unnest($1::uuid[]) uid");
            sweep.bind(&uids).execute(session.conn()).await?;
            session.commit().await?;
            Ok(uids.len())
        })
        .await
    }

    /// For the sweeper of split servers: uids after `after`, in order, at most `limit`, that have results older than an hour
    /// and no row in `queries`, and where to continue (none at the end). Nothing when not split.
    pub async fn unfinished(
        &self,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Uuid>, Option<Uuid>), StorageError> {
        let Some(results) = &self.results else {
            return Ok((Vec::new(), None));
        };
        bounded(async {
            let page = Session::run(results, Kind::Statement, async |session| {
                // From uid to uid through the unique index, not over all rows of each.
                let page = session.query_as::<(Uuid, bool)>(
                    "with recursive uids as (
                       (select query_uid, recorded_at, 1 as n from public.results where query_uid > $1 order by query_uid limit 1)
                       union all
                       select next.query_uid, next.recorded_at, n + 1 from uids, lateral (
                         select query_uid, recorded_at from public.results r where r.query_uid > uids.query_uid
                         order by r.query_uid limit 1) next
                       where n < $2)
                     select query_uid, recorded_at < clock_timestamp() - interval '1 hour' from uids order by query_uid",
                );
                // No object has the nil uid.
                let page = page.bind(after.unwrap_or(Uuid::nil())).bind(i64::from(limit));
                Ok(page.fetch_all(session.conn()).await?)
            });
            let page = page.await?;
            let is_full = page.len() >= limit as usize;
            let next = page.last().map(|(uid, _)| *uid).filter(|_| is_full);
            let old: Vec<Uuid> = page
                .into_iter()
                .filter_map(|(uid, is_old)| is_old.then_some(uid))
                .collect();
            let without = Session::run(&self.queries, Kind::Statement, async |session| {
                let without = session.query_scalar(
                    "select uid from unnest($1::uuid[]) uid
                     where not exists (select from public.queries where query_uid = uid)",
                );
                Ok(without.bind(old).fetch_all(session.conn()).await?)
            });
            Ok((without.await?, next))
        })
        .await
    }

    /// Deletes such results of an object that no longer exists; how many. Whether it has a row in `queries` is checked once more,
    /// under the lock that recording takes.
    pub async fn sweep(&self, uid: Uuid) -> Result<u64, StorageError> {
        let Some(results) = &self.results else {
            return Ok(0);
        };
        Session::run_locked(&self.queries, &[Lock::of_uid(uid)], async |fence| {
            if matches!(ending::find(fence, uid).await?, Some(Ending::Recorded(_))) {
                return Ok(0);
            }
            Session::run(results, Kind::Statement, async |session| {
                let sweep = session.query_scalar("select public.sweep_results($1)");
                count(sweep.bind(uid).fetch_one(session.conn()).await?)
            })
            .await
        })
        .await
    }
}

fn count(rows: i64) -> Result<u64, StorageError> {
    u64::try_from(rows).map_err(|_| StorageError::Unreadable)
}
