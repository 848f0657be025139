//! The parameters of results.

use http::HeaderMap;
use service::logs::Call;

use crate::{
    error::ApiError,
    output::cursor::Cursor,
    output::filter::{self, ResultSelection},
    output::format::{FORM_OF_RESULTS, Format, ResultForm},
    routes::request::{Defaults, Incoming, ReadRequest},
};
use wire::{
    declared::{Param, ParamKind},
    headers::prefer::Preferences,
    params::ParamReader,
};

/// Rows of one page: at a few kilobytes each, what one answer may hold in memory.
const MAX_ITEMS_PER_PAGE: i64 = 1000;

wire::params! {
    pub(crate) PAGE = "page": ParamKind::Integer(0..=i64::MAX), "0", "Which page, from 0.";
    ITEMS_PER_PAGE = "items_per_page": ParamKind::Integer(0..=MAX_ITEMS_PER_PAGE), "10", "How many results a page has.";
    AFTER = "after": ParamKind::Opaque, "",
        "In place of a page's number: empty to begin at the first result, then the cursor that the header Link named as the \
         next. Pages behind a cursor are made of settled results: none is missed or repeated, and a full one never changes.";
    ALL = "all": ParamKind::Boolean, "", "With true: all results that meet the filter, streamed.";
    ALL_OF_QUERY = "all": ParamKind::Boolean, "",
        "With true: all results of the query, streamed, whatever page is asked for. Formats other than JSON do so unless a page is \
         asked for.";
    TOTAL = "total": ParamKind::Boolean, "true",
        "With true: how many results meet the filter, in the header X-Total-Count, if they can be counted in time. \
         Prefer: count=exact asks for the same.";
}

/// Which page a client wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PageParams {
    /// From 0.
    pub(crate) page: i64,
    /// 0 to [`MAX_ITEMS_PER_PAGE`].
    pub(crate) items_per_page: i64,
}

impl PageParams {
    fn read(reader: &mut ParamReader<'_>, defaults: &Defaults) -> Self {
        Self {
            page: reader.integer(&PAGE).unwrap_or(defaults.page),
            items_per_page: reader.integer(&ITEMS_PER_PAGE).unwrap_or(defaults.items_per_page),
        }
    }

    /// These parameters as the log shows them.
    pub(crate) fn call(self, function: &'static str) -> Call {
        Call::new(function)
            .arg("page", self.page)
            .arg("items_per_page", self.items_per_page)
    }
}

/// What a client wants of the results of one query.
#[derive(Debug)]
pub(crate) struct QueryResultsParams {
    /// None for all of them.
    pub(crate) page: Option<PageParams>,
    pub(crate) form: ResultForm,
}

impl ReadRequest for QueryResultsParams {
    const PARAMS: &'static [&'static [Param]] = &[&[PAGE, ITEMS_PER_PAGE, ALL_OF_QUERY], &FORM_OF_RESULTS];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let page = PageParams::read(&mut reader, request.defaults());
        let form = ResultForm::read(&mut reader, request.headers());
        let named = [PAGE, ITEMS_PER_PAGE].map(|param| reader.raw(&param).is_some());
        // Who exports a query's papers wants all of them.
        let usual = form.format != Format::Json && named == [false, false];
        let all = reader.boolean(&ALL_OF_QUERY).unwrap_or(usual);
        reader.finish()?;
        let page = (!all).then_some(page);
        Ok(Self { page, form })
    }
}

/// Reports parameters that were given beside one that excludes them.
fn exclude(reader: &mut ParamReader<'_>, params: &[Param], other: &str) {
    for param in params {
        if let Some(text) = reader.raw(param) {
            reader.unfit(param, format!("it cannot be given together with {other}"), text);
        }
    }
}

/// Where a response begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Start {
    /// At the page with this number.
    Page(i64),
    /// Behind a cursor, or at the start of a walk.
    After(Option<Cursor>),
    /// At the first row, and goes on to the last.
    All,
}

/// All that a client asks for.
#[derive(Debug)]
pub(crate) struct ResultsRequest {
    pub(crate) start: Start,
    pub(crate) items_per_page: i64,
    pub(crate) rows: ResultSelection,
    pub(crate) form: ResultForm,
    /// `total=true`
    pub(crate) total: bool,
    /// `Prefer: count=exact`
    pub(crate) prefers_count: bool,
    /// The query string, for links.
    pub(crate) query: Option<String>,
    /// For conditions.
    pub(crate) headers: HeaderMap,
}

