//! `ArxivQuery` objects: creating them and waiting for their status.

use std::time::Duration;

use crd::{ArxivQuery, ArxivQuerySpec, ArxivQueryStatus, ArxivSearch, Phase};
use futures::{StreamExt, stream};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{LIMIT, TestEnv, within};

impl TestEnv {
    /// Creates an object.
    pub async fn create(&self, name: &str, spec: ArxivQuerySpec) -> ArxivQuery {
        self.create_object(&ArxivQuery::new(name, spec)).await
    }

    /// Creates an object with metadata of its own.
    pub async fn create_object(&self, object: &ArxivQuery) -> ArxivQuery {
        let created = self.queries.create(&PostParams::default(), object).await;
        created.expect("the object is accepted")
    }

    /// Creates objects `PREFIX0` to `PREFIXn`, each with a different search.
    pub async fn create_many(&self, prefix: &str, count: usize) {
        self.create_each(prefix, count, search).await;
    }

    /// Creates objects `PREFIX0` to `PREFIXn` with the spec for each name, at most 8 at a time: more would starve a small machine
    /// of time for everything else, such as renewing a lease.
    pub async fn create_each(&self, prefix: &str, count: usize, spec: impl Fn(&str) -> ArxivQuerySpec) {
        stream::iter(0..count)
            .map(async |i| {
                let name = format!("{prefix}{i}");
                self.create(&name, spec(&name)).await
            })
            .buffer_unordered(8)
            .for_each(|_| async {})
            .await;
    }

    /// Changes fields of an object's `spec` (a merge patch).
    pub async fn patch_spec(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let patched = self.queries.patch(name, &PatchParams::default(), &patch).await;
        patched.expect("the change is accepted");
    }

    /// All objects of the namespace.
    pub async fn objects(&self) -> Vec<ArxivQuery> {
        let list = self.queries.list(&ListParams::default()).await;
        list.expect("a list").items
    }

    /// The status of an object.
    pub async fn status(&self, name: &str) -> ArxivQueryStatus {
        let object = self.queries.get(name).await.expect("the object exists");
        object.status.expect("the API server gives it a status")
    }

    /// Waits until the query has ended.
    pub async fn finished(&self, name: &str) -> ArxivQueryStatus {
        self.status_when(name, "finished", |status| status.phase.is_final())
            .await
    }

    /// Waits until the status fulfils a condition, which `what` describes.
    pub async fn status_when(
        &self,
        name: &str,
        what: &str,
        mut holds: impl FnMut(&ArxivQueryStatus) -> bool,
    ) -> ArxivQueryStatus {
        let mut last = None;
        let found = within(LIMIT, async || {
            // The API server may be restarting.
            let Ok(object) = self.queries.get(name).await else {
                return None;
            };
            last = object.status;
            last.clone().filter(|status| holds(status))
        })
        .await;
        found.unwrap_or_else(|| panic!("{name} is not {what}: {last:?}\n{}", self.operator_logs()))
    }

    /// Waits until at least `count` objects are in this phase.
    pub async fn until_in_phase(&self, phase: Phase, count: usize) -> Vec<ArxivQuery> {
        let selector = ListParams::default().fields(&format!("status.phase={phase}"));
        let mut last = 0;
        // Each takes a few writes.
        let limit = LIMIT + Duration::from_millis(200) * u32::try_from(count).expect("a small count");
        let found = within(limit, async || {
            let items = self.queries.list(&selector).await.ok()?.items;
            last = items.len();
            (items.len() >= count).then_some(items)
        })
        .await;
        found.unwrap_or_else(|| panic!("{last} of {count} are {phase}\n{}", self.operator_logs()))
    }

    /// Waits until the object's Events have exactly these reasons, in any order.
    pub async fn until_events(&self, name: &str, reasons: &[&str]) {
        let events: Api<Event> = Api::namespaced(self.kube.clone(), self.stack.namespace());
        let mut expected = reasons.to_vec();
        expected.sort_unstable();
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
            (last == expected).then_some(())
        })
        .await;
        assert!(
            found.is_some(),
            "{name} has Events {last:?}, not {expected:?}\n{}",
            self.operator_logs()
        );
    }
}

/// A search for one word in the title, with two results.
pub fn search(word: &str) -> ArxivQuerySpec {
    let word: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
    ArxivQuerySpec {
        search: ArxivSearch {
            title: Some(word),
            ..ArxivSearch::default()
        },
        max_results: 2,
        ..ArxivQuerySpec::default()
    }
}
