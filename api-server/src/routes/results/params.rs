//! The parameters of results.
//!
//! `page` (from 0) and `items_per_page` as ever. `after` begins a walk by cursor (empty) or goes on with it (what `Link` named).
//! `all=true` is everything, streamed. `total=true`, or `Prefer: count=exact`, asks for the number of rows. `format`: see
//! [`Format`]. The filters: see [`filter`].

use axum::extract::{FromRef, FromRequestParts};
use http::{HeaderMap, request::Parts};
use service::logs::Call;

use crate::{
    error::ApiError,
    output::cursor::Cursor,
    output::filter::{self, ResultSelection},
    output::format::{FORMAT_OF_RESULTS, Format, OF_RESULTS},
    routes::context::{Defaults, RequestContext, query_string},
    routes::route::Declared,
};
use wire::{
    dates::Zone,
    declared::{Param, ParamKind},
    field_error::FieldErrors,
    headers::prefer::Preferences,
    params::ParamReader,
    query::QueryString,
};

/// Rows of one page: at a few kilobytes each, what one answer may hold in memory.
const MAX_ITEMS_PER_PAGE: i64 = 1000;

const PAGE: Param = Param::new(
    "page",
    ParamKind::Integer(0..=i64::MAX),
    "0",
    "Which page, from 0.",
);
const ITEMS_PER_PAGE: Param = Param::new(
    "items_per_page",
    ParamKind::Integer(0..=MAX_ITEMS_PER_PAGE),
    "10",
    "How many results a page has.",
);
const AFTER: Param = Param::new(
    "after",
    ParamKind::Opaque,
    "",
    "In place of a page's number: empty to begin at the first result, then the cursor that the header Link named as the next. Pages \
     behind a cursor are made of settled results: none is missed or repeated, and a full one never changes.",
);
const ALL: Param = Param::new(
    "all",
    ParamKind::Boolean,
    "",
    "With true: all results that meet the filter, streamed.",
);
const TOTAL: Param = Param::new(
    "total",
    ParamKind::Boolean,
    "true",
    "With true: how many results meet the filter, in the header X-Total-Count, if they can be counted in time. Prefer: count=exact \
     asks for the same.",
);

/// The page that a client gets which does not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageDefaults {
    pub(crate) page: i64,
    pub(crate) items_per_page: i64,
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
    /// Reads the two; what is wrong is noted.
    fn read(reader: &mut ParamReader<'_>, defaults: PageDefaults) -> Self {
        let page = reader.integer(&PAGE);
        let items_per_page = reader.integer(&ITEMS_PER_PAGE);
        Self {
            page: page.unwrap_or(defaults.page),
            items_per_page: items_per_page.unwrap_or(defaults.items_per_page),
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryResultsParams {
    pub(crate) page: PageParams,
    pub(crate) format: Format,
}

impl QueryResultsParams {
    pub(crate) const DECLARED: &'static [Param] = &[PAGE, ITEMS_PER_PAGE, FORMAT_OF_RESULTS];

    fn read(query: &QueryString, headers: &HeaderMap, defaults: PageDefaults) -> Result<Self, FieldErrors> {
        let mut reader = ParamReader::new(query);
        let params = Self {
            page: PageParams::read(&mut reader, defaults),
            format: Format::read(&mut reader, headers, OF_RESULTS),
        };
        reader.finish()?;
        Ok(params)
    }
}

impl Declared for QueryResultsParams {
    const PARAMS: &'static [&'static [Param]] = &[Self::DECLARED];
}

impl<S> FromRequestParts<S> for QueryResultsParams
where
    S: Sync,
    RequestContext: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let defaults = RequestContext::from_ref(state).defaults.page;
        Ok(Self::read(&query_string(parts), &parts.headers, defaults)?)
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
pub(crate) struct ResultsParams {
    pub(crate) start: Start,
    pub(crate) items_per_page: i64,
    pub(crate) rows: ResultSelection,
    pub(crate) format: Format,
    pub(crate) total: bool,
}

impl ResultsParams {
    pub(crate) const DECLARED: &'static [Param] = &[
        PAGE,
        ITEMS_PER_PAGE,
        AFTER,
        ALL,
        TOTAL,
        FORMAT_OF_RESULTS,
        filter::AUTHOR,
        filter::TITLE,
        filter::JOURNAL,
        filter::CATEGORY,
        filter::QUERY_ID,
        filter::START_TIME,
        filter::END_TIME,
    ];

    fn read(
        query: &QueryString,
        headers: &HeaderMap,
        defaults: PageDefaults,
        zone: Zone,
    ) -> Result<Self, FieldErrors> {
        let mut reader = ParamReader::new(query);
        let PageParams { page, items_per_page } = PageParams::read(&mut reader, defaults);
        let rows = filter::result_filter(&mut reader, zone);
        let format = Format::read(&mut reader, headers, OF_RESULTS);
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
        for param in [PAGE, ITEMS_PER_PAGE, AFTER] {
            let excluded = (param.name == PAGE.name && after.is_some()) || all;
            if let Some(text) = reader.raw(&param).filter(|_| excluded) {
                let other = if all { "all" } else { "after" };
                reader.unfit(&param, format!("it cannot be given together with {other}"), text);
            }
        }
        reader.finish()?;
        Ok(Self {
            start,
            items_per_page,
            rows,
            format,
            total,
        })
    }

    /// These parameters as the log shows them; of the newer ones, those that are given.
    pub(crate) fn call(&self, function: &'static str) -> Call {
        let call = match self.start {
            Start::Page(page) => PageParams {
                page,
                items_per_page: self.items_per_page,
            }
            .call(function),
            Start::After(cursor) => Call::new(function)
                .arg("after", cursor.map(|cursor| cursor.after))
                .arg("items_per_page", self.items_per_page),
            Start::All => Call::new(function).arg("all", "true"),
        };
        let filters = self.rows.canonical.trim_end_matches('\0');
        if filters.is_empty() {
            call
        } else {
            call.arg("filter", filters.replace('\0', "&").as_str())
        }
    }
}

/// What is read from the request.
#[derive(Debug)]
pub(crate) struct ResultsRequest {
    pub(crate) params: ResultsParams,
    /// `Prefer: count=exact`.
    pub(crate) prefers_count: bool,
    /// The query string, for links.
    pub(crate) query: Option<String>,
    /// For conditions.
    pub(crate) headers: HeaderMap,
}

impl Declared for ResultsRequest {
    const PARAMS: &'static [&'static [Param]] = &[ResultsParams::DECLARED];
}

impl<S> FromRequestParts<S> for ResultsRequest
where
    S: Sync,
    RequestContext: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Defaults { page, zone, .. } = RequestContext::from_ref(state).defaults;
        Ok(Self {
            params: ResultsParams::read(&query_string(parts), &parts.headers, page, zone)?,
            prefers_count: Preferences::read(&parts.headers).count,
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Option<(Start, i64)> {
        let defaults = PageDefaults {
            page: 0,
            items_per_page: 10,
        };
        let query = QueryString::parse(Some(raw));
        let params = ResultsParams::read(&query, &HeaderMap::new(), defaults, Zone::new(2).unwrap()).ok()?;
        Some((params.start, params.items_per_page))
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
