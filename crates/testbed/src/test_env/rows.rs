//! Rows in the databases: test data, and checks that rows and objects match.

use std::collections::BTreeSet;

use crd::ArxivQuery;
use sqlx::{AssertSqlSafe, Row};

use super::TestEnv;

/// Queries and results as the wire cases' setup `seeded` has them. The epoch row is locked first: otherwise this and the
/// operator, which advances the watermark of results, could deadlock.
pub const SEED: &str = "
    select from public.arxiv_results_epoch for update;
    truncate public.queries, public.results restart identity;
    insert into public.results (query_id, timestamp, result_number, author, title, journal)
      select 1, 1711843200, n + 1, 'A' || n, 'T' || n, case when n % 2 = 0 then 'J' || n else '' end
      from generate_series(0, 24) n;
    insert into public.queries (query_id, timestamp, status, num_results, num_entries, query) values
      (1, 1711843200, 200, 1234, 8, 'search_query=au:knuth&id_list=&start=0&max_results=8'),
      (2, 1711845000, 200, 5, 5, 'search_query=ti:Árvíz'),
      (3, 1711846800, 200, 0, 0, ''),
      (4, 1711850400, 200, 7, 7, null);";

/// The tables of a new installation, without rows.
pub const EMPTY: &str = "
    select from public.arxiv_results_epoch for update;
    truncate public.queries, public.results restart identity";

impl TestEnv {
    /// Runs statements in the main database, and waits until the replica has replayed them.
    pub async fn execute(&self, sql: &str) {
        let executed = self.primary().execute("arxiv", sql).await;
        executed.expect("statements that work");
        self.replicated().await;
    }

    /// Waits until the replica has replayed everything that the primary has written.
    pub async fn replicated(&self) {
        let replayed = self.stack.databases.replica.wait_replayed(self.primary()).await;
        replayed.expect("a replica");
    }

    /// Removes all stored pages and the cool-down that arXiv's throttling caused.
    pub async fn forget_pages(&self) {
        let sql = "truncate public.arxiv_pages; update public.arxiv_gate set cooldown_until = null, \
                   throttled_in_a_row = 0, next_slot = clock_timestamp()";
        let executed = self.primary().execute("arxiv_sequence", sql).await;
        executed.expect("statements that work");
    }

    /// The number of rows of a table, or of what follows `from` in a query.
    pub async fn count(&self, from: &str) -> i64 {
        let mut connection = self.primary().connect("arxiv").await.expect("a connection");
        let sql = AssertSqlSafe(format!("select count(*) from {from}"));
        let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        count.expect("a count")
    }

    /// The (`query_uid`, `query_id`) pairs of all rows of `queries` that belong to an object. Checks that each has exactly its
    /// results, and that there are no results without their query.
    pub async fn rows(&self) -> Vec<(String, i64)> {
        let mut connection = self.primary().connect("arxiv").await.expect("a connection");
        let rows = sqlx::query(
            "select q.query_uid::text, q.query_id, q.num_entries::int,
                    (select coalesce(array_agg(r.result_number::int order by r.result_number), '{}')
                     from public.results r where r.query_uid = q.query_uid and r.query_id = q.query_id)
             from public.queries q where q.query_uid is not null",
        )
        .fetch_all(&mut connection)
        .await
        .expect("rows");
        let orphans: i64 = sqlx::query_scalar(
            "select count(*) from public.results r where r.query_uid is not null and not exists
             (select from public.queries q where q.query_uid = r.query_uid and q.query_id = r.query_id)",
        )
        .fetch_one(&mut connection)
        .await
        .expect("a count");
        assert_eq!(orphans, 0, "results without their query");
        rows.iter()
            .map(|row| {
                let (uid, number, entries): (String, i64, i32) = (row.get(0), row.get(1), row.get(2));
                let results: Vec<i32> = row.get(3);
                assert_eq!(results, (0..entries).collect::<Vec<_>>(), "rows of {uid}");
                (uid, number)
            })
            .collect()
    }

    /// Checks that each of these objects has one row in `queries`, with a number that no other has and that its status
    /// shows, and all its results; and that there are no other rows.
    pub async fn assert_rows_of(&self, objects: &[ArxivQuery]) {
        let rows: BTreeSet<_> = self.rows().await.into_iter().collect();
        let expected: BTreeSet<_> = objects
            .iter()
            .map(|object| {
                let status = object.status.as_ref().expect("a status");
                assert_eq!(status.stored_results, Some(i64::from(object.spec.max_results)));
                (
                    object.metadata.uid.clone().expect("a uid"),
                    status.query_id.expect("a number"),
                )
            })
            .collect();
        let numbers: BTreeSet<_> = expected.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers.len(), objects.len(), "numbers are distinct");
        assert_eq!(rows, expected, "rows and objects");
    }
}
