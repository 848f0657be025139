//! The filter parameters of results and of queries. Rows have to meet all that are set.

use crd::fields::MAX_WORDS_CHARS;
use paper::canonical_category;
use storage::{QueryFilter, ResultFilter, TextQuery};

use wire::{
    dates::{RangeEnd, Zone, hint},
    declared::{Param, ParamKind},
    integer,
    params::ParamReader,
};

/// A filter of results, and the same as a text that identifies it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResultSelection {
    pub(crate) filter: ResultFilter,
    /// Each parameter with its value, in a fixed order.
    pub(crate) canonical: String,
}

pub(crate) const WORDS: ParamKind = ParamKind::Text(MAX_WORDS_CHARS);
/// The longest is `cond-mat.mtrl-sci`; more are to come.
pub(crate) const CATEGORY_NAME: ParamKind = ParamKind::Token(40);

wire::params! {
    pub(crate) AUTHOR = "author": WORDS, "erdos", "Words in the authors: all have to be there, without regard to case, \
        accents and punctuation; between double quotes a phrase.";
    pub(crate) TITLE = "title": WORDS, "random graphs", "Words in the title, as for author.";
    pub(crate) JOURNAL = "journal": WORDS, "", "Words in the journal reference, as for author.";
    pub(crate) CATEGORY = "category": CATEGORY_NAME, "",
        "One of arXiv's categories, such as math.CO; in any case.";
    pub(crate) QUERY_ID = "query_id": ParamKind::Integer(i64::MIN..=i64::MAX), "",
        "The number of the query that found them.";
    pub(crate) START_TIME = "start_time": ParamKind::Time, "",
        "Of queries from this time on: unix seconds, or a date as /queries takes it.";
    pub(crate) END_TIME = "end_time": ParamKind::Time, "",
        "Of queries up to and with this time, as for start_time.";
    pub(crate) STATUS = "status": ParamKind::Integer(0..=32_767), "",
        "Only queries that arXiv answered with this HTTP status.";
    pub(crate) TEXT = "text": WORDS, "",
        "Words in the query: all have to be there, without regard to case, accents and punctuation.";
}

pub(crate) const OF_RESULTS: [Param; 7] = [AUTHOR, TITLE, JOURNAL, CATEGORY, QUERY_ID, START_TIME, END_TIME];

/// What is wrong with an integer that is no time.
pub(crate) const NO_SECONDS: &str = "it is in no year up to 9999 as unix seconds; are they milliseconds?";

/// Reads the filter of results; errors are collected in `reader`.
pub(crate) fn result_filter(reader: &mut ParamReader<'_>, zone: Zone) -> ResultSelection {
    let filter = ResultFilter {
        author: words(reader, &AUTHOR),
        title: words(reader, &TITLE),
        journal: words(reader, &JOURNAL),
        category: one_category(reader),
        query_id: reader.integer(&QUERY_ID),
        start: time(reader, zone, &START_TIME, RangeEnd::Start),
        end: time(reader, zone, &END_TIME, RangeEnd::End),
    };
    let mut canonical = String::new();
    for param in OF_RESULTS {
        // A date alone is another time in another zone, so the time counts.
        let meant = match param.name {
            name if name == START_TIME.name => filter.start.map(|time| time.to_string()),
            name if name == END_TIME.name => filter.end.map(|time| time.to_string()),
            name if name == CATEGORY.name => filter.category.clone(),
            _ => None,
        };
        if let Some(text) = reader.raw(&param) {
            let text = meant.unwrap_or_else(|| text.to_owned());
            canonical.extend([param.name, "=", &text, "\0"]);
        }
    }
    ResultSelection { filter, canonical }
}

/// Reads the filter of queries; errors are collected in `reader`.
pub(crate) fn query_filter(reader: &mut ParamReader<'_>) -> QueryFilter {
    let status = reader.integer(&STATUS);
    QueryFilter {
        status: status.and_then(|status| status.try_into().ok()),
        text: words(reader, &TEXT),
    }
}

pub(crate) fn words(reader: &mut ParamReader<'_>, param: &Param) -> Option<TextQuery> {
    let text = reader.text(param)?;
    let words = TextQuery::parse(text);
    words.map_err(|error| reader.unfit(param, error, text)).ok()
}

pub(crate) fn category(reader: &mut ParamReader<'_>, param: &Param) -> Option<String> {
    let text = reader.text(param)?.trim_matches(' ');
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(canonical_category(text).into_owned());
    }
    reader.unfit(param, "it is no category of arXiv's, such as math.CO", text);
    None
}

/// A category of results; a pattern would find nothing.
fn one_category(reader: &mut ParamReader<'_>) -> Option<String> {
    let category = category(reader, &CATEGORY)?;
    if category.contains('*') {
        let reason =
            "it has to be one category, such as math.CO; /papers finds those of an archive by math.*";
        reader.unfit(&CATEGORY, reason, &category);
        return None;
    }
    Some(category)
}

pub(crate) fn time(reader: &mut ParamReader<'_>, zone: Zone, param: &Param, bound: RangeEnd) -> Option<i64> {
    let text = reader.raw(param)?;
    let seconds: Option<i64> = integer::parse(text)
        .ok()
        .and_then(|seconds| seconds.try_into().ok());
    let (first, last) = zone.range();
    let time = match seconds {
        // A date then, if anything.
        None => zone.parse(text, bound),
        Some(seconds) => Some(seconds).filter(|seconds| (first..=last).contains(seconds)),
    };
    if time.is_none() {
        let reason = match seconds {
            Some(_) => NO_SECONDS.to_owned(),
            None => format!(
                "it is neither unix seconds nor a date like 2024-03-31T02:00:00, also with Z or an offset{}",
                hint(text)
            ),
        };
        reader.unfit(param, reason, text);
    }
    time
}

#[cfg(test)]
mod tests {
    use wire::query::QueryString;

    use super::*;

    fn read(raw: &str) -> Result<ResultSelection, serde_json::Value> {
        read_in(2, raw)
    }

    fn read_in(zone: i64, raw: &str) -> Result<ResultSelection, serde_json::Value> {
        let query = QueryString::parse(Some(raw));
        let mut reader = ParamReader::new(&query);
        let wanted = result_filter(&mut reader, zone.to_string().parse().unwrap());
        match reader.finish() {
            Ok(()) => Ok(wanted),
            Err(problems) => Err(serde_json::to_value(problems).unwrap()),
        }
    }

    #[test]
    fn filter_is_read_from_its_parameters() {
        assert!(read("page=1&foo=bar").unwrap().filter.is_empty());
        let wanted =
            read("end_time=2024-03-31&author=Erd%C5%91s+P.&category=+MATH.co%20&query_id=5&start_time=7")
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
        // Tags and cursors depend on the time, not on its spelling.
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
            ("category=%20", "value_error"),
            ("category=math.CO%0A", "value_error"),
            ("category=math.*", "value_error"),
            ("start_time=1711843200000", "value_error"),
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
