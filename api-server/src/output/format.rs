//! The format of a response: by `format=`, else by `Accept`, else JSON.

use http::{HeaderMap, HeaderValue};

use wire::{
    declared::{Param, ParamKind},
    field_error::FieldError,
    headers::accept::wanted,
    json::Json,
    params::{ParamReader, loc},
    query::QueryString,
};

/// The format of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Json,
    Csv,
    Ndjson,
    Bibtex,
    CslJson,
}

use Format::{Bibtex, CslJson, Csv, Json as PlainJson, Ndjson};

/// The formats of results.
pub(crate) const OF_RESULTS: &[Format] = &[PlainJson, Csv, Ndjson, Bibtex, CslJson];
/// The formats of queries.
pub(crate) const OF_QUERIES: &[Format] = &[PlainJson, Csv, Ndjson];

pub(crate) const FORMAT_OF_RESULTS: Param = Param::new(
    "format",
    ParamKind::OneOf(&["json", "csv", "ndjson", "bibtex", "csl-json"]),
    "json",
    "The form of the answer; without it, what the header Accept asks for.",
);
pub(crate) const FORMAT_OF_QUERIES: Param = Param::new(
    "format",
    ParamKind::OneOf(&["json", "csv", "ndjson"]),
    "json",
    "The form of the answer; without it, what the header Accept asks for.",
);

impl Format {
    /// The value of `format=`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PlainJson => "json",
            Csv => "csv",
            Ndjson => "ndjson",
            Bibtex => "bibtex",
            CslJson => "csl-json",
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            PlainJson => "application/json",
            Csv => "text/csv; charset=utf-8; header=present",
            Ndjson => "application/x-ndjson",
            Bibtex => "application/x-bibtex; charset=utf-8",
            CslJson => "application/vnd.citationstyles.csl+json",
        })
    }

    /// The extension of a file's name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            PlainJson | CslJson => "json",
            Csv => "csv",
            Ndjson => "ndjson",
            Bibtex => "bib",
        }
    }

    fn media_types(self) -> &'static [(&'static str, &'static str)] {
        match self {
            PlainJson => &[("application", "json")],
            Csv => &[("text", "csv")],
            Ndjson => &[
                ("application", "x-ndjson"),
                ("application", "ndjson"),
                ("application", "jsonl"),
            ],
            Bibtex => &[("application", "x-bibtex"), ("text", "x-bibtex")],
            CslJson => &[("application", "vnd.citationstyles.csl+json")],
        }
    }

    /// Reads what is asked for, among `offered`. An unknown `format` is noted; what `Accept` names and we don't have is passed over.
    pub(crate) fn read(
        reader: &mut ParamReader<'_>,
        query: &QueryString,
        headers: &HeaderMap,
        offered: &[Self],
    ) -> Self {
        let Some(given) = query.last(FORMAT_OF_RESULTS.name) else {
            return Self::accepted(headers, offered);
        };
        let found = offered.iter().find(|format| format.name() == given.text);
        found.copied().unwrap_or_else(|| {
            let names: Vec<_> = offered.iter().map(|format| format.name()).collect();
            let reason = format!("it is none of {}", names.join(", "));
            reader.note(FieldError::unfit(
                &loc(FORMAT_OF_RESULTS.name),
                reason,
                Json::from(given.text.as_str()),
            ));
            PlainJson
        })
    }

    /// The format with the greatest weight; of several, one that is named itself, then the first.
    fn accepted(headers: &HeaderMap, offered: &[Self]) -> Self {
        let mut best = (PlainJson, (0, false));
        for format in offered {
            for (kind, subtype) in format.media_types() {
                let wanted = wanted(headers, kind, subtype);
                if (wanted.quality, wanted.by_name) > best.1 && wanted.quality > 0 {
                    best = (*format, (wanted.quality, wanted.by_name));
                }
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn read(raw: &str, accept: &str) -> Result<Format, ()> {
        let query = QueryString::parse(Some(raw));
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        let mut reader = ParamReader::new(&query);
        let format = Format::read(&mut reader, &query, &headers, OF_RESULTS);
        reader.finish().map(|()| format).map_err(drop)
    }

    #[test]
    fn format_is_chosen_by_parameter_then_by_accept() {
        for (raw, accept, expected) in [
            ("", "", Ok(PlainJson)),
            ("", "*/*", Ok(PlainJson)),
            ("", "text/html,application/xhtml+xml,*/*;q=0.8", Ok(PlainJson)),
            ("", "text/csv", Ok(Csv)),
            ("", "Text/CSV; q=0.5, application/json;q=0.4", Ok(Csv)),
            ("", "text/csv;q=0.5, */*", Ok(PlainJson)),
            ("", "text/csv;q=0", Ok(PlainJson)),
            ("", "application/x-ndjson", Ok(Ndjson)),
            ("", "text/x-bibtex", Ok(Bibtex)),
            ("", "application/vnd.citationstyles.csl+json", Ok(CslJson)),
            ("", "image/png", Ok(PlainJson)),
            ("format=csv", "application/json", Ok(Csv)),
            ("format=json", "text/csv", Ok(PlainJson)),
            ("format=csl-json", "", Ok(CslJson)),
            ("format=xml", "", Err(())),
            ("format=", "", Err(())),
        ] {
            assert_eq!(read(raw, accept), expected, "{raw} {accept}");
        }
    }
}
