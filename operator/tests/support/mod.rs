//! What the integration tests share: the whole stack, objects, rows, and waiting with a limit.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    future::Future,
    sync::Once,
    time::{Duration, Instant},
};

use arxiv::arxiv_day;
use crd::{ArxivQuery, ArxivQuerySpec, ArxivQueryStatus, Phase};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::Value;
use sqlx::Row;
use testbed::{
    Postgres, Stack,
    stack::{Options, Service},
};

/// Long enough for a machine with other tests on it.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// One operator, no API server, and no leader election: the next start need not wait for a killed one's lease to run out,
/// and where there are two operators, both work.
pub(crate) fn options() -> Options {
    Options {
        api_servers: Vec::new(),
        environment: vec![("LEADER_ELECTION".into(), "false".into())],
        ..Options::default()
    }
}

/// A running stack and the admin's way to its objects.
pub(crate) struct Bed {
    pub(crate) stack: Stack,
    pub(crate) client: Client,
    pub(crate) queries: Api<ArxivQuery>,
}

impl Bed {
    pub(crate) async fn start(options: Options) -> Self {
        static CRYPTO: Once = Once::new();
        CRYPTO.call_once(|| {
            // The testbed may have been faster.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let stack = Stack::start(options).await.expect("the stack starts");
        let client = stack.control_plane().client().await.expect("a client");
        let queries = Api::namespaced(client.clone(), stack.namespace());
        Self {
            stack,
            client,
            queries,
        }
    }

    pub(crate) fn operator(&self) -> &Service {
        &self.stack.operators[0]
    }

    pub(crate) fn primary(&self) -> &Postgres {
        &self.stack.databases.primary
    }

    pub(crate) async fn create(&self, name: &str, spec: ArxivQuerySpec) -> ArxivQuery {
        self.create_object(&ArxivQuery::new(name, spec)).await
    }

    pub(crate) async fn create_object(&self, object: &ArxivQuery) -> ArxivQuery {
        self.queries
            .create(&PostParams::default(), object)
            .await
            .expect("the object is accepted")
    }

    /// Objects `PREFIX0` to `PREFIXn`, each with a search of its own, at most 8 requests at once: more keep a small machine
    /// from everything else, such as the renewal of a lease.
    pub(crate) async fn create_many(&self, prefix: &str, count: usize) {
        stream::iter(0..count)
            .map(async |i| {
                let name = format!("{prefix}{i}");
                self.create(&name, search(&name)).await
            })
            .buffer_unordered(8)
            .for_each(|_| async {})
            .await;
    }

    pub(crate) async fn status(&self, name: &str) -> ArxivQueryStatus {
        let object = self.queries.get(name).await.expect("the object is there");
        object.status.expect("the API server gives it a status")
    }

    /// Waits until the query is at an end.
    pub(crate) async fn finished(&self, name: &str) -> ArxivQueryStatus {
        self.status_when(name, "finished", |status| status.phase.is_final())
            .await
    }

    pub(crate) async fn status_when(
        &self,
        name: &str,
        what: &str,
        mut holds: impl FnMut(&ArxivQueryStatus) -> bool,
    ) -> ArxivQueryStatus {
        let mut last = None;
        let found = within(LIMIT, async || {
            // An API server that restarts is waited for.
            let Ok(object) = self.queries.get(name).await else {
                return None;
            };
            last = object.status;
            last.clone().filter(|status| holds(status))
        })
        .await;
        found.unwrap_or_else(|| panic!("{name} is not {what}: {last:?}\n{}", self.logs()))
    }

    /// Waits until so many objects are in this phase.
    pub(crate) async fn until_in_phase(&self, phase: Phase, count: usize) -> Vec<ArxivQuery> {
        let selector = ListParams::default().fields(&format!("status.phase={phase}"));
        let mut last = 0;
        // Each takes a few writes.
        let limit = LIMIT + Duration::from_millis(200) * u32::try_from(count).expect("not so many");
        let found = within(limit, async || {
            let items = self.queries.list(&selector).await.ok()?.items;
            last = items.len();
            (items.len() >= count).then_some(items)
        })
        .await;
        found.unwrap_or_else(|| panic!("{last} of {count} are {phase}\n{}", self.logs()))
    }

    /// Waits until the Events on this object have these reasons, in any order.
    pub(crate) async fn until_events(&self, name: &str, reasons: &[&str]) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), self.stack.namespace());
        let mut wanted = reasons.to_vec();
        wanted.sort_unstable();
        let mut last = Vec::new();
        let found = within(LIMIT, async || {
            let all = events.list(&ListParams::default()).await.ok()?.items;
            let of_object = all.into_iter().filter(|event| {
                event
                    .regarding
                    .as_ref()
                    .is_some_and(|object| object.name.as_deref() == Some(name))
            });
            last = of_object.filter_map(|event| event.reason).collect();
            last.sort_unstable();
            (last == wanted).then_some(())
        })
        .await;
        assert!(
            found.is_some(),
            "{name} has Events {last:?}, not {wanted:?}\n{}",
            self.logs()
        );
    }

    pub(crate) fn logs(&self) -> String {
        self.stack
            .operators
            .iter()
            .map(|operator| operator.child().log_tail())
            .collect()
    }

    /// All rows there are, as (`query_uid`, `query_id`) pairs of `queries`, after a check that each has its results.
    pub(crate) async fn rows(&self) -> Vec<(String, i64)> {
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
        let strays: i64 = sqlx::query_scalar(
            "select count(*) from public.results r where r.query_uid is not null and not exists
             (select from public.queries q where q.query_uid = r.query_uid and q.query_id = r.query_id)",
        )
        .fetch_one(&mut connection)
        .await
        .expect("a count");
        assert_eq!(strays, 0, "results without their query");
        rows.iter()
            .map(|row| {
                let (uid, number, entries): (String, i64, i32) = (row.get(0), row.get(1), row.get(2));
                let results: Vec<i32> = row.get(3);
                assert_eq!(results, (0..entries).collect::<Vec<_>>(), "rows of {uid}");
                (uid, number)
            })
            .collect()
    }

    /// Each of these objects has one row in `queries` with a number of its own, the one in its status, and all results;
    /// and there are no other rows.
    pub(crate) async fn assert_rows_of(&self, objects: &[ArxivQuery]) {
        let rows: BTreeSet<_> = self.rows().await.into_iter().collect();
        let told: BTreeSet<_> = objects
            .iter()
            .map(|object| {
                let status = object.status.as_ref().expect("a status");
                assert_eq!(status.num_entries, Some(i64::from(object.spec.max_results)));
                (
                    object.metadata.uid.clone().expect("a uid"),
                    status.query_id.expect("a number"),
                )
            })
            .collect();
        let numbers: BTreeSet<_> = told.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers.len(), objects.len(), "numbers are distinct");
        assert_eq!(rows, told, "rows and objects");
    }

    /// What a service answers at a path: status and body.
    pub(crate) async fn get(&self, service: &Service, path: &str) -> Option<(u16, String)> {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client
            .get(service.url().join(path).expect("a path"))
            .send()
            .await
            .ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.ok()?))
    }

    /// Waits until the operator is not ready for a reason that holds this text.
    pub(crate) async fn until_missing(&self, need: &str, text: &str) {
        let mut last = None;
        let found = within(LIMIT, async || {
            last = self.get(self.operator(), "/readyz").await;
            let (status, body) = last.as_ref()?;
            let body: Value = serde_json::from_str(body).ok()?;
            let reason = body["reasons"][need].as_str()?;
            (*status == 503 && reason.contains(text)).then_some(())
        })
        .await;
        assert!(
            found.is_some(),
            "not ready because of {need}: {text}; last answer {last:?}\n{}",
            self.logs()
        );
    }

    /// The value of a metric of the first operator, given as it is exposed (`name{labels}`).
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        self.metric_of(self.operator(), name).await.expect("metrics")
    }

    /// Waits until a counter of the first operator has this value: it is counted after its cause can be seen.
    pub(crate) async fn until_metric(&self, name: &str, value: f64) {
        let mut last = None;
        let reached = within(LIMIT, async || {
            last = self.metric_of(self.operator(), name).await;
            last.filter(|last| *last > value - 0.5)
        })
        .await;
        assert!(
            reached.is_some_and(|reached| reached < value + 0.5),
            "{name} is {last:?}, not {value}\n{}",
            self.logs()
        );
    }

    /// The value of a metric; 0 if it is not there yet, None if the service is not.
    pub(crate) async fn metric_of(&self, service: &Service, name: &str) -> Option<f64> {
        let (_, text) = self.get(service, "/metrics").await?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(line.map_or(0.0, |value| value.parse().expect("a number")))
    }
}

/// Waits until arXiv's day lasts long enough for a test: a page is for one day.
pub(crate) async fn on_one_day() {
    const TEST: Duration = Duration::from_mins(3);
    let lasts = within(TEST + LIMIT, async || {
        let now = Timestamp::now();
        (arxiv_day(now) == arxiv_day(now + TEST)).then_some(())
    });
    assert!(lasts.await.is_some(), "there is no new day");
}

/// A search for one word, with two results.
pub(crate) fn search(word: &str) -> ArxivQuerySpec {
    let word: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
    ArxivQuerySpec {
        title: Some(word),
        max_results: 2,
        ..ArxivQuerySpec::default()
    }
}

/// Asks until there is an answer or the time is over.
pub(crate) async fn within<T>(limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Does this for each, so many at once.
pub(crate) async fn for_each<T, F: Future<Output = kube::Result<()>>>(
    items: impl IntoIterator<Item = T>,
    at_once: usize,
    each: impl Fn(T) -> F,
) {
    stream::iter(items)
        .map(each)
        .buffer_unordered(at_once)
        .try_collect::<Vec<_>>()
        .await
        .expect("all of them");
}
