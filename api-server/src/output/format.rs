//! The format of a response: by `format=`, else by `Accept`, else JSON.

use std::cmp::Reverse;

use http::{HeaderMap, HeaderValue};

use wire::{declared::ParamKind, headers::accept::wanted, params::ParamReader};

/// The format of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Json,
    Csv,
    Ndjson,
    Bibtex,
    CslJson,
}

use Format::{Bibtex, CslJson, Csv, Json, Ndjson};

/// The formats of results.
pub(crate) const OF_RESULTS: &[Format] = &[Json, Csv, Ndjson, Bibtex, CslJson];
/// The formats of queries.
pub(crate) const OF_QUERIES: &[Format] = &[Json, Csv, Ndjson];

const ABOUT: &str = "The form of the answer; without it, what the header Accept asks for.";
wire::params! {
    pub(crate) FORMAT_OF_RESULTS = "format":
        ParamKind::OneOf(&["json", "csv", "ndjson", "bibtex", "csl-json"]), "json", ABOUT;
    pub(crate) FORMAT_OF_QUERIES = "format": ParamKind::OneOf(&["json", "csv", "ndjson"]), "json", ABOUT;
}

/// The value of `format=`, the extension of a file's name, `Content-Type`, and the types in `Accept`.
type Names = (&'static str, &'static str, &'static str, &'static [&'static str]);

impl Format {
    const fn names(self) -> Names {
        match self {
            Json => ("json", "json", "application/json", &["application/json"]),
            Csv => (
                "csv",
                "csv",
                "text/csv; charset=utf-8; header=present",
                &["text/csv"],
            ),
            Ndjson => {
                let accepted = &["application/x-ndjson", "application/ndjson", "application/jsonl"];
                ("ndjson", "ndjson", "application/x-ndjson", accepted)
            }
            Bibtex => {
                let accepted = &["application/x-bibtex", "text/x-bibtex"];
                ("bibtex", "bib", "application/x-bibtex; charset=utf-8", accepted)
            }
            CslJson => {
                let media_type = "application/vnd.citationstyles.csl+json";
                (
                    "csl-json",
                    "json",
                    media_type,
                    &["application/vnd.citationstyles.csl+json"],
                )
            }
        }
    }

    /// The value of `format=`.
    pub(crate) fn name(self) -> &'static str {
        self.names().0
    }

    /// The extension of a file's name.
    pub(crate) fn extension(self) -> &'static str {
        self.names().1
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(self.names().2)
    }

    /// Reads the format that a client asks for, among `offered`. An unknown `format` is an error, an unknown type in
    /// `Accept` is not.
    pub(crate) fn read(reader: &mut ParamReader<'_>, headers: &HeaderMap, offered: &[Self]) -> Self {
        let Some(name) = reader.raw(&FORMAT_OF_RESULTS) else {
            return Self::accepted(headers, offered);
        };
        let found = offered.iter().find(|format| format.name() == name);
        found.copied().unwrap_or_else(|| {
            let names: Vec<_> = offered.iter().map(|format| format.name()).collect();
            reader.unfit(
                &FORMAT_OF_RESULTS,
                format!("it is none of {}", names.join(", ")),
                name,
            );
            Json
        })
    }

    /// The format with the greatest weight; of several, one that is named itself, then the first.
    fn accepted(headers: &HeaderMap, offered: &[Self]) -> Self {
        let types = offered
            .iter()
            .flat_map(|format| format.names().3.iter().map(|name| (*format, *name)));
        let weighted = types.map(|(format, media_type)| (format, wanted(headers, media_type)));
        let acceptable = weighted.filter(|(_, wanted)| wanted.quality > 0);
        let best = acceptable.min_by_key(|(_, wanted)| Reverse(*wanted));
        best.map_or(Json, |(format, _)| format)
    }
}

#[cfg(test)]
mod tests {
    use http::header;
    use wire::query::QueryString;

    use super::*;

    fn read(raw: &str, accept: &str) -> Result<Format, ()> {
        let query = QueryString::parse(Some(raw));
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        let mut reader = ParamReader::new(&query);
        let format = Format::read(&mut reader, &headers, OF_RESULTS);
        reader.finish().map(|()| format).map_err(drop)
    }

    #[test]
    fn format_is_chosen_by_parameter_then_by_accept() {
        for (raw, accept, expected) in [
            ("", "", Ok(Json)),
            ("", "*/*", Ok(Json)),
            ("", "text/html,application/xhtml+xml,*/*;q=0.8", Ok(Json)),
            ("", "text/csv", Ok(Csv)),
            ("", "Text/CSV; q=0.5, application/json;q=0.4", Ok(Csv)),
            ("", "text/csv;q=0.5, */*", Ok(Json)),
            ("", "text/csv;q=0", Ok(Json)),
            ("", "application/x-ndjson", Ok(Ndjson)),
            ("", "text/x-bibtex", Ok(Bibtex)),
            ("", "application/vnd.citationstyles.csl+json", Ok(CslJson)),
            ("", "image/png", Ok(Json)),
            ("format=csv", "application/json", Ok(Csv)),
            ("format=json", "text/csv", Ok(Json)),
            ("format=csl-json", "", Ok(CslJson)),
            ("format=xml", "", Err(())),
            ("format=", "", Err(())),
        ] {
            assert_eq!(read(raw, accept), expected, "{raw} {accept}");
        }
    }
}
