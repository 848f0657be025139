//! `null` removes a default: where a value is needed, the chart refuses it by name; elsewhere it is as empty.

use chart::{folder, refusal, render};
use serde_json::{Map, Value, json};

/// Where null has a meaning of its own, or is the same as empty.
const OPTIONAL: [&str; 4] = [
    "retention.days",
    "apiServer.replicas",
    "migrations.ttlSecondsAfterFinished",
    "httpRoute.timeouts",
];

fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

/// What the schema says of a value, with its references resolved; and the keys that have to be there.
fn resolve<'a>(schema: &'a Value, part: &'a Value) -> (&'a Value, Vec<&'a str>) {
    let mut required: Vec<&str> = part["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let inner = part["allOf"].get(0).unwrap_or(part);
    let Some(reference) = inner["$ref"].as_str() else {
        return (part, required);
    };
    let (target, more) = resolve(schema, schema.pointer(reference.trim_start_matches('#')).unwrap());
    required.extend(more);
    (target, required)
}

/// The values with null for each needed value, and those with null for each other one.
#[derive(Default)]
struct Nulls {
    needed: Map<String, Value>,
    others: Map<String, Value>,
    paths: Vec<String>,
}

/// Goes through one section of the values; collections without fixed keys are values.
fn nulls(schema: &Value, part: &Value, values: &Value, path: &str) -> Nulls {
    let (target, required) = resolve(schema, part);
    let mut found = Nulls::default();
    for (key, value) in values.as_object().unwrap() {
        let own = format!("{path}{key}");
        let section = resolve(schema, &target["properties"][key]).0["properties"].is_object();
        let is_needed = required.contains(&key.as_str());
        if section && is_needed && value.as_object().is_some_and(|value| !value.is_empty()) {
            let inner = nulls(schema, &target["properties"][key], value, &format!("{own}."));
            found.needed.insert(key.clone(), inner.needed.into());
            found.others.insert(key.clone(), inner.others.into());
            found.paths.extend(inner.paths);
        } else if is_needed {
            found.needed.insert(key.clone(), Value::Null);
            found.paths.push(own);
        } else {
            found.others.insert(key.clone(), Value::Null);
        }
    }
    found
}

fn all() -> Nulls {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    nulls(&schema, &schema, &values, "")
}

#[test]
fn null_for_a_needed_value_is_refused_by_its_name() {
    let found = all();
    assert!(found.paths.len() > 150, "{}", found.paths.len());
    let message = refusal(&Value::Object(found.needed).to_string()).unwrap();
    for path in found.paths {
        let key = path.rsplit('.').next().unwrap();
        assert!(message.contains(&format!("'{key}'")), "{path}: {message}");
    }
    let sections: Map<String, Value> = serde_saphyr::from_str::<Value>(&read("values.yaml"))
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| !["enabled", "global"].contains(&key.as_str()))
        .map(|key| (key.clone(), Value::Null))
        .collect();
    let message = refusal(&Value::Object(sections.clone()).to_string()).unwrap();
    for section in sections.keys() {
        assert!(message.contains(&format!("'{section}'")), "{section}: {message}");
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.contains("<nil>"),
        Value::Array(list) => list.iter().any(has_null),
        Value::Object(map) => map.values().any(has_null),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[test]
fn null_for_any_other_value_leaves_no_trace_in_objects() {
    let found = all();
    for path in OPTIONAL {
        let pointer = format!("/{}", path.replace('.', "/"));
        let others = Value::Object(found.others.clone());
        assert_eq!(others.pointer(&pointer), Some(&Value::Null), "{path}");
    }
    for mode in ["external", "cnpg"] {
        let mut values = Value::Object(found.others.clone());
        values["postgres"]["mode"] = mode.into();
        values["ingress"] = json!({"enabled": true});
        values["httpRoute"]["enabled"] = true.into();
        values["httpRoute"]["parentRefs"] = json!([{"name": "public"}]);
        values["monitoring"] = json!({"dashboard": {"enabled": true}, "serviceMonitor": {"enabled": true}, "prometheusRule": {"enabled": true}});
        let objects = render(&values.to_string()).unwrap();
        for object in objects
            .iter()
            .filter(|object| object["kind"] != "CustomResourceDefinition")
        {
            assert!(!has_null(object), "{object}");
        }
    }
}
