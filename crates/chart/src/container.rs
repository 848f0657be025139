//! The pods that a release runs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Objects;

/// A pod template with its one container.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    /// Of the Deployment, Job or Pod.
    pub name: &'a str,
    /// Deployment, Job or Pod.
    pub kind: &'a str,
    /// The pod's metadata.
    pub metadata: &'a Value,
    /// The pod's spec.
    pub pod: &'a Value,
    /// The container.
    pub container: &'a Value,
}

impl<'a> Container<'a> {
    /// The environment: values as they are, references as `SECRET/KEY`; so is what a file of a projected volume is the value of.
    pub fn env(&self) -> BTreeMap<&'a str, String> {
        let list = self.container["env"].as_array();
        let files = self.projected_files();
        let value = |entry: &'a Value| {
            let name = entry["name"].as_str().unwrap_or_default();
            if let Some(setting) = name.strip_suffix("_FILE")
                && let Some(key) = entry["value"].as_str().and_then(|path| files.get(path))
            {
                return (setting, key.clone());
            }
            (name, plain(entry))
        };
        list.into_iter().flatten().map(value).collect()
    }

    /// The Secrets and keys of all credentials, as `SECRET/KEY`.
    pub fn credentials(&self) -> BTreeSet<String> {
        let list = self.container["env"].as_array();
        let references = list
            .into_iter()
            .flatten()
            .filter(|entry| entry["value"].is_null());
        references
            .map(plain)
            .chain(self.projected_files().into_values())
            .collect()
    }

    /// The keys of projected Secrets and `ConfigMap`s, as `SECRET/KEY`, by the path of their file.
    fn projected_files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let list = |value: &'a Value| value.as_array().into_iter().flatten();
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        for volume in list(&self.pod["volumes"]) {
            let mut mounts = list(&self.container["volumeMounts"]);
            let Some(mount) = mounts.find(|mount| mount["name"] == volume["name"]) else {
                continue;
            };
            for source in list(&volume["projected"]["sources"]) {
                let kind = ["secret", "configMap"]
                    .into_iter()
                    .find(|kind| source[kind].is_object());
                let source = &source[kind.unwrap_or_default()];
                for item in list(&source["items"]) {
                    let path = format!("{}/{}", text(&mount["mountPath"]), text(&item["path"]));
                    files.insert(path, format!("{}/{}", text(&source["name"]), text(&item["key"])));
                }
            }
        }
        files
    }

    /// The stores whose credentials it has: RW, RO, LEDGER, SEQUENCE, UPSTREAM and so on.
    pub fn stores(&self) -> Vec<String> {
        let forms = ["_URL", "_HOST"];
        self.env()
            .keys()
            .filter_map(|name| name.strip_prefix("DATABASE_"))
            .filter_map(|name| forms.iter().find_map(|form| name.strip_suffix(form)))
            .map(str::to_owned)
            .collect()
    }
}

/// A variable's value, or the Secret and key that it is in.
fn plain(entry: &Value) -> String {
    if let Some(value) = entry["value"].as_str() {
        return value.to_owned();
    }
    let reference = &entry["valueFrom"]["secretKeyRef"];
    let part = |key: &str| reference[key].as_str().unwrap_or_default();
    format!("{}/{}", part("name"), part("key"))
}

/// The operator's pod, if the release has one.
pub fn operator(objects: &Objects) -> Option<Container<'_>> {
    let mut pods = pods(objects).into_iter();
    pods.find(|pod| pod.container["name"] == "operator")
}

/// Every pod of a release.
pub fn pods(objects: &Objects) -> Vec<Container<'_>> {
    let template = |object: &'_ Value| object["spec"].get("template").is_some();
    objects
        .iter()
        .filter_map(|object| {
            let kind = object["kind"].as_str()?;
            let name = object["metadata"]["name"].as_str()?;
            let (metadata, pod) = match kind {
                "Pod" => (&object["metadata"], &object["spec"]),
                _ if template(object) => (
                    &object["spec"]["template"]["metadata"],
                    &object["spec"]["template"]["spec"],
                ),
                _ => return None,
            };
            let container = pod["containers"].as_array()?.first()?;
            Some(Container {
                name,
                kind,
                metadata,
                pod,
                container,
            })
        })
        .collect()
}
