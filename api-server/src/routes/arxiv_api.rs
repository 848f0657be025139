//! GET /arxiv-api: a search's papers, from arXiv or from what was fetched before. Nothing is recorded.

use std::time::Duration;

use arxiv::{MAX_PAGE, arxiv_day, query_in_title};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use service::logs::Call;
use storage::{GateError, Page, Pages};
use tokio::time::Instant;
use upstream::{Upstream, UpstreamError, assemble, reason, slices};
use wire::declared::Param;

use crate::{
    app::App,
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::client::Client,
    limits::response_memory::{Reservation, ResponseBudget},
    openapi::{Operation, bad_integer},
    output::body,
    output::format::Format,
    routes::arxiv::search_params::{MAX_RESULTS_WANTED, SearchParams},
    routes::request::{Incoming, Input, ReadRequest, SearchCharge},
};

/// What GET /arxiv-api needs.
#[derive(Clone)]
pub(crate) struct Fetches {
    upstream: Upstream,
    /// The same store that `upstream` uses, for its clock.
    pages: Pages,
    /// How long all pages of one search together wait for their turns at arXiv. Pages that were fetched are kept, so the
    /// next attempt continues from there.
    wait_timeout: Duration,
    /// The memory for papers that are being fetched, and for responses of them.
    papers: ResponseBudget,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct Paper {
    authors: String,
    title: String,
    journal: String,
}

impl From<storage::Paper> for Paper {
    fn from(paper: storage::Paper) -> Self {
        Self {
            authors: paper.author,
            title: paper.title,
            journal: paper.journal,
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

#[derive(Debug)]
pub(crate) struct ArxivApiRequest(SearchParams);

impl ReadRequest for ArxivApiRequest {
    const PARAMS: &'static [&'static [Param]] = &[SearchParams::DECLARED];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        SearchParams::read(&request.query(), request.defaults().max_results).map(Self)
    }
}

pub(crate) async fn search_arxiv_api(
    State(fetches): State<Fetches>,
    client: Client,
    log: CallLog,
    charge: SearchCharge,
    Input(ArxivApiRequest(params)): Input<ArxivApiRequest>,
) -> Result<Response, ApiError> {
    log.called(params.call("search_arxiv_api"));
    charge.take(i32::try_from(params.max_results).unwrap_or(i32::MAX))?;
    let (found, is_fresh, reservation) = fetches.fetch(&params, &client).await?;
    if found.head.total == 0 {
        return Err(ApiError::nothing_found());
    }
    let timestamp = match found.head.date {
        Some(date) if is_fresh => date,
        _ => fetches.pages.now().await?,
    };
    let papers = Papers {
        timestamp: timestamp.as_second(),
        status: found.head.status,
        num_results: found.head.total,
        num_entries: found.papers.len(),
        query: query_in_title(&found.head.title).to_owned(),
        data: found.papers.into_iter().map(Paper::from).collect(),
    };
    let text = body::json(&papers)?;
    drop(papers);
    let body = Body::from(reservation.into_bytes(text)?);
    Ok(([(header::CONTENT_TYPE, Format::Json.content_type())], body).into_response())
}

impl Fetches {
    pub(crate) fn of(app: &App) -> Option<Self> {
        Some(Self {
            upstream: app.upstream.clone()?,
            pages: app.stores.pages.clone()?,
            wait_timeout: app.settings.upstream_patience(),
            papers: app.limits.papers.clone(),
        })
    }

