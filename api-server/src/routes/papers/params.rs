//! The parameters of papers.

use http::HeaderMap;
use paper::PaperId;
use service::logs::Call;
use sha2::{Digest, Sha256};
use storage::{PaperFilter, PaperOrder, PaperPosition};
use wire::{
    dates::{RangeEnd, Zone},
    declared::{Param, ParamKind},
    headers::prefer::Preferences,
    hex,
    params::ParamReader,
};

use crate::{
    error::ApiError,
    output::filter::{CATEGORY_NAME, WORDS, category, time, words},
    output::format::{FORM_OF_PAPERS, PaperForm},
    routes::request::{Incoming, ReadRequest},
};

/// Papers of one page: with an abstract each.
const MAX_ITEMS_PER_PAGE: i64 = 1000;
const CURSOR_VERSION: &str = "1";

wire::params! {
    Q = "q": WORDS, "random graphs",
        "Words in title, authors, abstract, comment or journal reference: all have to be there, without regard to case, accents \
         and punctuation; between double quotes a phrase.";
    AUTHOR = "author": WORDS, "erdos", "Words in the authors, as for q.";
    CATEGORY = "category": CATEGORY_NAME, "math.*",
        "One of arXiv's categories, such as math.CO, or all of an archive, such as math.*; in any case.";
    DOI = "doi": ParamKind::Token(300), "", "The DOI of the publication, in any case, also as an address at doi.org.";
    PUBLISHED_AFTER = "published_after": ParamKind::Time, "",
        "First submitted from this time on: a date as /queries takes it, or unix seconds.";
    PUBLISHED_BEFORE = "published_before": ParamKind::Time, "",
        "First submitted up to and with this time, or day, as for published_after.";
    UPDATED_AFTER = "updated_after": ParamKind::Time, "",
        "The newest version was submitted from this time on, as for published_after.";
    UPDATED_BEFORE = "updated_before": ParamKind::Time, "",
        "The newest version was submitted up to and with this time, or day, as for published_after.";
    ORDER = "order": ParamKind::OneOf(&["updated", "published", "relevance"]), "updated",
        "updated and published: the last submitted first. relevance: what has the words of q in its title first, then in its \
         authors, then the last submitted; the best fifty are compared by all their words. Of words that more than 4,000 \
         papers have, about the last hundred papers or more are listed.";
    pub(super) ITEMS_PER_PAGE = "items_per_page": ParamKind::Integer(1..=MAX_ITEMS_PER_PAGE), "10", "How many papers a page has.";
    AFTER = "after": ParamKind::Opaque, "",
        "The cursor that the header Link named as the next; without it, or empty, the list begins.";
    TOTAL = "total": ParamKind::Boolean, "true",
        "With true: how many papers match, in the header X-Total-Count, if they can be counted in time. Prefer: count=exact asks \
         for the same.";
}

/// What all pages of a list have in common.
const LIST: [Param; 9] = [
    Q,
    AUTHOR,
    CATEGORY,
    DOI,
    PUBLISHED_AFTER,
    PUBLISHED_BEFORE,
    UPDATED_AFTER,
    UPDATED_BEFORE,
    ORDER,
];

/// What is asked of one paper.
#[derive(Debug)]
pub(crate) struct PaperRequest {
    pub(super) form: PaperForm,
    pub(super) headers: HeaderMap,
}

impl ReadRequest for PaperRequest {
    const PARAMS: &'static [&'static [Param]] = &[&FORM_OF_PAPERS];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let form = PaperForm::read(&mut reader, request.headers());
        reader.finish()?;
        Ok(Self {
            form,
            headers: request.parts.headers,
        })
    }
}

/// What is asked of a list.
#[derive(Debug)]
pub(crate) struct PapersRequest {
    pub(super) filter: PaperFilter,
    pub(super) order: PaperOrder,
    /// The parameters of filter and order as they were given, in a fixed order.
    pub(super) list: String,
    pub(super) after: Option<PaperPosition>,
    pub(super) items_per_page: i64,
    pub(super) form: PaperForm,
    /// Whether `total` or `Prefer` asks for the number of all.
    pub(super) total: bool,
    pub(super) prefers_count: bool,
    /// The query string, for links.
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
}

