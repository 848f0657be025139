//! The parameters of feeds.

use http::{HeaderMap, Uri, header, request::Parts};
use sha2::{Digest, Sha256};
use storage::feeds::FeedKey;
use uuid::Uuid;
use wire::{
    dates::RangeEnd,
    declared::{Param, ParamKind},
    headers::accept::wanted,
    hex,
    params::ParamReader,
    root_path::RootPath,
};

use crate::{
    error::ApiError,
    limits::client::{ClientAddress, OverTls},
    output::{
        filter::time,
        format::{BOM, PaperForm, WITH_VERSION},
    },
    routes::request::{Incoming, ReadRequest},
};

/// Items of one page: with an abstract each.
const MAX_ITEMS_PER_PAGE: i64 = 1_000;
/// As many as readers of feeds usually get.
const USUAL_ITEMS: i64 = 50;
const USUAL_FEEDS: i64 = 1_000;
const CURSOR_VERSION: &str = "1";

/// The values of `format=`.
const FORMATS: [&str; 9] = [
    "json",
    "atom",
    "rss",
    "json-feed",
    "csv",
    "ndjson",
    "bibtex",
    "csl-json",
    "ris",
];

wire::params! {
    pub(super) ITEMS_PER_PAGE = "items_per_page": ParamKind::Integer(1..=MAX_ITEMS_PER_PAGE), "10",
        "How many a page has; 50 items or 1,000 feeds without it.";
    pub(super) AFTER = "after": ParamKind::Opaque, "",
        "The cursor that the header Link named as the next; without it, or empty, the list begins.";
    SINCE = "since": ParamKind::Time, "",
        "Only what became an item from this time on: a date as /queries takes it, or unix seconds.";
    FORMAT = "format":
        ParamKind::OneOf(&FORMATS), "json",
        "The form of the answer; without it, the end of the path (.atom, .rss, .json for JSON Feed), else what the header Accept asks for.";
}

/// What is asked of the list of feeds.
#[derive(Debug)]
pub(crate) struct FeedsRequest {
    pub(super) after: Option<FeedKey>,
    pub(super) items_per_page: i64,
    /// The query string, for links.
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
}

impl ReadRequest for FeedsRequest {
    const PARAMS: &'static [&'static [Param]] = &[&[ITEMS_PER_PAGE, AFTER]];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let items_per_page = reader.integer(&ITEMS_PER_PAGE).unwrap_or(USUAL_FEEDS);
        let after = cursor(&mut reader, |text| {
            let (namespace, name) = text.split_once('/')?;
            Some(FeedKey {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        });
        reader.finish()?;
        Ok(Self {
            after,
            items_per_page,
            query: request.parts.uri.query().map(str::to_owned),
            headers: request.parts.headers,
        })
    }
}

/// What is asked of one feed.
#[derive(Debug)]
pub(crate) struct ItemsRequest {
    /// A feed and the position that its items are before.
    pub(super) after: Option<(Uuid, i64)>,
    /// Unix seconds.
    pub(super) since: Option<i64>,
    pub(super) items_per_page: i64,
    pub(super) form: ItemsForm,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    /// The scheme and the host that the client sent it to, if it named one.
    pub(super) origin: Option<String>,
}

/// How items are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ItemsForm {
    /// For programs that read papers.
    Papers(PaperForm),
    /// For readers of feeds.
    Subscription(Syndication),
}

impl ItemsForm {
    /// Reads the form that a client asks for; errors are collected in `reader`.
    pub(super) fn read(reader: &mut ParamReader<'_>, path: &str, headers: &HeaderMap) -> Self {
        if let Some(unknown) = reader.raw(&FORMAT).filter(|name| !FORMATS.contains(name)) {
            reader.unfit(&FORMAT, format!("it is none of {}", FORMATS.join(", ")), unknown);
            // No answer has it.
            return Self::Subscription(Syndication::Atom);
        }
        if let Some(form) = Syndication::asked(reader, path, headers) {
            // Without effect, and yet no other values than elsewhere.
            let _ = (reader.boolean(&BOM), reader.boolean(&WITH_VERSION));
            return Self::Subscription(form);
        }
        Self::Papers(PaperForm::read(reader, headers))
    }
}

