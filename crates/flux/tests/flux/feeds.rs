//! The feeds in Git: those of the example's reading list, and changes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crd::{FeedCondition, FeedReason};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::gitops::{EXAMPLES, Gitops};

/// Each field that may be changed in place, except `suspend`, with a value that no default has.
pub(crate) fn every_field() -> Value {
    json!({
        "schedule": "30 5 * * MON", "timeZone": "America/New_York", "jitterSeconds": 60, "startingDeadlineSeconds": 3_600,
        "search": {"category": "math.CO", "title": "sunflower"}, "maxResultsPerRun": 500, "lookbackDays": 7,
        "initialItems": "Include", "revisions": "Ignore", "successfulQueriesHistoryLimit": 2,
        "failedQueriesHistoryLimit": 2, "itemRetentionDays": 30,
        "queryTemplate": {"metadata": {"labels": {"team": "a"}}, "spec": {"priority": 5}},
        "webhooks": [{"name": "chat", "url": "https://chat.example.org/new", "secretRef": {"name": "chat", "key": "secret"}}],
    })
}

/// The manifests of the folder `feeds`, by their names.
pub(crate) struct ReadingList(BTreeMap<String, Value>);

impl ReadingList {
    pub(crate) fn of_the_example() -> Self {
        let text = fs::read_to_string(format!("{EXAMPLES}/feeds/kustomization.yaml")).unwrap();
        let folder: Value = serde_saphyr::from_str(&text).unwrap();
        let files = folder["resources"].as_array().unwrap().iter();
        let manifests = files.map(|file| {
            let file = file.as_str().unwrap();
            let text = fs::read_to_string(format!("{EXAMPLES}/feeds/{file}")).unwrap();
            let manifest: Value = serde_saphyr::from_str(&text).unwrap();
            (file.trim_end_matches(".yaml").to_owned(), manifest)
        });
        Self(manifests.collect())
    }

    pub(crate) fn change(&mut self, name: &str, spec: &Value) {
        let manifest = self.0.get_mut(name).unwrap();
        for (field, value) in spec.as_object().unwrap() {
            manifest["spec"][field] = value.clone();
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name).unwrap();
    }

    /// Writes them into a copy of the examples. JSON is YAML.
    pub(crate) fn write(&self, examples: &Path) {
        let folder = examples.join("feeds");
        let files: Vec<_> = self.0.keys().map(|name| format!("{name}.yaml")).collect();
        let kustomization = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "reading-list",
            "resources": files,
        });
        fs::write(folder.join("kustomization.yaml"), kustomization.to_string()).unwrap();
        for (name, manifest) in &self.0 {
            fs::write(folder.join(format!("{name}.yaml")), manifest.to_string()).unwrap();
        }
    }

    /// The cluster has these feeds and no others, each with its present spec, scheduled or suspended.
    pub(crate) async fn assert_scheduled(&self, gitops: &Gitops) {
        let found = gitops.feeds.list(&ListParams::default()).await.unwrap().items;
        let names: Vec<_> = found.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, self.0.keys().map(String::as_str).collect::<Vec<_>>());
        for feed in &found {
            let name = feed.name_any();
            let spec = serde_json::to_value(&feed.spec).unwrap();
            for (field, value) in self.0[&name]["spec"].as_object().unwrap() {
                assert!(
                    includes(&spec[field], value),
                    "{name}: {field} is {}, not {value}",
                    spec[field]
                );
            }
            let status = feed.status.as_ref().unwrap();
            assert_eq!(status.observed_generation, feed.metadata.generation, "{name}");
            let ready = feed.condition(FeedCondition::Ready).unwrap();
            let reason = if feed.spec.suspend {
                FeedReason::Suspended
            } else {
                FeedReason::Scheduled
            };
            assert_eq!(
                (ready.status.as_str(), ready.reason.as_str()),
                ("True", reason.as_str()),
                "{name}"
            );
            assert!(feed.condition(FeedCondition::Stalled).is_none(), "{name}");
        }
    }
}

/// Whether a value has all that another has; defaults may be added.
fn includes(all: &Value, part: &Value) -> bool {
    match (all, part) {
        (Value::Object(all), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| all.get(name).is_some_and(|all| includes(all, part))),
        _ => all == part,
    }
}
