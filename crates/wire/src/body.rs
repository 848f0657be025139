//! Request bodies.

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};

use crate::{
    field_error::{FieldError, FieldErrors},
    json::{self, Json},
};

/// Reads a body as FastAPI does: what is not declared as JSON is one string, and nothing at all is `null`.
pub fn read(headers: &HeaderMap, bytes: &Bytes) -> Result<Json, FieldErrors> {
    if bytes.is_empty() {
        return Ok(Json::Null);
    }
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if declared.is_some_and(is_json) {
        Ok(json::parse(bytes)?)
    } else {
        Ok(Json::String(String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// The body where it must be an object.
pub fn object(body: Json) -> Result<Json, FieldErrors> {
    let loc = ["body".into()];
    match body {
        Json::Object(_) => Ok(body),
        Json::Null => Err(FieldError::missing(&loc).into()),
        other => Err(FieldError::object_type(&loc, other).into()),
    }
}

/// The fields of these names, each to be a text, where the body is an object of them. One that is not there, or
/// `null`, is `None`.
pub fn texts<const N: usize>(
    body: &Json,
    fields: [&'static str; N],
) -> Result<[Option<String>; N], FieldErrors> {
    let mut errors = FieldErrors::default();
    let texts = fields.map(|name| {
        let loc = ["body".into(), name.into()];
        match (body, body.get(name)) {
            (Json::Null, _) | (Json::Object(_), None | Some(Json::Null)) => None,
            (_, Some(Json::String(text))) => Some(text.clone()),
            (_, Some(other)) => {
                errors.push(FieldError::string_type(&loc, other.clone()));
                None
            }
            // FastAPI finds no field in what is no object, so that even an optional one is "missing".
            (_, None) => {
                errors.push(FieldError::missing(&loc));
                None
            }
        }
    });
    errors.into_result().map(|()| texts)
}

/// Whether a body is declared to be something else than JSON.
pub fn is_declared_otherwise(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE);
    declared.is_some_and(|value| !value.to_str().is_ok_and(is_json))
}

/// `application/json` and `application/…+json`, with any parameters.
fn is_json(content_type: &str) -> bool {
    let (essence, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    let essence = essence.trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| !subtype.contains('/') && (subtype == "json" || subtype.ends_with("+json")))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    fn body(content_type: Option<&'static str>, text: &'static str) -> Result<Json, FieldErrors> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        read(&headers, &Bytes::from_static(text.as_bytes()))
    }

    fn as_json(problems: FieldErrors) -> Value {
        serde_json::to_value(problems).unwrap()
    }

    fn queries(text: &'static str) -> Value {
        let read = body(Some("application/json"), text)
            .and_then(|body| texts(&body, ["start_timestamp", "end_timestamp"]));
        match read {
            Ok(texts) => json!(texts),
            Err(problems) => as_json(problems),
        }
    }

    #[test]
    fn body_is_json_only_if_declared_as_json() {
        let json = [
            "application/json",
            "application/JSON",
            "application/json; charset=utf-8",
            "application/json;",
            "application/vnd.api+json",
            "application/problem+json",
        ];
        for content_type in json {
            assert_eq!(
                body(Some(content_type), "{}"),
                Ok(Json::Object(vec![])),
                "{content_type}"
            );
        }
        let other = [
            None,
            Some("text/plain"),
            Some("text/json"),
            Some("json"),
            Some("application/"),
            Some("application/x-www-form-urlencoded"),
            Some("application/xml"),
            Some("application/json/x"),
        ];
        for content_type in other {
            let problems = object(body(content_type, "{}").unwrap()).unwrap_err();
            let expected = json!([{"type": "dict_type", "loc": ["body"],
                "msg": "Input should be a valid dictionary", "input": "{}"}]);
            assert_eq!(as_json(problems), expected, "{content_type:?}");
        }
    }

    #[test]
    fn body_that_is_no_object_is_an_error() {
        let missing = json!([{"type": "missing", "loc": ["body"], "msg": "Field required", "input": null}]);
        assert_eq!(as_json(object(body(None, "").unwrap()).unwrap_err()), missing);
        assert_eq!(
            as_json(object(body(Some("application/json"), "null").unwrap()).unwrap_err()),
            missing
        );
        for (text, input) in [("[]", json!([])), ("\"x\"", json!("x")), ("1", json!(1))] {
            let problems = object(body(Some("application/json"), text).unwrap()).unwrap_err();
            let expected = json!([{"type": "dict_type", "loc": ["body"],
                "msg": "Input should be a valid dictionary", "input": input}]);
            assert_eq!(as_json(problems), expected);
        }
        let invalid = json!([{"type": "json_invalid", "loc": ["body", 1], "msg": "JSON decode error", "input": {},
            "ctx": {"error": "Expecting property name enclosed in double quotes"}}]);
        assert_eq!(
            as_json(body(Some("application/json"), "{bad").unwrap_err()),
            invalid
        );
    }

    #[test]
    fn field_that_is_no_text_is_an_error() {
        assert_eq!(queries(""), json!([null, null]));
        assert_eq!(queries("{}"), json!([null, null]));
        assert_eq!(
            queries(r#"{"start_timestamp":"a","end_timestamp":null}"#),
            json!(["a", null])
        );
        let string_type = |name: &str, input: Value| {
            json!({"type": "string_type", "loc": ["body", name], "msg": "Input should be a valid string",
                "input": input})
        };
        assert_eq!(queries(r#"{"start_timestamp":null}"#), json!([null, null]));
        assert_eq!(queries("null"), json!([null, null]));
        assert_eq!(
            queries(r#"{"start_timestamp":1.5,"end_timestamp":{"a":[true]}}"#),
            json!([
                string_type("start_timestamp", json!(1.5)),
                string_type("end_timestamp", json!({"a": [true]}))
            ])
        );
        let missing = |name: &str| json!({"type": "missing", "loc": ["body", name], "msg": "Field required", "input": null});
        for text in ["[]", "\"x\"", "1"] {
            assert_eq!(
                queries(text),
                json!([missing("start_timestamp"), missing("end_timestamp")]),
                "{text}"
            );
        }
    }

    #[test]
    fn long_input_is_not_repeated_in_the_error() {
        let long: &'static str = Box::leak("x".repeat(1_000_000).into_boxed_str());
        let problems = as_json(object(body(None, long).unwrap()).unwrap_err());
        assert_eq!(problems[0]["input"], "…");
    }
}
