//! Feeds: when they run, what their runs are, and what their status says.

mod chat;
mod faults;
mod history;
mod many;
mod namespaces;
mod pages;
mod refusals;
mod schedules;
mod states;
mod transfer;
mod webhooks;
mod year;

use crd::{ArxivFeed, ArxivFeedStatus, ArxivQuery, FEED_LABEL, FeedCondition};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, Resource,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use testbed::{
    TestEnv,
    arxiv::Behaviour,
    stack::Options,
    test_env::{LIMIT, within},
};

/// A system whose arXiv finds five papers for every search.
async fn start() -> Feeds {
    start_with(&[("SWEEP_INTERVAL_SECONDS", "1")]).await
}

/// The same with these environment variables.
async fn start_with(environment: &[(&str, &str)]) -> Feeds {
    let mut options = Options::operator_only();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    options.environment.extend(environment);
    let env = TestEnv::start(options).await;
    let found = Behaviour {
        total: Some(5),
        ..Behaviour::default()
    };
    env.stack.arxiv().unwrap().set(found);
    in_system(env)
}

fn in_system(env: TestEnv) -> Feeds {
    let api = Api::namespaced(env.kube.clone(), env.stack.namespace());
    Feeds { env, api }
}

/// One version as an item: its position, its paper, and its version.
type Item = (i64, String, i32);

/// The feeds of a system's namespace.
struct Feeds {
    env: TestEnv,
    api: Api<ArxivFeed>,
}

/// A schedule with one time a day, and its last time: about half an hour ago.
fn half_an_hour_ago() -> (String, Timestamp) {
    ago(30)
}

/// A schedule with one time a day, and its last time: about so many minutes ago.
fn ago(minutes: i64) -> (String, Timestamp) {
    let time = Timestamp::now() - SignedDuration::from_mins(minutes);
    let time = Timestamp::from_second(time.as_second() / 60 * 60).unwrap();
    let at = time.to_zoned(TimeZone::UTC);
    (format!("{} {} * * *", at.minute(), at.hour()), time)
}

impl Feeds {
    /// Creates a feed with a search of its own.
    async fn create(&self, name: &str, spec: Value) -> ArxivFeed {
        let mut object = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivFeed",
            "metadata": {"name": name}, "spec": {"schedule": "@yearly", "search": {"author": name}},
        });
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        let object = serde_json::from_value(object).unwrap();
        self.api.create(&PostParams::default(), &object).await.unwrap()
    }

    async fn patch_spec(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// As if the last run had been so many minutes ago. Times that a test would have to wait for are in the past then.
    async fn backdate(&self, name: &str, minutes: i64) {
        let time = Timestamp::now() - SignedDuration::from_mins(minutes);
        let time = Timestamp::from_second(time.as_second()).unwrap();
        let patch = Patch::Merge(json!({"status": {"lastScheduleTime": time.to_string()}}));
        self.api
            .patch_status(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Waits until the status fulfils a condition, which `what` describes.
    async fn status_when(
        &self,
        name: &str,
        what: &str,
        mut holds: impl FnMut(&ArxivFeed, &ArxivFeedStatus) -> bool,
    ) -> ArxivFeed {
        let mut last = None;
        let found = within(LIMIT, async || {
            let feed = self.api.get(name).await.ok()?;
            last.clone_from(&feed.status);
            let status = feed.status.clone()?;
            holds(&feed, &status).then_some(feed)
        });
        let found = found.await;
        found.unwrap_or_else(|| panic!("{name} is not {what}: {last:?}\n{}", self.env.operator_logs()))
    }

    /// Waits until the operator has seen the present spec.
    async fn observed(&self, name: &str) -> ArxivFeed {
        let is_observed = |feed: &ArxivFeed, status: &ArxivFeedStatus| {
            status.observed_generation == feed.metadata.generation
        };
        self.status_when(name, "observed", is_observed).await
    }

    /// The runs of a feed, by name.
    async fn runs(&self, name: &str) -> Vec<ArxivQuery> {
        let of_feed = ListParams::default().labels(&format!("{FEED_LABEL}={name}"));
        self.env.queries.list(&of_feed).await.unwrap().items
    }

    /// Waits until there is a run; returns it.
    async fn run(&self, name: &str) -> ArxivQuery {
        let found = within(LIMIT, async || self.runs(name).await.pop()).await;
        found.unwrap_or_else(|| panic!("{name} has no run\n{}", self.env.operator_logs()))
    }

    /// Creates an object that is a run of the feed, for a scheduled time of before.
    async fn create_run(&self, feed: &ArxivFeed, minutes: i64, suspend: bool) -> ArxivQuery {
        let name = feed.metadata.name.as_deref().unwrap();
        let run = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery",
            "metadata": {
                "name": format!("{name}-{minutes}"), "labels": {FEED_LABEL: name},
                "ownerReferences": [feed.controller_owner_ref(&()).unwrap()],
            },
            "spec": {"search": {"author": "earlier"}, "suspend": suspend},
        });
        self.env
            .create_object(&serde_json::from_value(run).unwrap())
            .await
    }

    /// The items of a feed, in their order.
    async fn versions(&self, name: &str) -> Vec<Item> {
        let items = sqlx::query_as(
            "select position, paper, version from public.arxiv_feed_items i join public.arxiv_feeds f using (feed_uid)
             where f.name = $1 order by position",
        );
        let mut connection = self.env.primary().connect("arxiv").await.unwrap();
        items.bind(name).fetch_all(&mut connection).await.unwrap()
    }

    /// Waits until a gauge has this value: feeds are counted every few seconds.
    async fn until_gauge(&self, name: &str, value: f64) {
        let mut last = 0.0;
        let reached = within(LIMIT, async || {
            last = self.env.metric(name).await;
            ((last - value).abs() < 0.5).then_some(())
        });
        assert!(reached.await.is_some(), "{name} is {last}, not {value}");
    }

    /// Waits until the feed's Events have these reasons among them.
    async fn until_events(&self, name: &str, reasons: &[&str]) {
        let events: Api<Event> = Api::namespaced(self.env.kube.clone(), self.env.stack.namespace());
        let mut last = Vec::new();
        let found = within(LIMIT, async || {
            let all = events.list(&ListParams::default()).await.ok()?.items;
            let of_feed = all.into_iter().filter(|event| {
                let regarding = event.regarding.as_ref();
                regarding.is_some_and(|object| {
                    object.kind.as_deref() == Some("ArxivFeed") && object.name.as_deref() == Some(name)
                })
            });
            last = of_feed.filter_map(|event| event.reason).collect();
            reasons
                .iter()
                .all(|reason| last.iter().any(|seen| seen == reason))
                .then_some(())
        });
        assert!(
            found.await.is_some(),
            "{name} has Events {last:?}, not {reasons:?}"
        );
    }
}

/// Status and reason of a condition.
fn condition(feed: &ArxivFeed, type_: FeedCondition) -> Option<(&str, &str)> {
    let condition = feed.condition(type_)?;
    Some((&condition.status, &condition.reason))
}
