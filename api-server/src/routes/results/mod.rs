//! GET /results and GET /read-results: everything that was found.

mod cursor_page;
mod params;

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{RawQuery, State},
    middleware::{from_fn, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use storage::{Reads, ResultRow};

use self::params::Start;
pub(crate) use self::params::{PageDefaults, PageParams, Wanted, WantedOfOne};
use crate::{
    error::ApiError,
    http::middleware::calls::CallLog,
    http::middleware::compress::compress,
    http::middleware::methods::only,
    http::middleware::unknown_params::strict,
    limits::client::Client,
    limits::response_memory::{Reservation, ResponseBudget},
    output::body::{json, unwritten},
    output::format::Format,
    output::{lag, papers},
};
use wire::{
    dates::Zone, headers::link, headers::prefer::Preferences, headers::vary::vary, query::QueryString,
};

/// How many rows meet the filter, when that is asked for and could be counted in time.
const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How many rows meet the filter.
#[derive(Clone, Copy, Debug)]
enum Counted {
    NotAsked,
    /// None if they could not be counted in time.
    Asked(Option<i64>),
}

/// What both endpoints need.
#[derive(Clone)]
pub(crate) struct ResultPages {
    pub(crate) reads: Reads,
    pub(crate) defaults: PageDefaults,
    pub(crate) zone: Zone,
    pub(crate) lag: lag::Lag,
    pub(crate) responses: ResponseBudget,
}

pub(crate) fn frontend(pages: ResultPages) -> Router {
    routes("/results", get(results), pages)
}

pub(crate) fn backend(pages: ResultPages) -> Router {
    routes("/read-results", get(read_results), pages)
}

fn routes(path: &str, methods: axum::routing::MethodRouter<Arc<ResultPages>>, pages: ResultPages) -> Router {
    let lag = pages.lag.clone();
    Router::new().route(
        path,
        strict(only(methods, "GET"), &[Wanted::DECLARED])
            .layer(from_fn(compress))
            .layer(map_response(crate::http::middleware::methods::by_accept))
            .layer(from_fn_with_state(lag, lag::add_header))
            .with_state(Arc::new(pages)),
    )
}

async fn results(
    State(pages): State<Arc<ResultPages>>,
    RawQuery(query): RawQuery,
    Extension(client): Extension<Client>,
    log: CallLog,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let wanted = pages.wanted(query.as_deref(), &headers)?;
    log.called(wanted.call("results"));
    pages.answer(&wanted, &client, query.as_deref(), &headers).await
}

async fn read_results(
    State(pages): State<Arc<ResultPages>>,
    RawQuery(query): RawQuery,
    Extension(client): Extension<Client>,
    log: CallLog,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let wanted = pages.wanted(query.as_deref(), &headers)?;
    log.called(wanted.call("read_results"));
    pages.answer(&wanted, &client, query.as_deref(), &headers).await
}

impl ResultPages {
    fn wanted(&self, query: Option<&str>, headers: &HeaderMap) -> Result<Wanted, ApiError> {
        let wanted = Wanted::read(&QueryString::parse(query), headers, self.defaults, self.zone)?;
        Ok(wanted)
    }

    async fn answer(
        &self,
        wanted: &Wanted,
        client: &Client,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let read = self.read(wanted, client, query, headers);
        let call = wanted.call("read_result_data");
        call.run("backend", "read_results", read, Response::status).await
    }

    async fn read(
        &self,
        wanted: &Wanted,
        client: &Client,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let by_preference = Preferences::read(headers).count;
        let counted = if wanted.total || by_preference {
            Counted::Asked(self.reads.total(&wanted.rows.filter).await?)
        } else {
            Counted::NotAsked
        };
        let mut response = match wanted.start {
            Start::All => self.all(wanted, client).await?,
            Start::Page(page) => self.numbered(wanted, client, page, query).await?,
            Start::After(cursor) => {
                self.behind(wanted, client, cursor, counted, query, headers)
                    .await?
            }
        };
        let headers = response.headers_mut();
        vary(headers, "prefer");
        if let Counted::Asked(Some(total)) = counted {
            headers.insert(TOTAL, HeaderValue::from(total));
            if by_preference {
                headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("count=exact"));
            }
        }
        Ok(response)
    }

    /// A page by its number.
    async fn numbered(
        &self,
        wanted: &Wanted,
        client: &Client,
        page: i64,
        query: Option<&str>,
    ) -> Result<Response, ApiError> {
        let items = wanted.items_per_page;
        let reservation = self.responses.reserve(client, items).await?;
        let (mut response, count) = if wanted.rows.filter.is_empty() && wanted.format == Format::Json {
            let rows = self.reads.results(page, items).await?;
            let shown: Vec<_> = rows.iter().map(papers::ShownPaper::from).collect();
            let body = Body::from(reservation.into_bytes(json(&shown)?)?);
            (with_head(wanted.format, body), rows.len())
        } else {
            let rows = self.reads.find(&wanted.rows.filter, page, items).await?;
            (written(wanted.format, &rows, reservation)?, rows.len())
        };
        if let Some(next) = page.checked_add(1).filter(|_| is_full(count, items)) {
            let replaced = ["page"];
            if let Some(link) = link::next(query, &replaced, "page", &next.to_string()) {
                response.headers_mut().insert(header::LINK, link);
            }
        }
        Ok(response)
    }

    /// All rows, as they come.
    async fn all(&self, wanted: &Wanted, client: &Client) -> Result<Response, ApiError> {
        let reservation = self.responses.reserve(client, Reads::BATCH).await?;
        let batches = self.reads.all(wanted.rows.filter.clone());
        let rows = batches
            .map_ok(|batch| futures::stream::iter(batch.into_iter().map(Ok)))
            .try_flatten();
        let body = papers::encoder(wanted.format).streamed(rows, reservation).await?;
        Ok(with_head(wanted.format, body))
    }
}

/// Whether another page may follow.
pub(crate) fn is_full(count: usize, items_per_page: i64) -> bool {
    count > 0 && i64::try_from(count).is_ok_and(|count| count == items_per_page)
}

/// Rows in a form, as an answer.
pub(crate) fn written(
    format: Format,
    rows: &[ResultRow],
    reservation: Reservation,
) -> Result<Response, ApiError> {
    let text = papers::encoder(format)
        .whole(rows)
        .map_err(|error| unwritten(&error))?;
    Ok(with_head(format, Body::from(reservation.into_bytes(text)?)))
}

fn with_head(format: Format, body: Body) -> Response {
    let mut response = ([(header::CONTENT_TYPE, format.content_type())], body).into_response();
    if format != Format::Json {
        let name = format!("attachment; filename=results.{}", format.extension());
        if let Ok(name) = HeaderValue::from_str(&name) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
        }
    }
    response
}
