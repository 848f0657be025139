//! The pods that a release runs.

use std::collections::BTreeMap;

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
    /// The environment: values as they are, references as `SECRET/KEY`.
    pub fn env(&self) -> BTreeMap<&'a str, String> {
        let list = self.container["env"].as_array();
        let value = |entry: &Value| {
            if let Some(value) = entry["value"].as_str() {
                return value.to_owned();
            }
            let reference = &entry["valueFrom"]["secretKeyRef"];
            let part = |key: &str| reference[key].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", part("name"), part("key"))
        };
        list.into_iter()
            .flatten()
            .filter_map(|entry| Some((entry["name"].as_str()?, value(entry))))
            .collect()
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
