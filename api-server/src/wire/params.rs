//! Parameters of a query, read one after the other while what is wrong is collected.

use std::ops::RangeInclusive;

use super::{
    integer,
    json::Json,
    problem::{Problem, Problems, Step},
    query::Query,
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

    /// An integer within a range; `None` when it is not there, or bad, which is then noted.
    pub(crate) fn integer(&mut self, name: &'static str, range: &RangeInclusive<i64>) -> Option<i64> {
        let text = &self.query.last(name)?.text;
        match integer::parse(text) {
            Err(error) => self
                .problems
                .push(Problem::not_an_integer(&loc(name), error, text)),
            Ok(value) => match in_range(value, range) {
                Ok(value) => return Some(value),
                Err(Outside::Below) => {
                    self.note(Problem::less_than(
                        &loc(name),
                        *range.start(),
                        Json::from(text.as_str()),
                    ));
                }
                Err(Outside::Above) => {
                    self.note(Problem::greater_than(
                        &loc(name),
                        *range.end(),
                        Json::from(text.as_str()),
                    ));
                }
            },
        }
        None
    }

    /// As [`Self::integer`], but it must be there.
    pub(crate) fn required_integer(
        &mut self,
        name: &'static str,
        range: &RangeInclusive<i64>,
    ) -> Option<i64> {
        if self.query.last(name).is_none() {
            self.note(Problem::missing(&loc(name)));
        }
        self.integer(name, range)
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

    fn page(raw: &str) -> (Option<i64>, serde_json::Value) {
        let query = Query::parse(Some(raw));
        let mut reader = ParamReader::new(&query);
        let page = reader.integer("page", &(0..=100));
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
        reader.required_integer("a", &(0..=1));
        reader.required_integer("b", &(0..=1));
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