/// A format of feeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Syndication {
    Atom,
    Rss,
    JsonFeed,
}

impl Syndication {
    pub(crate) const ALL: [Self; 3] = [Self::Atom, Self::Rss, Self::JsonFeed];

    /// The value of `format=`, the end of the path, and the media type.
    pub(crate) fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Atom => ("atom", ".atom", "application/atom+xml"),
            Self::Rss => ("rss", ".rss", "application/rss+xml"),
            Self::JsonFeed => ("json-feed", ".json", "application/feed+json"),
        }
    }

    fn asked(reader: &ParamReader<'_>, path: &str, headers: &HeaderMap) -> Option<Self> {
        if let Some(format) = reader.raw(&FORMAT) {
            return Self::ALL.into_iter().find(|form| form.names().0 == format);
        }
        let of_path = Self::ALL.into_iter().find(|form| path.ends_with(form.names().1));
        of_path.or_else(|| Self::accepted(headers))
    }

    /// The one that a client would rather have than JSON.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let json = wanted(headers, "application/json");
        let best = Self::ALL
            .into_iter()
            .max_by_key(|form| wanted(headers, form.names().2));
        best.filter(|form| {
            let wanted = wanted(headers, form.names().2);
            wanted.quality > 0 && wanted > json
        })
    }
}

/// The name of a feed in a path, which may have a format at its end.
pub(super) fn feed_name(text: &str) -> &str {
    let mut ends = Syndication::ALL.iter().map(|form| form.names().1);
    ends.find_map(|end| text.strip_suffix(end)).unwrap_or(text)
}

impl ReadRequest for ItemsRequest {
    const PARAMS: &'static [&'static [Param]] = &[&[ITEMS_PER_PAGE, AFTER, SINCE, FORMAT, BOM, WITH_VERSION]];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let items_per_page = reader.integer(&ITEMS_PER_PAGE).unwrap_or(USUAL_ITEMS);
        let since = time(&mut reader, request.defaults().zone, &SINCE, RangeEnd::Start);
        let after = cursor(&mut reader, |text| {
            let (feed, position) = text.split_once('/')?;
            Some((Uuid::parse_str(feed).ok()?, position.parse().ok()?))
        });
        let uri = request.parts.uri.clone();
        let form = ItemsForm::read(&mut reader, uri.path(), request.headers());
        reader.finish()?;
        Ok(Self {
            after,
            since,
            items_per_page,
            form,
            uri,
            origin: origin(&request.parts),
            headers: request.parts.headers,
        })
    }
}

impl ItemsRequest {
    /// An address of this server, as absolute as is known. Without the query.
    pub(super) fn address(&self, root: &RootPath, path: &str) -> String {
        format!("{}{}", self.origin.as_deref().unwrap_or_default(), root.of(path))
    }
}

/// As trusted proxies say, else as the request says.
fn origin(parts: &Parts) -> Option<String> {
    let sent_to = parts.extensions.get::<ClientAddress>();
    let sent_to = sent_to.map(|ClientAddress(_, sent_to)| sent_to);
    let forwarded = sent_to.and_then(|sent_to| sent_to.hosts.first().cloned());
    let own = || Some(parts.headers.get(header::HOST)?.to_str().ok()?.to_owned());
    let over_tls =
        parts.extensions.get::<OverTls>().is_some() || sent_to.is_some_and(|sent_to| sent_to.over_tls);
    let scheme = if over_tls { "https" } else { "http" };
    forwarded.or_else(own).map(|host| format!("{scheme}://{host}"))
}

/// A cursor is opaque to clients, has a version, and has a checksum that detects typing errors.
pub(super) fn cursor_of(text: &str) -> String {
    let mut sum = Sha256::new_with_prefix("cursor of feeds");
    sum.update(text);
    format!(
        "{CURSOR_VERSION}-{}-{}",
        hex(text.as_bytes()),
        hex(&sum.finalize()[..8])
    )
}

