//! The bodies of /write-queries and /write-results: every field is there and fits its column.

use std::ops::RangeInclusive;

use crd::fields::MAX_RESULTS;
use storage::{Paper, QueryRow};

use wire::{
    field_error::{FieldError, FieldErrors, PathSegment},
    json::Json,
};

pub(super) const BIGINT: RangeInclusive<i64> = i64::MIN..=i64::MAX;
pub(super) const INTEGER: RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
pub(super) const SMALLINT: RangeInclusive<i64> = i16::MIN as i64..=i16::MAX as i64;
/// As many as one query can have.
const MAX_ROWS: usize = MAX_RESULTS.cast_unsigned() as usize;

/// The results of one query as a client sends them.
#[derive(Debug, PartialEq)]
pub(crate) struct ResultsBody {
    pub(crate) query_id: i64,
    pub(crate) timestamp: i64,
    pub(crate) rows: Vec<Paper>,
}

/// Reads a body of /write-queries.
pub(crate) fn query_row(body: &Json) -> Result<QueryRow, FieldErrors> {
    let mut errors = FieldErrors::default();
    let mut reader = FieldReader {
        object: body,
        loc: vec!["body".into()],
        errors: &mut errors,
    };
    let row = QueryRow {
        query_id: reader.integer("query_id", &BIGINT),
        timestamp: reader.integer("timestamp", &BIGINT),
        status: reader.integer("status", &SMALLINT),
        num_results: reader.integer("num_results", &INTEGER),
        num_entries: reader.integer("num_entries", &SMALLINT),
        query: reader.text("query"),
    };
    errors.into_result().map(|()| row)
}

/// Reads a body of /write-results.
pub(crate) fn results(body: &Json) -> Result<ResultsBody, FieldErrors> {
    let mut errors = FieldErrors::default();
    let mut reader = FieldReader {
        object: body,
        loc: vec!["body".into()],
        errors: &mut errors,
    };
    let query_id = reader.integer("query_id", &BIGINT);
    let timestamp = reader.integer("timestamp", &BIGINT);
    let items = reader.array("results");
    let mut rows = Vec::with_capacity(items.len());
    for (index, object) in items.iter().enumerate() {
        let loc = vec!["body".into(), "results".into(), index.into()];
        if !matches!(object, Json::Object(_)) {
            errors.push(FieldError::object_type(&loc, object.clone()));
            continue;
        }
        let mut reader = FieldReader {
            object,
            loc,
            errors: &mut errors,
        };
        rows.push(Paper {
            author: reader.text("authors"),
            title: reader.text("title"),
            journal: reader.text("journal"),
            ..Paper::default()
        });
    }
    errors.into_result().map(|()| ResultsBody {
        query_id,
        timestamp,
        rows,
    })
}

/// Reads the fields of one object. A bad field adds an error and reads as a default, so that all fields are checked.
struct FieldReader<'a, 'e> {
    object: &'a Json,
    loc: Vec<PathSegment>,
    errors: &'e mut FieldErrors,
}

