//! Parameters of a query, read one after the other while what is wrong is collected.

use std::ops::RangeInclusive;

use crate::{
    wire::declared::Param,
    wire::integer,
    wire::json::Json,
    wire::problem::{Problem, Problems, Step},
    wire::query::Query,
};

/// Reads parameters of one request.
pub(crate) struct ParamReader<'a> {
    query: &'a Query,
    problems: Problems,
}

impl<'a> ParamReader<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        Self {
            query,
            problems: Problems::default(),
        }
    }

    /// An integer within its range; `None` when it is not there, or bad, which is then noted.
    pub(crate) fn integer(&mut self, param: &Param) -> Option<i64> {
        let loc = loc(param.name);
        let Some(text) = self.query.last(param.name) else {
            if param.required {
                self.note(Problem::missing(&loc));
            }
            return None;
        };
        let text = &text.text;
        match integer::parse(text) {
            Err(error) => self.note(Problem::not_an_integer(&loc, error, text)),
            Ok(value) => {
                let (range, input) = (param.range(), Json::from(text.as_str()));
                match in_range(value, &range) {
                    Ok(value) => return Some(value),
                    Err(Outside::Below) => self.note(Problem::less_than(&loc, *range.start(), input)),
                    Err(Outside::Above) => self.note(Problem::greater_than(&loc, *range.end(), input)),
                }
            }
        }
        None
    }

    /// A truth value; `None` when it is not there, or bad, which is then noted.
    pub(crate) fn boolean(&mut self, param: &Param) -> Option<bool> {
        let text = &self.query.last(param.name)?.text;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
            "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
            _ => {
                self.note(Problem::not_a_boolean(&loc(param.name), text));
                None
            }
        }
    }

    /// Adds what else is wrong.
    pub(crate) fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The end: an error if anything was wrong.
    pub(crate) fn finish(self) -> Result<(), Problems> {
        self.problems.into_result()
    }
}

/// Where a parameter of this name stands.
pub(crate) fn loc(name: &'static str) -> [Step; 2] {
    [Step::Name("query"), Step::Name(name)]
}

/// On which side of a range a number lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outside {
    Below,
    Above,
}

/// The number as one within the range.
pub(crate) fn in_range(value: i128, range: &RangeInclusive<i64>) -> Result<i64, Outside> {
    if value < i128::from(*range.start()) {
        return Err(Outside::Below);
    }
    i64::try_from(value)
        .ok()
        .filter(|value| value <= range.end())
        .ok_or(Outside::Above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::declared::Kind;

    const PAGE: Param = Param::new("page", Kind::Integer(0..=100), "", "");
    const A: Param = Param::new("a", Kind::Integer(0..=1), "", "").required();
    const B: Param = Param::new("b", Kind::Integer(0..=1), "", "").required();

    fn page(raw: &str) -> (Option<i64>, serde_json::Value) {
        let query = Query::parse(Some(raw));
        let mut reader = ParamReader::new(&query);
        let page = reader.integer(&PAGE);
        let problems = reader.finish().err().unwrap_or_default();
        (page, serde_json::to_value(problems).unwrap())
    }

    #[test]
    fn ranges_are_told() {
        assert_eq!(page("page=7"), (Some(7), serde_json::json!([])));
        assert_eq!(page("other=7"), (None, serde_json::json!([])));
        let below = serde_json::json!([{"type": "greater_than_equal", "loc": ["query", "page"],
            "msg": "Input should be greater than or equal to 0", "input": "-1", "ctx": {"ge": 0}}]);
        assert_eq!(page("page=-1"), (None, below));
        for over in [
            "101",
            "9223372036854775808",
            "99999999999999999999999999999999999999999999",
        ] {
            let above = serde_json::json!([{"type": "less_than_equal", "loc": ["query", "page"],
                "msg": "Input should be less than or equal to 100", "input": over, "ctx": {"le": 100}}]);
            assert_eq!(page(&format!("page={over}")), (None, above));
        }
        assert_eq!(
            page("page=-99999999999999999999").1[0]["type"],
            "greater_than_equal"
        );
    }

    #[test]
    fn problems_keep_their_order() {
        let query = Query::parse(Some("b=x"));
        let mut reader = ParamReader::new(&query);
        reader.integer(&A);
        reader.integer(&B);
        let problems = serde_json::to_value(reader.finish().unwrap_err()).unwrap();
        assert_eq!(
            problems,
            serde_json::json!([
                {"type": "missing", "loc": ["query", "a"], "msg": "Field required", "input": null},
                {"type": "int_parsing", "loc": ["query", "b"], "input": "x",
                 "msg": "Input should be a valid integer, unable to parse string as an integer"},
            ])
        );
    }
}
