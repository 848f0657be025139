//! The filter parameters. Rows have to meet all that are set.
//!
//! Of results: `author`, `title`, `journal` (words, all of which have to be there, without regard to case, accents and
//! punctuation; between double quotes a phrase), `category` (one of arXiv's, as it spells it), `query_id`, `start_time` and
//! `end_time` (of the query: unix seconds, or a date as /queries takes it; both inclusive). Of queries: `status`, `text` (words).

use arxiv::MAX_VALUE_CHARS;
use storage::{QueryFilter, ResultFilter, TextQuery};

use wire::{
    dates::{RangeEnd, Zone},
    declared::{Param, ParamKind},
    field_error::FieldError,
    integer,
    json::Json,
    params::{ParamReader, loc},
    query::QueryString,
};

/// The longest is `cond-mat.mtrl-sci`; there is room for more.
const MAX_CATEGORY_CHARS: usize = 40;

/// A filter of results, and the same as a text that identifies it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResultSelection {
    pub(crate) filter: ResultFilter,
    /// Each parameter with its value, in a fixed order.
    pub(crate) canonical: String,
}

const WORDS: ParamKind = ParamKind::Text {
    most: MAX_VALUE_CHARS,
};
pub(crate) const AUTHOR: Param = Param::new(
    "author",
    WORDS,
    "erdos",
    "Words in the authors: all have to be there, without regard to case, accents and punctuation; between double quotes a phrase.",
);
pub(crate) const TITLE: Param = Param::new(
    "title",
    WORDS,
    "random graphs",
    "Words in the title, as for author.",
);
pub(crate) const JOURNAL: Param = Param::new(
    "journal",
    WORDS,
    "",
    "Words in the journal reference, as for author.",
);
pub(crate) const CATEGORY: Param = Param::new(
    "category",
    ParamKind::Token {
        most: MAX_CATEGORY_CHARS,
    },
    "",
    "One of arXiv's categories, as it spells it, such as math.CO.",
);
pub(crate) const QUERY_ID: Param = Param::new(
    "query_id",
    ParamKind::Integer(i64::MIN..=i64::MAX),
    "",
    "The number of the query that found them.",
);
pub(crate) const START_TIME: Param = Param::new(
    "start_time",
    ParamKind::Time,
    "",
    "Of queries from this time on: unix seconds, or a date as /queries takes it.",
);
pub(crate) const END_TIME: Param = Param::new(
    "end_time",
    ParamKind::Time,
    "",
    "Of queries up to and with this time, as for start_time.",
);
pub(crate) const STATUS: Param = Param::new(
    "status",
    ParamKind::Integer(0..=32_767),
    "",
    "Only queries that arXiv answered with this HTTP status.",
);
pub(crate) const TEXT: Param = Param::new(
    "text",
    WORDS,
    "",
    "Words in the query: all have to be there, without regard to case, accents and punctuation.",
);

const OF_RESULTS: [Param; 7] = [AUTHOR, TITLE, JOURNAL, CATEGORY, QUERY_ID, START_TIME, END_TIME];

/// Reads the parameters of results; errors are collected in `reader`.
pub(crate) fn result_filter(
    reader: &mut ParamReader<'_>,
    query: &QueryString,
    zone: Zone,
) -> ResultSelection {
    let filter = ResultFilter {
        author: words(reader, query, &AUTHOR),
        title: words(reader, query, &TITLE),
        journal: words(reader, query, &JOURNAL),
        category: category(reader, query),
        query_id: reader.integer(&QUERY_ID),
        start: time(reader, query, zone, &START_TIME, RangeEnd::Start),
        end: time(reader, query, zone, &END_TIME, RangeEnd::End),
    };
    let mut canonical = String::new();
    for Param { name, .. } in OF_RESULTS {
        // A date alone is another time in another zone, so it is the time that counts.
        let time = match name {
            _ if name == START_TIME.name => filter.start,
            _ if name == END_TIME.name => filter.end,
            _ => None,
        };
        if let Some(value) = query.last(name) {
            let text = time.map_or_else(|| value.text.clone(), |time| time.to_string());
            canonical.extend([name, "=", &text, "\0"]);
        }
    }
    ResultSelection { filter, canonical }
}

/// Reads the parameters of queries; errors are collected in `reader`.
pub(crate) fn query_filter(reader: &mut ParamReader<'_>, query: &QueryString) -> QueryFilter {
    let status = reader.integer(&STATUS);
    QueryFilter {
        status: status.and_then(|status| i16::try_from(status).ok()),
        text: words(reader, query, &TEXT),
    }
}