impl ReadRequest for PapersRequest {
    const PARAMS: &'static [&'static [Param]] = &[&LIST, &[ITEMS_PER_PAGE, AFTER, TOTAL], &FORM_OF_PAPERS];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let filter = filter(&mut reader, request.defaults().zone);
        let order = order(&mut reader, filter.words.is_some());
        let list = LIST
            .iter()
            .filter_map(|param| Some((param.name, reader.raw(param)?)));
        let list = list.fold(String::new(), |list, (name, value)| {
            list + name + "=" + value + "\0"
        });
        let after = reader
            .raw(&AFTER)
            .filter(|text| !text.is_empty())
            .and_then(|text| {
                let position = read_cursor(text, &filter, order);
                if position.is_none() {
                    reader.unfit(
                        &AFTER,
                        "it is no cursor that was given for this filter and order",
                        text,
                    );
                }
                position
            });
        let items_per_page = reader.integer(&ITEMS_PER_PAGE);
        let items_per_page = items_per_page.unwrap_or(request.defaults().items_per_page.max(1));
        let form = PaperForm::read(&mut reader, request.headers());
        let total = reader.boolean(&TOTAL).unwrap_or_default();
        reader.finish()?;
        let prefers_count = Preferences::read(request.headers()).count;
        Ok(Self {
            filter,
            order,
            list,
            after,
            items_per_page,
            form,
            total: total || prefers_count,
            prefers_count,
            query: request.parts.uri.query().map(str::to_owned),
            headers: request.parts.headers,
        })
    }
}

impl PapersRequest {
    /// These parameters as the log shows them.
    pub(super) fn call(&self) -> Call {
        let filter = format!("{:?}", self.filter);
        Call::new("papers")
            .arg("items_per_page", self.items_per_page)
            .arg("filter", filter.as_str())
    }

    /// The value of `after` for what follows this position.
    pub(super) fn cursor(&self, position: &PaperPosition) -> String {
        cursor(position, &self.filter, self.order)
    }

    /// What the content of the answer depends on, besides the papers.
    pub(super) fn identity(&self) -> String {
        format!(
            "{} {:?} {:?} {:?} {}",
            self.list, self.filter, self.order, self.after, self.items_per_page
        )
    }
}

fn filter(reader: &mut ParamReader<'_>, zone: Zone) -> PaperFilter {
    PaperFilter {
        words: words(reader, &Q),
        author: words(reader, &AUTHOR),
        category: category(reader, &CATEGORY),
        doi: doi(reader),
        published: (
            time(reader, zone, &PUBLISHED_AFTER, RangeEnd::Start),
            time(reader, zone, &PUBLISHED_BEFORE, RangeEnd::End),
        ),
        updated: (
            time(reader, zone, &UPDATED_AFTER, RangeEnd::Start),
            time(reader, zone, &UPDATED_BEFORE, RangeEnd::End),
        ),
    }
}

fn order(reader: &mut ParamReader<'_>, has_words: bool) -> PaperOrder {
    match reader.raw(&ORDER) {
        None | Some("updated") => PaperOrder::Updated,
        Some("published") => PaperOrder::Published,
        Some("relevance") if has_words => PaperOrder::Relevance,
        Some(text) => {
            let reason = match text {
                "relevance" => "relevance is that of the words in q, which is missing",
                _ => "it is none of updated, published, relevance",
            };
            reader.unfit(&ORDER, reason, text);
            PaperOrder::Updated
        }
    }
}

/// The DOI in an address or after its scheme.
fn doi(reader: &mut ParamReader<'_>) -> Option<String> {
    let text = reader.text(&DOI)?;
    let lower = text.trim_matches(' ').to_ascii_lowercase();
    let rest = lower
        .strip_prefix("doi:")
        .unwrap_or(&lower)
        .trim_start_matches(' ');
    let rest = rest.split_once("doi.org/").map_or(rest, |(_, doi)| doi);
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(rest.to_owned());
    }
    reader.unfit(&DOI, "it is no DOI, such as 10.1103/PhysRevD.76.013009", text);
    None
}