impl ReadRequest for ResultsRequest {
    const PARAMS: &'static [&'static [Param]] = &[
        &[PAGE, ITEMS_PER_PAGE, AFTER, ALL, TOTAL],
        &FORM_OF_RESULTS,
        &filter::OF_RESULTS,
    ];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let PageParams { page, items_per_page } = PageParams::read(&mut reader, request.defaults());
        let rows = filter::result_filter(&mut reader, request.defaults().zone);
        let form = ResultForm::read(&mut reader, request.headers());
        let total = reader.boolean(&TOTAL).unwrap_or_default();
        let all = reader.boolean(&ALL).unwrap_or_default();
        let after = reader.raw(&AFTER);
        let start = match after {
            None if all => Start::All,
            None => Start::Page(page),
            Some("") => Start::After(None),
            Some(text) => {
                let cursor = Cursor::parse(text, &rows);
                if cursor.is_none() {
                    let reason = "it is no cursor that was given for this filter";
                    reader.unfit(&AFTER, reason, text);
                }
                Start::After(cursor)
            }
        };
        if all {
            exclude(&mut reader, &[PAGE, ITEMS_PER_PAGE, AFTER], "all");
        } else if after.is_some() {
            exclude(&mut reader, &[PAGE], "after");
        }
        reader.finish()?;
        Ok(Self {
            start,
            items_per_page,
            rows,
            form,
            total,
            prefers_count: Preferences::read(request.headers()).count,
            query: request.parts.uri.query().map(str::to_owned),
            headers: request.parts.headers,
        })
    }
}

impl ResultsRequest {
    /// These parameters as the log shows them; of the newer ones, those that were sent.
    pub(crate) fn call(&self, function: &'static str) -> Call {
        let call = Call::new(function);
        let call = match self.start {
            Start::All => call.arg("all", "true"),
            Start::Page(page) => call.arg("page", page).arg("items_per_page", self.items_per_page),
            Start::After(cursor) => call
                .arg("after", cursor.map(|cursor| cursor.after))
                .arg("items_per_page", self.items_per_page),
        };
        match self.rows.canonical.trim_end_matches('\0') {
            "" => call,
            filters => call.arg("filter", filters.replace('\0', "&").as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use futures::FutureExt;

    use super::*;
    use crate::routes::request::RequestContext;

    fn read(raw: &str) -> Option<(Start, i64)> {
        let request = Request::get(format!("/results?{raw}"))
            .body(Body::empty())
            .unwrap();
        let request = Incoming::new(request, RequestContext::with_default_settings().unwrap());
        let request = ResultsRequest::read(request).now_or_never().unwrap().ok()?;
        Some((request.start, request.items_per_page))
    }

    #[test]
    fn page_params_are_read_within_bounds() {
        let page = |page, items| Some((Start::Page(page), items));
        assert_eq!(read(""), page(0, 10));
        assert_eq!(read("page=2&items_per_page=1_0"), page(2, 10));
        assert_eq!(read("page=0&page=2"), page(2, 10));
        assert_eq!(read("items_per_page=0"), page(0, 0));
        assert_eq!(read("all=false"), page(0, 10));
        assert_eq!(
            read("items_per_page=1000&page=9223372036854775807"),
            page(i64::MAX, 1000)
        );
        for raw in [
            "page=-1",
            "items_per_page=-1",
            "items_per_page=1001",
            "page=9223372036854775808",
            "page=x",
            "total=x",
            "all=maybe",
        ] {
            assert_eq!(read(raw), None, "{raw}");
        }
    }

    #[test]
    fn after_begins_and_continues_a_walk() {
        assert_eq!(read("after=&items_per_page=5"), Some((Start::After(None), 5)));
        assert_eq!(read("all=true"), Some((Start::All, 10)));
        let cursor = Cursor { epoch: 1, after: 7 };
        let text = cursor.text(&ResultSelection::default());
        assert_eq!(
            read(&format!("after={text}")),
            Some((Start::After(Some(cursor)), 10))
        );
        for raw in [
            format!("after={text}&author=x"),
            format!("after={text}&page=0"),
            "after=x".into(),
            "after=&all=true".into(),
            "all=true&page=1".into(),
        ] {
            assert_eq!(read(&raw), None, "{raw}");
        }
    }
}
