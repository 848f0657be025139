//! GET /results and GET /read-results: pages of everything that was found.

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    routing::get,
};
use service::logs::Call;
use storage::{Reads, ResultRow};

use crate::{
    error::ApiError,
    routing::only,
    wire::{
        declared::{Kind, Param},
        params::ParamReader,
        problem::Problems,
        query::Query,
    },
};

/// Rows of one page: at a few kilobytes each, what one answer may hold in memory.
const MAX_ITEMS_PER_PAGE: i64 = 1000;

const PAGE: Param = Param::new("page", Kind::Integer(0..=i64::MAX), "0", "Which page, from 0.");
const ITEMS_PER_PAGE: Param = Param::new(
    "items_per_page",
    Kind::Integer(0..=MAX_ITEMS_PER_PAGE),
    "10",
    "How many results a page has.",
);

/// A page when a caller does not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageDefaults {
    pub(crate) page: i64,
    pub(crate) items_per_page: i64,
}

/// Which rows a caller wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PageParams {
    /// From 0.
    pub(crate) page: i64,
    /// 0 to [`MAX_ITEMS_PER_PAGE`].
    pub(crate) items_per_page: i64,
}

impl PageParams {
    pub(crate) const DECLARED: &'static [Param] = &[PAGE, ITEMS_PER_PAGE];

    pub(crate) fn read(query: &Query, defaults: PageDefaults) -> Result<Self, Problems> {
        let mut reader = ParamReader::new(query);
        let page = reader.integer(&PAGE);
        let items_per_page = reader.integer(&ITEMS_PER_PAGE);
        reader.finish()?;
        Ok(Self {
            page: page.unwrap_or(defaults.page),
            items_per_page: items_per_page.unwrap_or(defaults.items_per_page),
        })
    }

    /// These parameters as the log shows them.
    pub(crate) fn call(self, function: &str) -> Call {
        Call::new(function)
            .arg("page", self.page)
            .arg("items_per_page", self.items_per_page)
    }
}

/// What both endpoints need.
#[derive(Clone)]
pub(crate) struct ResultPages {
    pub(crate) reads: Reads,
    pub(crate) defaults: PageDefaults,
}

pub(crate) fn frontend(pages: ResultPages) -> Router {
    Router::new().route("/results", only(get(results), "GET").with_state(pages))
}

pub(crate) fn backend(pages: ResultPages) -> Router {
    Router::new().route("/read-results", only(get(read_results), "GET").with_state(pages))
}

async fn results(
    State(pages): State<ResultPages>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<ResultRow>>, ApiError> {
    let page = PageParams::read(&Query::parse(query.as_deref()), pages.defaults)?;
    service::notice!(
        component = "frontend",
        origin = "results.results",
        "{}: called",
        page.call("results")
    );
    pages.read(page).await
}

async fn read_results(
    State(pages): State<ResultPages>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<ResultRow>>, ApiError> {
    let page = PageParams::read(&Query::parse(query.as_deref()), pages.defaults)?;
    let call = page.call("read_results");
    service::notice!(
        component = "backend",
        origin = "read_results.read_results",
        "{call}: called"
    );
    pages.read(page).await
}

impl ResultPages {
    async fn read(&self, page: PageParams) -> Result<Json<Vec<ResultRow>>, ApiError> {
        let call = page.call("read_result_data");
        tracing::info!(
            component = "backend",
            origin = "read_results.read_result_data",
            "{call}: called"
        );
        let rows = self.reads.results(page.page, page.items_per_page).await?;
        let count = rows.len();
        tracing::debug!(
            component = "backend",
            origin = "read_results.read_result_data",
            "{call}: returning {count} rows"
        );
        Ok(Json(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Option<(i64, i64)> {
        let defaults = PageDefaults {
            page: 0,
            items_per_page: 10,
        };
        let page = PageParams::read(&Query::parse(Some(raw)), defaults).ok()?;
        Some((page.page, page.items_per_page))
    }

    #[test]
    fn pages_are_read_within_bounds() {
        assert_eq!(read(""), Some((0, 10)));
        assert_eq!(read("page=2&items_per_page=1_0"), Some((2, 10)));
        assert_eq!(read("page=0&page=2"), Some((2, 10)));
        assert_eq!(read("items_per_page=0"), Some((0, 0)));
        assert_eq!(
            read("items_per_page=1000&page=9223372036854775807"),
            Some((i64::MAX, 1000))
        );
        for raw in [
            "page=-1",
            "items_per_page=-1",
            "items_per_page=1001",
            "page=9223372036854775808",
            "page=x",
        ] {
            assert_eq!(read(raw), None, "{raw}");
        }
    }
}
