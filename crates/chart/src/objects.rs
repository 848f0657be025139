//! Rendered objects.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The objects of one release.
#[derive(Debug)]
pub struct Objects(Vec<Value>);

impl Objects {
    /// Parses several YAML documents. A duplicate key is an error, and so are two objects with the same name.
    pub fn read(text: &str) -> Result<Self> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text)?;
        let objects: Vec<Value> = objects.into_iter().filter(|object| !object.is_null()).collect();
        let mut names: Vec<String> = objects.iter().map(full_name).collect();
        names.sort();
        if let Some([twice, ..]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("{twice} is there twice");
        }
        Ok(Self(objects))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// Those of a kind, sorted by name.
    pub fn of(&self, kind: &str) -> Vec<&Value> {
        let mut found: Vec<&Value> = self.0.iter().filter(|object| object["kind"] == kind).collect();
        found.sort_by_key(|object| object["metadata"]["name"].as_str());
        found
    }

    /// The names of those of a kind, sorted.
    pub fn names(&self, kind: &str) -> Vec<&str> {
        self.of(kind)
            .iter()
            .filter_map(|object| object["metadata"]["name"].as_str())
            .collect()
    }

    /// The one with this kind and name.
    pub fn get(&self, kind: &str, name: &str) -> Result<&Value> {
        let found = self
            .of(kind)
            .into_iter()
            .find(|object| object["metadata"]["name"] == name);
        found.with_context(|| format!("no {kind} {name}; there are {:?}", self.names(kind)))
    }

    /// The only one of a kind.
    pub fn only(&self, kind: &str) -> Result<&Value> {
        let found = self.of(kind);
        ensure!(found.len() == 1, "{} of kind {kind}", found.len());
        Ok(found[0])
    }
}

fn full_name(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!(
        "{} {}/{}",
        object["kind"], metadata["namespace"], metadata["name"]
    )
}
