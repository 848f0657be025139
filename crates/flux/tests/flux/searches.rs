//! The searches in Git: those of the example, and changes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::gitops::EXAMPLES;

/// The `nameSuffix` of the overlay that the example syncs.
const SUFFIX: &str = "-2026-11";

/// The object's name of a search in Git.
pub(crate) fn name(search: &str) -> String {
    format!("{search}{SUFFIX}")
}

/// The manifests of `queries.yaml`, by their names.
pub(crate) struct Searches(BTreeMap<String, Value>);

impl Searches {
    pub(crate) fn of_the_example() -> Self {
        let text = fs::read_to_string(format!("{EXAMPLES}/kustomize/base/queries.yaml")).unwrap();
        let manifests = text.split("\n---\n").map(|text| {
            let manifest: Value = serde_saphyr::from_str(text).unwrap();
            (
                manifest["metadata"]["name"].as_str().unwrap().to_owned(),
                manifest,
            )
        });
        Self(manifests.collect())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn add(&mut self, name: &str, spec: &Value) {
        let manifest = json!({"apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery",
            "metadata": {"name": name}, "spec": spec});
        self.0.insert(name.to_owned(), manifest);
    }

    pub(crate) fn change(&mut self, name: &str, spec: &Value) {
        let manifest = self.0.get_mut(name).unwrap();
        for (field, value) in spec.as_object().unwrap() {
            manifest["spec"][field] = value.clone();
        }
    }

    pub(crate) fn annotate(&mut self, name: &str, annotation: &str, value: &str) {
        self.0.get_mut(name).unwrap()["metadata"]["annotations"][annotation] = value.into();
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name).unwrap();
    }

    /// Writes them into a copy of the examples. JSON is YAML.
    pub(crate) fn write(&self, examples: &Path) {
        let manifests: Vec<_> = self.0.values().map(Value::to_string).collect();
        fs::write(
            examples.join("kustomize/base/queries.yaml"),
            manifests.join("\n---\n"),
        )
        .unwrap();
    }
}