/// A cursor is opaque to clients, has a version, and is bound to its filter and order by a checksum.
fn cursor(position: &PaperPosition, filter: &PaperFilter, order: PaperOrder) -> String {
    let id = hex(position.id.to_string().as_bytes());
    let text = format!("{CURSOR_VERSION}-{:x}-{id}", position.key.cast_unsigned());
    let mut sum = Sha256::new_with_prefix("cursor of papers");
    sum.update(&text);
    sum.update(format!("{filter:?} {order:?}"));
    format!("{text}-{}", hex(&sum.finalize()[..8]))
}

/// None for what is no cursor of this version, or was given for another filter or order.
fn read_cursor(text: &str, filter: &PaperFilter, order: PaperOrder) -> Option<PaperPosition> {
    let mut parts = text.split('-').skip(1);
    let key = u64::from_str_radix(parts.next()?, 16).ok()?.cast_signed();
    let id = parts.next()?;
    let byte = |at: usize| u8::from_str_radix(id.get(at..at + 2)?, 16).ok();
    let id: Option<Vec<u8>> = (0..id.len()).step_by(2).map(byte).collect();
    let id = String::from_utf8(id?).ok()?;
    let position = PaperPosition {
        key,
        id: PaperId::of_entry(&id),
    };
    (cursor(&position, filter, order) == text).then_some(position)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use futures::FutureExt;

    use super::*;
    use crate::routes::request::RequestContext;

    fn read(raw: &str) -> Result<PapersRequest, ApiError> {
        let request = Request::get(format!("/papers?{raw}"))
            .body(Body::empty())
            .unwrap();
        let request = Incoming::new(request, RequestContext::with_default_settings().unwrap());
        PapersRequest::read(request).now_or_never().unwrap()
    }

    #[test]
    fn list_is_read_from_its_parameters() {
        let asked = read(
            "q=graphs&category=MATH.*&doi=https%3A%2F%2Fdoi.org%2F10.1%2FX&updated_before=1970-01-02T00:00:00Z&order=relevance",
        )
        .unwrap();
        assert_eq!(asked.order, PaperOrder::Relevance);
        assert_eq!(asked.filter.category.as_deref(), Some("math.*"));
        assert_eq!(asked.filter.doi.as_deref(), Some("10.1/x"));
        assert_eq!(asked.filter.updated, (None, Some(86_400)));
        for raw in [
            "10.1/X",
            "+doi:+10.1/x",
            "DOI%3A10.1/x",
            "http://dx.doi.org/10.1/x",
        ] {
            let doi = read(&format!("doi={raw}")).unwrap().filter.doi;
            assert_eq!(doi.as_deref(), Some("10.1/x"), "{raw}");
        }
        for raw in [
            "order=relevance",
            "order=x",
            "items_per_page=0",
            "items_per_page=1001",
            "q=",
            "after=x",
            "published_after=1711843200000",
            "category=a%20b",
            "doi=",
            "doi=doi:",
            "doi=10.1/a%00",
            "doi=10.1/a%1F",
            "doi=10.1/a%C2%85",
            "doi=10.1/a%0A",
            "doi=10.1/a+b",
            "doi=10.1/%ff",
            "format=xml",
        ] {
            assert!(read(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn cursor_is_valid_for_its_filter_and_order_only() {
        let asked = read("q=graphs").unwrap();
        for id in ["2405.00001v2", "math/0309136", "x"] {
            let position = PaperPosition {
                key: -5,
                id: PaperId::of_entry(id),
            };
            let text = asked.cursor(&position);
            assert_eq!(
                read(&format!("q=graphs&after={text}")).unwrap().after,
                Some(position)
            );
            for raw in [
                format!("q=graph&after={text}"),
                format!("q=graphs&order=published&after={text}"),
                format!("q=graphs&after={text}0"),
                format!("q=graphs&after=2{}", &text[1..]),
            ] {
                assert!(read(&raw).is_err(), "{raw}");
            }
        }
        assert_eq!(read("after=").unwrap().after, None);
    }
}