/// A text within its limits.
fn text<'q>(reader: &mut ParamReader<'_>, query: &'q QueryString, param: &Param) -> Option<&'q str> {
    let value = query.last(param.name)?;
    let loc = loc(param.name);
    let most = match param.kind {
        ParamKind::Text { most } | ParamKind::Token { most } => most,
        _ => usize::MAX,
    };
    if value.text.is_empty() {
        reader.note(FieldError::empty_string(&loc));
    } else if value.text.chars().count() > most {
        reader.note(FieldError::long_string(&loc, most, &value.text));
    } else if !value.is_unicode {
        reader.note(FieldError::not_unicode(&loc, &value.text));
    } else {
        return Some(&value.text);
    }
    None
}

fn words(reader: &mut ParamReader<'_>, query: &QueryString, param: &Param) -> Option<TextQuery> {
    let value = text(reader, query, param)?;
    match TextQuery::parse(value) {
        Ok(words) => Some(words),
        Err(error) => {
            reader.note(FieldError::unfit(&loc(param.name), error, Json::from(value)));
            None
        }
    }
}

fn category(reader: &mut ParamReader<'_>, query: &QueryString) -> Option<String> {
    let value = text(reader, query, &CATEGORY)?;
    if value.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(value.to_owned());
    }
    let reason = "it is no category of arXiv's, such as math.CO";
    reader.note(FieldError::unfit(&loc(CATEGORY.name), reason, Json::from(value)));
    None
}

fn time(
    reader: &mut ParamReader<'_>,
    query: &QueryString,
    zone: Zone,
    param: &Param,
    bound: RangeEnd,
) -> Option<i64> {
    let value = &query.last(param.name)?.text;
    let seconds = integer::parse(value)
        .ok()
        .and_then(|seconds| i64::try_from(seconds).ok());
    let time = seconds.or_else(|| zone.parse(value, bound));
    if time.is_none() {
        let reason =
            "it is neither unix seconds nor a date like 2024-03-31T02:00:00, also with Z or an offset";
        reader.note(FieldError::unfit(
            &loc(param.name),
            reason,
            Json::from(value.as_str()),
        ));
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<ResultSelection, serde_json::Value> {
        read_in(2, raw)
    }

    fn read_in(zone: i64, raw: &str) -> Result<ResultSelection, serde_json::Value> {
        let query = QueryString::parse(Some(raw));
        let mut reader = ParamReader::new(&query);
        let wanted = result_filter(&mut reader, &query, Zone::new(zone).unwrap());
        match reader.finish() {
            Ok(()) => Ok(wanted),
            Err(problems) => Err(serde_json::to_value(problems).unwrap()),
        }
    }

    #[test]
    fn filter_is_read_from_its_parameters() {
        assert!(read("page=1&foo=bar").unwrap().filter.is_empty());
        let wanted =
            read("end_time=2024-03-31&author=Erd%C5%91s+P.&category=math.CO&query_id=5&start_time=7")
                .unwrap();
        assert_eq!(
            wanted.filter,
            ResultFilter {
                author: Some(TextQuery::parse("Erdős P").unwrap()),
                category: Some("math.CO".into()),
                query_id: Some(5),
                start: Some(7),
                end: Some(1_711_843_200 - 7200 + 86_399),
                ..ResultFilter::default()
            }
        );
        let same =
            read("start_time=7&query_id=5&category=math.CO&author=Erd%C5%91s%20P.&end_time=2024-03-31");
        assert_eq!(wanted.canonical, same.unwrap().canonical);
        // What makes a tag and a cursor is the time that was meant.
        for (raw, others) in [
            ("start_time=2024-01-01", false),
            ("end_time=2024-01-01", false),
            ("start_time=2024-01-01T00:00:00Z&end_time=5", true),
        ] {
            let [here, there] = [2, 3].map(|zone| read_in(zone, raw).unwrap().canonical);
            assert_eq!(here == there, others, "{raw}");
        }
    }

    #[test]
    fn invalid_filter_is_reported_for_each_parameter() {
        for (raw, kind) in [
            ("author=", "string_too_short"),
            ("author=%21%22", "value_error"),
            ("title=%ff", "string_unicode"),
            ("category=a%20b", "value_error"),
            ("category=%00", "value_error"),
            ("query_id=x", "int_parsing"),
            ("start_time=", "value_error"),
            ("end_time=2024-13-01", "value_error"),
            (&format!("journal={}", "a".repeat(513)), "string_too_long"),
            (&format!("journal={}", "a".repeat(51)), "value_error"),
        ] {
            assert_eq!(read(raw).unwrap_err()[0]["type"], kind, "{raw}");
        }
    }
}
