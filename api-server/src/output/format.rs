//! The format of a response: by `format=`, else by `Accept`, else JSON.

use std::cmp::Reverse;

use http::{HeaderMap, HeaderValue};

use super::columns::{Column, Columns};
use wire::{
    declared::{Param, ParamKind},
    headers::accept::wanted,
    params::ParamReader,
};

/// The format of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Json,
    Csv {
        /// Whether it begins with a byte order mark.
        with_mark: bool,
    },
    Ndjson,
    Bibtex,
    CslJson,
    Ris,
    Atom,
}

use Format::{Atom, Bibtex, CslJson, Csv, Json, Ndjson, Ris};

const CSV: Format = Csv { with_mark: false };

/// The formats of results.
pub(crate) const OF_RESULTS: &[Format] = &[Json, CSV, Ndjson, Bibtex, CslJson, Ris, Atom];
/// The formats of queries.
pub(crate) const OF_QUERIES: &[Format] = &[Json, CSV, Ndjson];

const ABOUT: &str = "The form of the answer; without it, what the header Accept asks for.";
wire::params! {
    pub(crate) FORMAT_OF_RESULTS = "format":
        ParamKind::OneOf(&["json", "csv", "ndjson", "bibtex", "csl-json", "ris", "atom"]), "json", ABOUT;
    pub(crate) FIELDS = "fields": ParamKind::SomeOf(&Columns::NAMES), "title,doi",
        "Which fields JSON, NDJSON and CSV have, with commas between. Usually JSON has author, title and journal, the others have all. Without effect \
         in the others.";
    pub(crate) BOM = "bom": ParamKind::Boolean, "true",
        "With true: CSV begins with a byte order mark, by which Excel recognises UTF-8.";
    pub(crate) WITH_VERSION = "with_version": ParamKind::Boolean, "true",
        "With true: in BibTeX, CSL-JSON and RIS, identifiers and addresses name the version.";
    pub(crate) FORMAT_OF_QUERIES = "format": ParamKind::OneOf(&["json", "csv", "ndjson"]), "json", ABOUT;
}

/// How results are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ResultForm {
    pub(crate) format: Format,
    /// Of the formats with columns.
    pub(crate) columns: Columns,
    pub(crate) citations: citations::Options,
}

/// How papers by themselves are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PaperForm {
    pub(crate) format: Format,
    pub(crate) citations: citations::Options,
}

/// What chooses the form of papers.
pub(crate) const FORM_OF_PAPERS: [Param; 3] = [FORMAT_OF_RESULTS, BOM, WITH_VERSION];

impl PaperForm {
    /// Reads the form that a client asks for; errors are collected in `reader`.
    pub(crate) fn read(reader: &mut ParamReader<'_>, headers: &HeaderMap) -> Self {
        Self {
            format: Format::read(reader, headers, OF_RESULTS),
            citations: citations::Options {
                with_version: reader.boolean(&WITH_VERSION).unwrap_or_default(),
            },
        }
    }
}

/// What chooses the form of results.
pub(crate) const FORM_OF_RESULTS: [Param; 4] = [FORMAT_OF_RESULTS, FIELDS, BOM, WITH_VERSION];

impl ResultForm {
    /// Reads the form that a client asks for; errors are collected in `reader`.
    pub(crate) fn read(reader: &mut ParamReader<'_>, headers: &HeaderMap) -> Self {
        let PaperForm { format, citations } = PaperForm::read(reader, headers);
        Self {
            format,
            columns: columns(reader, format),
            citations,
        }
    }
}

impl ResultForm {
    /// Whether it is that of the existing service.
    pub(crate) fn is_compatible(self) -> bool {
        self.format == Json && self.columns == Columns::COMPATIBLE
    }

    /// Whether more is shown of a paper than its row has.
    pub(crate) fn shows_whole_papers(self) -> bool {
        self.format.has_entries() || self.columns.iter().any(Column::is_of_whole_paper)
    }
}

fn columns(reader: &mut ParamReader<'_>, format: Format) -> Columns {
    let usual = match format {
        Json => Columns::COMPATIBLE,
        Csv { .. } | Ndjson => Columns::ALL,
        Bibtex | CslJson | Ris | Atom => Columns::NONE,
    };
    let Some(names) = reader.raw(&FIELDS) else {
        return usual;
    };
    let chosen = Columns::named(names).unwrap_or_else(|unknown| {
        let reason = format!("{unknown:?} is none of {}", Columns::NAMES.join(", "));
        reader.unfit(&FIELDS, reason, names);
        usual
    });
    // An entry has no columns.
    if format.has_entries() { usual } else { chosen }
}

/// The value of `format=`, the extension of a file's name, `Content-Type`, and the types in `Accept`.
type Names = (&'static str, &'static str, &'static str, &'static [&'static str]);

impl Format {
    const fn names(self) -> Names {
        match self {
            Json => ("json", "json", "application/json", &["application/json"]),
            Csv { .. } => (
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
            Ris => {
                let media_type = "application/x-research-info-systems; charset=utf-8";
                ("ris", "ris", media_type, &["application/x-research-info-systems"])
            }
            Atom => ("atom", "atom", "application/atom+xml", &["application/atom+xml"]),
        }
    }

    /// Whether each paper is one entry, of a bibliography or a feed, however many queries found it.
    pub(crate) fn has_entries(self) -> bool {
        matches!(self, Bibtex | CslJson | Ris | Atom)
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
        let with_mark = reader.boolean(&BOM).unwrap_or_default();
        match Self::named_or_accepted(reader, headers, offered) {
            Csv { .. } => Csv { with_mark },
            format => format,
        }
    }

    fn named_or_accepted(reader: &mut ParamReader<'_>, headers: &HeaderMap, offered: &[Self]) -> Self {
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
            ("", "text/csv", Ok(CSV)),
            ("", "Text/CSV; q=0.5, application/json;q=0.4", Ok(CSV)),
            ("", "text/csv;q=0.5, */*", Ok(Json)),
            ("", "text/csv;q=0", Ok(Json)),
            ("", "application/x-ndjson", Ok(Ndjson)),
            ("", "text/x-bibtex", Ok(Bibtex)),
            ("", "application/vnd.citationstyles.csl+json", Ok(CslJson)),
            ("", "image/png", Ok(Json)),
            ("format=csv", "application/json", Ok(CSV)),
            ("format=csv&bom=true", "", Ok(Csv { with_mark: true })),
            ("bom=true", "text/csv", Ok(Csv { with_mark: true })),
            ("format=csv&bom=false", "", Ok(CSV)),
            ("bom=true", "", Ok(Json)),
            ("bom=x", "", Err(())),
            ("format=json", "text/csv", Ok(Json)),
            ("", "application/x-research-info-systems", Ok(Ris)),
            ("", "application/atom+xml, */*;q=0.1", Ok(Atom)),
            (
                "",
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Ok(Json),
            ),
            ("format=atom", "", Ok(Atom)),
            ("format=csl-json", "", Ok(CslJson)),
            ("format=xml", "", Err(())),
            ("format=", "", Err(())),
        ] {
            assert_eq!(read(raw, accept), expected, "{raw} {accept}");
        }
    }
}
