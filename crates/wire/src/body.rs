//! Request bodies.

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};

use crate::{
    field_error::{FieldError, FieldErrors, PathSegment},
    json::{self, Json},
};

/// The body of a request as FastAPI sees it.
#[derive(Debug, PartialEq)]
pub enum Body {
    /// Nothing was sent, or `null`.
    Empty,
    /// What was declared as JSON and is JSON; or, as one string, what was not declared as JSON.
    Value(Json),
}

impl Body {
    /// Reads a body by its declared type.
    pub fn read(headers: &HeaderMap, bytes: &Bytes) -> Result<Self, FieldErrors> {
        if bytes.is_empty() {
            return Ok(Self::Empty);
        }
        let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !declared.is_some_and(is_json) {
            return Ok(Self::Value(Json::String(
                String::from_utf8_lossy(bytes).into_owned(),
            )));
        }
        match json::parse(bytes) {
            Ok(Json::Null) => Ok(Self::Empty),
            Ok(value) => Ok(Self::Value(value)),
            Err(error) => Err(FieldError::invalid_json(error.position, error.message).into()),
        }
    }

    /// The body where it must be an object.
    pub fn into_object(self) -> Result<Json, FieldErrors> {
        let loc = [PathSegment::Name("body")];
        match self {
            Self::Empty => Err(FieldError::missing(&loc).into()),
            Self::Value(object @ Json::Object(_)) => Ok(object),
            Self::Value(other) => Err(FieldError::object_type(&loc, other).into()),
        }
    }

    /// The fields of these names, each to be a text, where the body is an object of them. One that is not there, or
    /// `null`, is `None`.
    pub fn texts<const N: usize>(
        &self,
        fields: [&'static str; N],
    ) -> Result<[Option<String>; N], FieldErrors> {
        let mut texts = [const { None }; N];
        let mut problems = FieldErrors::default();
        for (text, name) in texts.iter_mut().zip(fields) {
            let loc = [PathSegment::Name("body"), PathSegment::Name(name)];
            match self {
                Self::Empty => {}
                Self::Value(object @ Json::Object(_)) => match object.get(name) {
                    None | Some(Json::Null) => {}
                    Some(Json::String(value)) => *text = Some(value.clone()),
                    Some(other) => problems.push(FieldError::string_type(&loc, other.clone())),
                },
                // FastAPI finds no field in what is no object, so that even an optional one is "missing".
                Self::Value(_) => problems.push(FieldError::missing(&loc)),
            }
        }
        problems.into_result().map(|()| texts)
    }
}

/// Whether a body is declared to be something else than JSON.
pub fn is_declared_otherwise(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE);
    declared.is_some_and(|value| !value.to_str().is_ok_and(is_json))
}

/// `application/json` and `application/…+json`, with any parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some(subtype) => !subtype.contains('/') && (subtype == "json" || subtype.ends_with("+json")),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    fn body(content_type: Option<&'static str>, text: &'static str) -> Result<Body, FieldErrors> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Body::read(&headers, &Bytes::from_static(text.as_bytes()))
    }

    fn as_json(problems: FieldErrors) -> Value {
        serde_json::to_value(problems).unwrap()
    }

    fn queries(text: &'static str) -> Value {
        let read = body(Some("application/json"), text)
            .and_then(|body| body.texts(["start_timestamp", "end_timestamp"]));
        match read {
            Ok(texts) => json!(texts),
            Err(problems) => as_json(problems),
        }
    }

    #[test]
    fn only_what_is_declared_as_json_is_json() {
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
                Ok(Body::Value(Json::Object(vec![]))),
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
            let problems = body(content_type, "{}").unwrap().into_object().unwrap_err();
            let expected = json!([{"type": "dict_type", "loc": ["body"],
                "msg": "Input should be a valid dictionary", "input": "{}"}]);
            assert_eq!(as_json(problems), expected, "{content_type:?}");
        }
    }

    #[test]
    fn an_object_is_asked_for() {
        let missing = json!([{"type": "missing", "loc": ["body"], "msg": "Field required", "input": null}]);
        assert_eq!(
            as_json(body(None, "").unwrap().into_object().unwrap_err()),
            missing
        );
        assert_eq!(
            as_json(
                body(Some("application/json"), "null")
                    .unwrap()
                    .into_object()
                    .unwrap_err()
            ),
            missing
        );
        for (text, input) in [("[]", json!([])), ("\"x\"", json!("x")), ("1", json!(1))] {
            let problems = body(Some("application/json"), text)
                .unwrap()
                .into_object()
                .unwrap_err();
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
    fn texts_of_an_object() {
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
    fn a_long_input_is_not_repeated_back() {
        let long: &'static str = Box::leak("x".repeat(1_000_000).into_boxed_str());
        let problems = as_json(body(None, long).unwrap().into_object().unwrap_err());
        assert_eq!(problems[0]["input"], "…");
    }
}
