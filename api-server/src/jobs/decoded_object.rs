//! Objects as the watch gets them.

use std::borrow::Cow;

use crd::{ArxivQuery, QueryWithoutManagedFields};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::PartialObjectMeta};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// An object, or why it cannot be decoded: one that a newer version has written must not stop the watch.
///
/// kube's `DeserializeGuard` does the same for any format, by way of a tree that it copies for each object. This is for JSON, and for
/// events that begin with their type, as Kubernetes sends them: serde would have to keep the object as a tree until it is known.
#[derive(Clone, Debug)]
pub(crate) struct DecodedObject(pub(crate) Result<ArxivQuery, Undecodable>);

/// An object that cannot be decoded.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Undecodable {
    error: String,
    pub(crate) metadata: ObjectMeta,
}

impl<'de> Deserialize<'de> for DecodedObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let decoded = match serde_json::from_str::<QueryWithoutManagedFields>(json.get()) {
            Ok(object) => Ok(object.into()),
            Err(error) => {
                let PartialObjectMeta::<ArxivQuery> { metadata, .. } =
                    serde_json::from_str(json.get()).map_err(de::Error::custom)?;
                let error = error.to_string();
                Err(Undecodable { error, metadata })
            }
        };
        Ok(Self(decoded))
    }
}

impl Resource for DecodedObject {
    type DynamicType = ();
    type Scope = <ArxivQuery as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        ArxivQuery::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        ArxivQuery::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        ArxivQuery::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        ArxivQuery::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(error) => &error.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(error) => &mut error.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::{ResourceExt, api::WatchEvent};
    use serde_json::json;

    use super::*;

    fn event(spec: &serde_json::Value) -> serde_json::Result<WatchEvent<DecodedObject>> {
        let object = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1",
            "kind": "ArxivQuery",
            "metadata": {"name": "a", "resourceVersion": "7"},
            "spec": spec,
        });
        serde_json::from_str(&format!(r#"{{"type":"ADDED","object":{object}}}"#))
    }

    #[test]
    fn event_has_the_object_or_why_it_cannot_be_decoded_with_its_metadata() {
        for (spec, words) in [
            (json!({"search": {"title": "x"}}), None),
            (json!({"search": {"title": 7}}), Some("expected a string")),
            (json!("x"), Some("invalid type")),
        ] {
            let Ok(WatchEvent::Added(object)) = event(&spec) else {
                panic!("no event of {spec}");
            };
            assert_eq!(object.name_any(), "a", "{spec}");
            assert_eq!(object.resource_version().as_deref(), Some("7"), "{spec}");
            let error = object.0.err().map(|error| error.to_string());
            let has_words = |words| error.as_deref().is_some_and(|error: &str| error.contains(words));
            assert_eq!(error.is_some(), words.is_some(), "{spec}: {error:?}");
            assert!(words.is_none_or(has_words), "{spec}: {error:?}");
        }
    }
}
