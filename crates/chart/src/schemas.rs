//! JSON schemas of Kubernetes' objects, from its `OpenAPI` document and from resource definitions.
//!
//! They are strict: a field that is not known is an error, as it is for an API server with `--validate=strict`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const DEFINITIONS: &str = "#/definitions/";
/// Keys of a schema that constrain values.
const KEPT: [&str; 18] = [
    "$ref",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "required",
    "type",
    "uniqueItems",
    "format",
];

/// The schema of a kind of Kubernetes itself, with all its references; nothing if there is no such kind.
///
/// `openapi` is the document that k8s.io/kubernetes has as `api/openapi-spec/swagger.json` (`OpenAPI` v2).
pub fn of_kubernetes(openapi: &Value, api_version: &str, kind: &str) -> Option<Value> {
    let definitions = openapi["definitions"].as_object()?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let is_it = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| *kinds == [json!({"group": group, "kind": kind, "version": version})])
    };
    let (name, _) = definitions.iter().find(|(_, schema)| is_it(schema))?;
    let mut used = BTreeSet::new();
    let mut todo = vec![name.clone()];
    while let Some(name) = todo.pop() {
        if let Some(schema) = definitions.get(&name).filter(|_| !used.contains(&name)) {
            references(schema, &mut todo);
            used.insert(name);
        }
    }
    let used: Map<String, Value> = used
        .into_iter()
        .map(|name| {
            let schema = match name.rsplit('.').next() {
                // 1 and "1" are the same quantity; the document has only the stored form.
                Some("Quantity") => json!({"type": ["string", "number"]}),
                _ => strict(&definitions[&name]),
            };
            (name, schema)
        })
        .collect();
    Some(json!({"$ref": format!("{DEFINITIONS}{name}"), "definitions": used}))
}

/// The group, version, kind and schema of each version that a `CustomResourceDefinition` serves.
pub fn of_definition(definition: &Value) -> Vec<(String, String, Value)> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let served = |version: &Value| {
        let api_version = format!("{}/{}", text(&spec["group"]), text(&version["name"]));
        let mut schema = strict(&version["schema"]["openAPIV3Schema"]);
        // The fields of every object are not always listed.
        for (key, of) in [
            ("apiVersion", "string"),
            ("kind", "string"),
            ("metadata", "object"),
        ] {
            schema["properties"][key] = json!({"type": of});
        }
        (api_version, text(&spec["names"]["kind"]), schema)
    };
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions.map(served).collect()
}

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let reference = map.get("$ref").and_then(Value::as_str);
            found.extend(
                reference
                    .and_then(|text| text.strip_prefix(DEFINITIONS))
                    .map(str::to_owned),
            );
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn strict(schema: &Value) -> Value {
    convert(schema, true)
}

/// `closed`: whether unknown fields are refused. Not inside of `anyOf` and the like, which describe only a part.
fn convert(schema: &Value, closed: bool) -> Value {
    let Some(schema) = schema.as_object() else {
        return schema.clone();
    };
    let says = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    let mut out = Map::new();
    for (key, value) in schema {
        let converted = match key.as_str() {
            "properties" => value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), convert(schema, closed)))
                .collect::<Map<_, _>>()
                .into(),
            "items" | "additionalProperties" => convert(value, closed),
            "not" => convert(value, false),
            "allOf" | "anyOf" | "oneOf" => value
                .as_array()
                .into_iter()
                .flatten()
                .map(|schema| convert(schema, false))
                .collect(),
            key if KEPT.contains(&key) => value.clone(),
            _ => continue,
        };
        out.insert(key.clone(), converted);
    }
    if says("x-kubernetes-int-or-string") || out.get("format") == Some(&json!("int-or-string")) {
        out.insert("type".into(), json!(["string", "integer"]));
    }
    // Kubernetes' formats (sizes of numbers, times) differ from JSON schema's.
    out.remove("format");
    let open = says("x-kubernetes-preserve-unknown-fields") || says("x-kubernetes-embedded-resource");
    if closed && !open && out.contains_key("properties") && !out.contains_key("additionalProperties") {
        out.insert("additionalProperties".into(), false.into());
    }
    match out.get("type").cloned() {
        Some(Value::String(one)) if says("nullable") => {
            out.insert("type".into(), json!([one, "null"]));
        }
        _ => {}
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_of_kind_includes_only_its_references() {
        let openapi = json!({"definitions": {
            "io.Thing": {
                "x-kubernetes-group-version-kind": [{"group": "apps", "kind": "Thing", "version": "v1"}],
                "description": "a thing",
                "type": "object",
                "properties": {"size": {"$ref": "#/definitions/io.Quantity"}, "port": {"$ref": "#/definitions/io.IntOrString"}},
            },
            "io.Quantity": {"type": "string"},
            "io.IntOrString": {"type": "string", "format": "int-or-string"},
            "io.Other": {"type": "object"},
        }});
        let schema = of_kubernetes(&openapi, "apps/v1", "Thing").unwrap();
        assert_eq!(
            schema,
            json!({"$ref": "#/definitions/io.Thing", "definitions": {
                "io.Thing": {
                    "type": "object",
                    "properties": {"size": {"$ref": "#/definitions/io.Quantity"}, "port": {"$ref": "#/definitions/io.IntOrString"}},
                    "additionalProperties": false,
                },
                "io.Quantity": {"type": ["string", "number"]},
                "io.IntOrString": {"type": ["string", "integer"]},
            }})
        );
        assert!(of_kubernetes(&openapi, "v1", "Thing").is_none());
    }

    #[test]
    fn schema_of_definition_rejects_unknown_fields_by_default() {
        let cases = [
            (
                json!({"type": "object", "properties": {"a": {"type": "integer", "format": "int32", "nullable": true}}}),
                json!({"type": "object", "properties": {"a": {"type": ["integer", "null"]}}, "additionalProperties": false}),
            ),
            (
                json!({"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": true}),
                json!({"type": "object", "properties": {}}),
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "string", "description": "x"}}),
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
            ),
            (
                json!({"anyOf": [{"properties": {"a": {}}, "required": ["a"]}], "x-kubernetes-int-or-string": true}),
                json!({"anyOf": [{"properties": {"a": {}}, "required": ["a"]}], "type": ["string", "integer"]}),
            ),
            // A field may have the name of a keyword.
            (
                json!({"properties": {"description": {"type": "string"}, "properties": {"type": "string"}}}),
                json!({"properties": {"description": {"type": "string"}, "properties": {"type": "string"}}, "additionalProperties": false}),
            ),
        ];
        for (given, expected) in cases {
            assert_eq!(strict(&given), expected);
        }
        let definition = json!({"spec": {"group": "g.example", "names": {"kind": "Thing"}, "versions": [
            {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}},
        ]}});
        let (api_version, kind, schema) = of_definition(&definition).remove(0);
        assert_eq!((api_version.as_str(), kind.as_str()), ("g.example/v1", "Thing"));
        assert_eq!(schema["properties"].as_object().unwrap().len(), 4);
    }
}