/// The cursor in `after`, if there is one.
pub(super) fn cursor<T>(reader: &mut ParamReader<'_>, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let given = reader.raw(&AFTER).filter(|text| !text.is_empty())?;
    let cursor = text_of(given).as_deref().and_then(parse);
    if cursor.is_none() {
        reader.unfit(&AFTER, "it is no cursor that was given for this list", given);
    }
    cursor
}

fn text_of(cursor: &str) -> Option<String> {
    let digits = cursor.split('-').nth(1)?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    let text = String::from_utf8(bytes?).ok()?;
    (cursor_of(&text) == cursor).then_some(text)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use futures::FutureExt;

    use super::*;
    use crate::routes::request::RequestContext;

    fn read(uri: &str, accept: &str) -> Result<ItemsRequest, ApiError> {
        let request = Request::get(uri)
            .header(header::ACCEPT, accept)
            .header(header::HOST, "example.org:8080");
        let request = request.body(Body::empty()).unwrap();
        let request = Incoming::new(request, RequestContext::with_default_settings().unwrap());
        ItemsRequest::read(request).now_or_never().unwrap()
    }

    #[test]
    fn form_is_chosen_by_parameter_then_by_path_then_by_accept() {
        use Syndication::{Atom, JsonFeed, Rss};
        for (uri, accept, expected) in [
            ("/feeds/a", "", None),
            ("/feeds/a", "*/*", None),
            (
                "/feeds/a",
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                None,
            ),
            ("/feeds/a", "application/atom+xml", Some(Atom)),
            (
                "/feeds/a",
                "application/rss+xml;q=0.9, application/atom+xml;q=0.8",
                Some(Rss),
            ),
            ("/feeds/a", "application/feed+json, */*;q=0.1", Some(JsonFeed)),
            ("/feeds/a", "application/json, application/atom+xml;q=0.5", None),
            ("/feeds/a", "application/atom+xml;q=0", None),
            ("/feeds/a.atom", "", Some(Atom)),
            ("/feeds/a.rss", "application/atom+xml", Some(Rss)),
            ("/feeds/a.json", "", Some(JsonFeed)),
            ("/feeds/a.atom?format=rss", "", Some(Rss)),
            ("/feeds/a.atom?format=bibtex", "", None),
            ("/feeds/a?format=json-feed", "", Some(JsonFeed)),
        ] {
            let form = match read(uri, accept).unwrap().form {
                ItemsForm::Subscription(form) => Some(form),
                ItemsForm::Papers(_) => None,
            };
            assert_eq!(form, expected, "{uri} {accept}");
        }
        let wrong = format!("{:?}", read("/feeds/a?format=xml", "").unwrap_err());
        assert!(wrong.contains("rss, json-feed"), "all formats: {wrong}");
        for wrong in ["/feeds/a?format=", "/feeds/a?bom=x", "/feeds/a.rss?bom=x"] {
            assert!(read(wrong, "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn name_is_what_the_path_has_before_a_format() {
        for (text, name) in [
            ("knuth", "knuth"),
            ("knuth.atom", "knuth"),
            ("knuth.rss", "knuth"),
            ("knuth.json", "knuth"),
            ("knuth.v2", "knuth.v2"),
            ("knuth.json.json", "knuth.json"),
        ] {
            assert_eq!(feed_name(text), name);
        }
    }

    #[test]
    fn cursor_is_read_only_as_it_was_given() {
        let feed = Uuid::from_u128(7);
        let cursor = cursor_of(&format!("{feed}/12"));
        let asked = read(&format!("/feeds/a?after={cursor}"), "").unwrap();
        assert_eq!(asked.after, Some((feed, 12)));
        assert_eq!(
            asked.address(&RootPath::default(), "/feeds/a"),
            "http://example.org:8080/feeds/a"
        );
        for wrong in [
            format!("{cursor}0"),
            format!("2{}", &cursor[1..]),
            cursor_of("x"),
            "x".to_owned(),
        ] {
            assert!(read(&format!("/feeds/a?after={wrong}"), "").is_err(), "{wrong}");
        }
    }
}