    /// All pages of a search; whether the first one was fetched for this request; and the memory that the papers take.
    ///
    /// Until the first page says how many papers there are, memory for one page is reserved. For a longer search that is
    /// released, and the page read again (it is stored by then), so that no request that holds memory waits for more.
    async fn fetch(
        &self,
        params: &SearchParams,
        client: &Client,
    ) -> Result<(Page, bool, Reservation), ApiError> {
        let limit = Instant::now() + self.wait_timeout;
        let day = arxiv_day(Timestamp::now());
        let mut reservation = self
            .papers
            .reserve(client, params.max_results.min(MAX_PAGE).into())
            .await?;
        let (mut pages, is_fresh) = self.pages(params, None, day, limit).await?;
        let total = pages.first().ok_or_else(ApiError::internal)?.head.total;
        let papers = params.max_results.min(total);
        if papers > MAX_PAGE {
            drop((pages, reservation));
            reservation = self.papers.reserve(client, papers.into()).await?;
            (pages, _) = self.pages(params, Some(total), day, limit).await?;
        }
        let found = assemble(pages).ok_or_else(ApiError::internal)?;
        Ok((found, is_fresh, reservation))
    }

    /// The pages of a search, without its total only the first; and whether any was fetched for this request.
    async fn pages(
        &self,
        params: &SearchParams,
        total: Option<u32>,
        day: Date,
        limit: Instant,
    ) -> Result<(Vec<Page>, bool), ApiError> {
        let mut requests = slices(&params.validated, 0, params.max_results, total);
        if total.is_none() {
            requests.truncate(1);
        }
        let (mut pages, mut is_fetched) = (Vec::new(), false);
        for request in requests {
            let call = Call::new("page")
                .arg("search_query", request.search.search_query())
                .arg("start", request.start)
                .arg("count", request.count);
            let timeout = limit.saturating_duration_since(Instant::now());
            let page = self.upstream.page(&request, day, timeout, || ());
            let page = call.run("backend", "arxiv_api", page, |read| {
                format!("{} entries, fetched={}", read.page.papers.len(), read.fetched)
            });
            let read = page.await?;
            is_fetched |= read.fetched;
            pages.push(read.page);
        }
        Ok((pages, is_fetched))
    }
}

impl From<UpstreamError> for ApiError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Fetch {
                source,
                cooling_until,
            } => {
                // The shared pause may be longer than what arXiv asked for.
                let cooling = cooling_until.map(|until| until.duration_since(Timestamp::now()));
                let cooling = cooling.and_then(|left| Duration::try_from(left).ok());
                let retry_after = source.retry_after().max(cooling);
                tracing::warn!(
                    error = &source as &dyn std::error::Error,
                    "arXiv did not answer as it should"
                );
                Self::upstream(
                    Code::of_failure(reason(&source)),
                    source.caller_status(),
                    source.to_string(),
                    retry_after,
                )
            }
            UpstreamError::Gate(GateError::Busy { retry_after }) => {
                Self::upstream(Code::UpstreamBusy, 503, error.to_string(), Some(retry_after))
            }
            UpstreamError::Gate(GateError::CoolingDown { retry_after, .. }) => {
                Self::upstream(Code::RateLimited, 503, error.to_string(), Some(retry_after))
            }
            UpstreamError::Lost(source)
            | UpstreamError::Gate(GateError::Storage(source))
            | UpstreamError::Storage(source) => source.into(),
        }
    }
}

pub(crate) fn describe(operation: Operation<'_>) -> Operation<'_> {
    let example = json!({
        "data": [{"authors": "Donald E. Knuth", "title": "Two notes on notation", "journal": ""}],
        "timestamp": 1_711_843_200, "status": 200, "num_results": 1234, "num_entries": 1,
        "query": "search_query=au:knuth&id_list=&start=0&max_results=1",
    });
    operation
        .named("search_arxiv_api", "backend", "Ask arXiv, and record nothing")
        .response(200, "What arXiv knows.")
        .json::<Papers>(example)
        .invalid(bad_integer(&MAX_RESULTS_WANTED, "0"))
        .upstream_errors()
        .unavailable(Code::DatabaseUnavailable)
}

#[cfg(test)]
mod tests {
    use arxiv::FetchError;
    use http::StatusCode;

    use super::*;

    #[test]
    fn fetch_error_keeps_the_text_of_its_cause() {
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
