//! GET /arxiv-api: a search's papers, from arXiv or from what was fetched before. Nothing is recorded.

use std::{sync::Arc, time::Duration};

use arxiv::{FailureClass, FetchError, arxiv_day};
use axum::{
    Json, Router,
    extract::{RawQuery, State},
    middleware::map_response,
    routing::get,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use storage::{PageEntry, Pages};
use tokio::time::Instant;
use upstream::{Assembled, Upstream, UpstreamError, assemble, slices};

use crate::{
    error::{ApiError, Code},
    routing::{no_store, only},
    strict::strict,
    wire::{query::Query, search::SearchParams},
};

/// What GET /arxiv-api needs.
pub(crate) struct Fetches {
    pub(crate) upstream: Upstream,
    /// The same store that `upstream` uses, for its clock.
    pub(crate) pages: Pages,
    /// How long all of one search's pages together wait for their turns at arXiv. Pages that were had are kept, so the
    /// next try goes on from there.
    pub(crate) patience: Duration,
    pub(crate) default_max_results: u32,
}

pub(crate) fn routes(fetches: Arc<Fetches>) -> Router {
    let methods = strict(only(get(search_arxiv_api), "GET"), &[SearchParams::DECLARED]);
    Router::new().route(
        "/arxiv-api",
        methods.layer(map_response(no_store)).with_state(fetches),
    )
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct Paper {
    authors: String,
    title: String,
    journal: String,
}

impl From<PageEntry> for Paper {
    fn from(entry: PageEntry) -> Self {
        Self {
            authors: entry.authors,
            title: entry.title,
            journal: entry.journal,
        }
    }
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct Papers {
    data: Vec<Paper>,
    timestamp: i64,
    status: u16,
    num_results: u32,
    num_entries: usize,
    query: String,
}

async fn search_arxiv_api(
    State(fetches): State<Arc<Fetches>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Papers>, ApiError> {
    let params = SearchParams::read(&Query::parse(query.as_deref()), fetches.default_max_results)?;
    let call = params.call("search_arxiv_api");
    service::notice!(
        component = "backend",
        origin = "arxiv_api.search_arxiv_api",
        "{call}: called"
    );
    let (found, is_fresh) = fetches.fetch(&params).await?;
    if found.total == 0 {
        return Err(ApiError::nothing_found());
    }
    let timestamp = match found.date {
        Some(date) if is_fresh => date,
        _ => fetches.pages.now().await?,
    };
    let papers = Papers {
        timestamp: timestamp.as_second(),
        status: found.status,
        num_results: found.total,
        num_entries: found.entries.len(),
        query: found.query,
        data: found.entries.into_iter().map(Paper::from).collect(),
    };
    tracing::debug!(
        component = "backend",
        origin = "arxiv_api.search_arxiv_api",
        "{call}: returning {} of {} papers",
        papers.num_entries,
        papers.num_results
    );
    Ok(Json(papers))
}

impl Fetches {
    /// All pages of a search; whether the first one was fetched for this very caller.
    async fn fetch(&self, params: &SearchParams) -> Result<(Assembled, bool), ApiError> {
        let limit = Instant::now() + self.patience;
        let day = arxiv_day(Timestamp::now());
        let mut pages = Vec::new();
        let mut total = None;
        let mut first_fetched = false;
        while let Some(request) = slices(&params.validated, 0, params.max_results, total)
            .into_iter()
            .nth(pages.len())
        {
            let call = service::logs::Call::new("page")
                .arg("search_query", request.search.search_query())
                .arg("start", request.start)
                .arg("count", request.count);
            tracing::info!(component = "backend", origin = "arxiv_api.page", "{call}: called");
            let patience = limit.saturating_duration_since(Instant::now());
            let given = self.upstream.page(&request, day, patience, || ()).await?;
            tracing::debug!(
                component = "backend",
                origin = "arxiv_api.page",
                "{call}: returning {} entries, fetched={}",
                given.page.entries.len(),
                given.fetched
            );
            if pages.is_empty() {
                total = Some(given.page.total);
                first_fetched = given.fetched;
            }
            pages.push(given.page);
        }
        let found = assemble(pages).ok_or_else(ApiError::internal)?;
        Ok((found, first_fetched))
    }
}

impl From<UpstreamError> for ApiError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Fetch {
                source,
                cooling_until,
            } => {
                // The pause that everybody makes may be longer than what arXiv asked for.
                let cooling = cooling_until.map(|until| until.duration_since(Timestamp::now()));
                let cooling = cooling.and_then(|left| Duration::try_from(left).ok());
                let retry_after = source.retry_after().max(cooling);
                tracing::warn!(
                    error = &source as &dyn std::error::Error,
                    "arXiv did not answer as it should"
                );
                Self::upstream(
                    code(&source),
                    source.caller_status(),
                    source.to_string(),
                    retry_after,
                )
            }
            UpstreamError::Busy { retry_after } => {
                Self::upstream(Code::UpstreamBusy, 503, error.to_string(), Some(retry_after))
            }
            UpstreamError::CoolingDown { retry_after, .. } => {
                Self::upstream(Code::RateLimited, 503, error.to_string(), Some(retry_after))
            }
            UpstreamError::Lost(source) | UpstreamError::Storage(source) => source.into(),
        }
    }
}

/// What kind of answer a failure at arXiv is.
fn code(failure: &FetchError) -> Code {
    match failure.class() {
        FailureClass::Invalid => Code::SearchRefused,
        FailureClass::Throttled => Code::RateLimited,
        FailureClass::Unreachable => Code::UpstreamUnreachable,
        FailureClass::Broken if matches!(failure, FetchError::Status(_)) => Code::UpstreamError,
        FailureClass::Broken => Code::BrokenAnswer,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_failure_is_told_in_the_words_of_its_cause() {
        let source = FetchError::Refused {
            reason: Some("incorrect id format for abc".into()),
        };
        let error = ApiError::from(UpstreamError::Fetch {
            source,
            cooling_until: None,
        });
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert!(
            error.body()["detail"]
                .to_string()
                .contains("incorrect id format for abc"),
            "{error:?}"
        );
    }
}
