//! GET /arxiv-api: a search's papers, from arXiv or from what was fetched before. Nothing is recorded.

use std::{sync::Arc, time::Duration};

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
use storage::{GateError, PageHead, Pages};
use tokio::time::Instant;
use upstream::{Dedup, Upstream, UpstreamError, reason, remove_older, slices};
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

/// Papers of a page whose memory is limited by the connections to the database.
const SHORT_PAGE: u32 = 32;
/// The memory of a paper of a longer page while it is read.
const KIB_OF_PAGE: u32 = 8;

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

/// What the pages of a search say together: the head is that of the first one, as later ones may differ a little.
struct Found {
    head: PageHead,
    papers: Vec<storage::Paper>,
    /// Whether a page was fetched for this request.
    is_fresh: bool,
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
    let (found, reservation) = fetches.fetch(&params, &client).await?;
    if found.head.total == 0 {
        return Err(ApiError::nothing_found());
    }
    let timestamp = match found.head.date {
        Some(date) if found.is_fresh => date,
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

    /// The papers of a search, and the memory that they take.
    ///
    /// Until the first page says how many papers there are, memory for one page is reserved. For a longer search that is
    /// released, and the page read again (it is stored by then), so that no request that holds memory waits for more.
    async fn fetch(&self, params: &SearchParams, client: &Client) -> Result<(Found, Reservation), ApiError> {
        let limit = Instant::now() + self.wait_timeout;
        let day = arxiv_day(Timestamp::now());
        let mut reservation = self
            .papers
            .reserve(client, reserved_for(params.max_results.min(MAX_PAGE)))
            .await?;
        let mut found = self.pages(params, None, day, limit).await?;
        let papers = params.max_results.min(found.head.total);
        if papers > MAX_PAGE {
            let (total, is_fresh) = (found.head.total, found.is_fresh);
            drop((found, reservation));
            reservation = self.papers.reserve(client, reserved_for(papers)).await?;
            found = self.pages(params, Some(total), day, limit).await?;
            found.is_fresh = is_fresh;
        }
        Ok((found, reservation))
    }

    /// What all pages of a search say, without its total only the first. Of each, no more than the response needs is kept
    /// before the next one is read.
    async fn pages(
        &self,
        params: &SearchParams,
        total: Option<u32>,
        day: Date,
        limit: Instant,
    ) -> Result<Found, ApiError> {
        let mut requests = slices(&params.validated, 0, params.max_results, total);
        if total.is_none() {
            requests.truncate(1);
        }
        let (mut found, mut dedup) = (None, Dedup::default());
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
            let mut read = page.await?;
            let is_past = remove_older(&mut read.page.papers, params.updated_after);
            let found = found.get_or_insert_with(|| Found {
                head: read.page.head,
                papers: Vec::new(),
                is_fresh: false,
            });
            found.is_fresh |= read.fetched;
            let papers = dedup.filter(Arc::new(read.page.papers));
            found.papers.extend(papers.iter().map(storage::Paper::from));
            if is_past {
                break;
            }
        }
        found.ok_or_else(ApiError::internal)
    }
}

/// The KiB to reserve for a response of so many papers: one for each in the response, and more for those of a long page, which
/// has their abstracts too and is in memory as text and as papers.
fn reserved_for(papers: u32) -> i64 {
    let of_page = papers.min(MAX_PAGE);
    let extra = if of_page > SHORT_PAGE {
        of_page * KIB_OF_PAGE
    } else {
        0
    };
    (papers + extra).into()
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