impl<'a> FieldReader<'a, '_> {
    fn field<T: Default>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&[PathSegment], &'a Json) -> Result<T, FieldError>,
    ) -> T {
        let mut loc = self.loc.clone();
        loc.push(name.into());
        let value = self.object.get(name).ok_or_else(|| FieldError::missing(&loc));
        let field = value.and_then(|value| read(&loc, value));
        field.map_err(|error| self.errors.push(error)).unwrap_or_default()
    }

    fn integer<T: TryFrom<i64> + Default>(&mut self, name: &'static str, range: &RangeInclusive<i64>) -> T {
        let number: i64 = self.field(name, |loc, value| match value {
            Json::Integer(number) => FieldError::check_range(loc, *number, range, value.clone()),
            other => Err(FieldError::integer_type(loc, other.clone())),
        });
        number.try_into().unwrap_or_default()
    }

    fn text(&mut self, name: &'static str) -> String {
        self.field(name, |loc, value| match value {
            // No text in PostgreSQL can hold one.
            Json::String(text) if text.contains('\0') => Err(FieldError::unfit(
                loc,
                "must not contain a NUL character",
                value.clone(),
            )),
            Json::String(text) => Ok(text.clone()),
            other => Err(FieldError::string_type(loc, other.clone())),
        })
    }

    fn array(&mut self, name: &'static str) -> &'a [Json] {
        self.field(name, |loc, value| match value {
            Json::Array(items) if items.len() > MAX_ROWS => {
                Err(FieldError::long_array(loc, MAX_ROWS, items.len()))
            }
            Json::Array(items) => Ok(items.as_slice()),
            other => Err(FieldError::array_type(loc, other.clone())),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use wire::json::parse;

    fn kinds(problems: FieldErrors) -> Vec<(String, String)> {
        let problems = serde_json::to_value(problems).unwrap();
        let problems = problems.as_array().unwrap();
        problems
            .iter()
            .map(|p| (p["type"].as_str().unwrap().to_owned(), p["loc"].to_string()))
            .collect()
    }

    fn query_problems(change: &str, value: Value) -> Vec<(String, String)> {
        let mut body = json!({"query_id": 9, "timestamp": 1, "status": 200, "num_results": 1, "num_entries": 1,
            "query": "q"});
        body[change] = value;
        query_row(&parse(body.to_string().as_bytes()).unwrap())
            .err()
            .map(kinds)
            .unwrap_or_default()
    }

    #[test]
    fn query_that_fits_no_column_is_an_error() {
        let good = [
            ("query_id", json!(i64::MAX)),
            ("timestamp", json!(-1)),
            ("status", json!(32767)),
            ("num_results", json!(2_147_483_647)),
            ("num_entries", json!(-32768)),
            ("query", json!("Erdős 😀'; DROP TABLE queries; --")),
            ("query", json!("")),
            ("unknown", json!(1)),
        ];
        for (field, value) in good {
            assert_eq!(query_problems(field, value.clone()), [], "{field} {value}");
        }
        let bad = [
            ("query_id", json!("abc"), "int_type"),
            ("query_id", json!("9"), "int_type"),
            ("query_id", json!(1.0), "int_type"),
            ("query_id", json!(true), "int_type"),
            ("query_id", json!(null), "int_type"),
            (
                "query_id",
                json!(9_223_372_036_854_775_808_u64),
                "less_than_equal",
            ),
            ("timestamp", json!([]), "int_type"),
            ("status", json!(32768), "less_than_equal"),
            ("status", json!(-32769), "greater_than_equal"),
            ("num_results", json!(2_147_483_648_i64), "less_than_equal"),
            ("num_entries", json!(40000), "less_than_equal"),
            ("query", json!(5), "string_type"),
            ("query", json!(null), "string_type"),
            ("query", json!("a\0b"), "value_error"),
        ];
        for (field, value, kind) in bad {
            let expected = [(kind.to_owned(), json!(["body", field]).to_string())];
            assert_eq!(query_problems(field, value.clone()), expected, "{field} {value}");
        }
    }

    #[test]
    fn missing_fields_are_errors() {
        let problems = kinds(query_row(&parse(b"{}").unwrap()).unwrap_err());
        assert_eq!(problems.len(), 6);
        assert!(problems.iter().all(|(kind, _)| kind == "missing"));
        assert_eq!(kinds(results(&parse(b"{}").unwrap()).unwrap_err()).len(), 3);
    }

    #[test]
    fn results_are_read_and_errors_have_their_location() {
        let body = br#"{"query_id": 9, "timestamp": 1, "results": [{"authors": "A, B", "title": "T", "journal": "J"}]}"#;
        let read = results(&parse(body).unwrap()).unwrap();
        let row = Paper {
            author: "A, B".into(),
            title: "T".into(),
            journal: "J".into(),
            ..Paper::default()
        };
        assert_eq!(
            read,
            ResultsBody {
                query_id: 9,
                timestamp: 1,
                rows: vec![row]
            }
        );

        let body = br#"{"query_id": 9, "timestamp": 1,
            "results": [{"authors": "A", "title": 5, "journal": null}, "x", {"authors": "A", "title": "T"}]}"#;
        let expected = [
            ("string_type", r#"["body","results",0,"title"]"#),
            ("string_type", r#"["body","results",0,"journal"]"#),
            ("dict_type", r#"["body","results",1]"#),
            ("missing", r#"["body","results",2,"journal"]"#),
        ];
        let expected = expected.map(|(kind, loc)| (kind.to_owned(), loc.to_owned()));
        assert_eq!(kinds(results(&parse(body).unwrap()).unwrap_err()), expected);
        for value in ["null", "\"abc\"", r#"{"a":1}"#] {
            let body = format!(r#"{{"query_id": 9, "timestamp": 1, "results": {value}}}"#);
            let kinds = kinds(results(&parse(body.as_bytes()).unwrap()).unwrap_err());
            assert_eq!(
                kinds,
                [("list_type".to_owned(), r#"["body","results"]"#.to_owned())]
            );
        }
    }

    #[test]
    fn results_beyond_thirty_thousand_are_an_error() {
        let body = |rows: usize| {
            let row = r#"{"authors":"","title":"","journal":""},"#;
            let rows = row.repeat(rows);
            format!(
                r#"{{"query_id":9,"timestamp":1,"results":[{}]}}"#,
                rows.trim_end_matches(',')
            )
        };
        assert_eq!(
            results(&parse(body(30_000).as_bytes()).unwrap())
                .unwrap()
                .rows
                .len(),
            30_000
        );
        let problems = kinds(results(&parse(body(30_001).as_bytes()).unwrap()).unwrap_err());
        assert_eq!(
            problems,
            [("too_long".to_owned(), r#"["body","results"]"#.to_owned())]
        );
    }

    #[test]
    fn errors_beyond_a_hundred_are_left_out() {
        let body = format!(
            r#"{{"query_id":9,"timestamp":1,"results":[{}1]}}"#,
            "1,".repeat(20_000)
        );
        assert_eq!(
            kinds(results(&parse(body.as_bytes()).unwrap()).unwrap_err()).len(),
            100
        );
    }
}
