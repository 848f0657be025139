//! GET /results and GET /read-results: everything that was found.

mod cursor_page;
mod params;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use futures::{
    TryStreamExt,
    stream::{BoxStream, iter},
};
use http::{HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde_json::json;
use storage::{Reads, ResultRow, StorageError};
use wire::headers::{link, vary::vary};

use self::params::Start;
pub(crate) use self::params::{PAGE, PageParams, QueryResultsParams, ResultsRequest};
use crate::{
    app::App,
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::client::Client,
    limits::response_memory::{Reservation, ResponseBudget},
    openapi::{Operation, bad_integer},
    output::citation::{self, FoundPaper, LOOKED_UP, SeenPapers, distinct},
    output::feed::{self, FeedOf},
    output::format::{Format, OF_RESULTS, ResultForm},
    output::papers,
    routes::request::Input,
};

/// How many rows meet the filter, when that is asked for and could be counted in time.
pub(crate) const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How many rows meet the filter.
#[derive(Clone, Copy, Debug)]
enum TotalCount {
    NotAsked,
    /// `None` if they could not be counted in time.
    Asked(Option<i64>),
}

/// What both endpoints need.
#[derive(Clone)]
pub(crate) struct ResultPages {
    reads: Reads,
    responses: ResponseBudget,
}

pub(crate) async fn results(
    State(pages): State<ResultPages>,
    client: Client,
    log: CallLog,
    Input(request): Input<ResultsRequest>,
) -> Result<Response, ApiError> {
    log.called(request.call("results"));
    pages.respond(&request, &client).await
}

pub(crate) async fn read_results(
    State(pages): State<ResultPages>,
    client: Client,
    log: CallLog,
    Input(request): Input<ResultsRequest>,
) -> Result<Response, ApiError> {
    log.called(request.call("read_results"));
    pages.respond(&request, &client).await
}

impl ResultPages {
    pub(crate) fn of(app: &App) -> Option<Self> {
        Some(Self {
            reads: app.stores.reads.clone()?,
            responses: app.limits.rows.clone(),
        })
    }

    async fn respond(&self, request: &ResultsRequest, client: &Client) -> Result<Response, ApiError> {
        let call = request.call("read_result_data");
        let read = self.read(request, client);
        call.run("backend", "read_results", read, Response::status).await
    }

    async fn read(&self, request: &ResultsRequest, client: &Client) -> Result<Response, ApiError> {
        let total = if request.total || request.prefers_count {
            TotalCount::Asked(self.reads.total(&request.rows.filter).await?)
        } else {
            TotalCount::NotAsked
        };
        let mut response = match request.start {
            Start::All => self.stream_all(request, client).await?,
            Start::Page(page) => self.offset_page(request, client, page).await?,
            Start::After(cursor) => self.cursor_page(request, client, cursor, total).await?,
        };
        let headers = response.headers_mut();
        vary(headers, "prefer");
        if let TotalCount::Asked(Some(total)) = total {
            headers.insert(TOTAL, HeaderValue::from(total));
            if request.prefers_count {
                headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("count=exact"));
            }
        }
        Ok(response)
    }

    /// A page by its number.
    async fn offset_page(
        &self,
        request: &ResultsRequest,
        client: &Client,
        page: i64,
    ) -> Result<Response, ApiError> {
        let (items, filter) = (request.items_per_page, &request.rows.filter);
        let reservation = self.responses.reserve(client, items).await?;
        let (mut response, count) = if filter.is_empty() && request.form.is_compatible() {
            let rows = self.reads.results(page, items).await?;
            let text = papers::json_encoder().whole(&rows)?;
            let body = Body::from(reservation.into_bytes(text)?);
            (with_head(request.form.format, body), rows.len())
        } else {
            let rows = self.reads.find(filter, page, items).await?;
            let count = rows.len();
            let of = FeedOf::Results(&request.rows.canonical);
            (
                written(&self.reads, request.form, &of, rows, reservation).await?,
                count,
            )
        };
        let page = PageParams {
            page,
            items_per_page: items,
        };
        add_next_page(&mut response, request.query.as_deref(), page, count);
        Ok(response)
    }

    /// All rows, as they come.
    async fn stream_all(&self, request: &ResultsRequest, client: &Client) -> Result<Response, ApiError> {
        let reservation = self.responses.reserve(client, Reads::BATCH).await?;
        streamed(
            self.reads.clone(),
            request.form,
            &FeedOf::Results(&request.rows.canonical),
            self.reads.all(request.rows.filter.clone()),
            reservation,
        )
        .await
    }
}

/// Rows in a form, as they come.
pub(crate) async fn streamed(
    reads: Reads,
    form: ResultForm,
    of: &FeedOf<'_>,
    batches: BoxStream<'static, Result<Vec<ResultRow>, StorageError>>,
    reservation: Reservation,
) -> Result<Response, ApiError> {
    let mut seen = SeenPapers::default();
    let has_entries = form.format.has_entries();
    let parts = batches.map_ok(move |mut batch| {
        batch.retain(|row| !has_entries || seen.is_first(row));
        iter(parts(batch).into_iter().map(Ok))
    });
    let found = parts
        .try_flatten()
        .and_then(move |part| citation::looked_up(reads.clone(), form, part));
    // Which paper changed last is not known before the last one.
    let encoder = of.begin(papers::encoder(form), form.format, Timestamp::now)?;
    let body = encoder.streamed(found, reservation).await?;
    Ok(with_head(form.format, body))
}

/// Adds the address of the next page: this one's with another value of this parameter.
fn add_next(response: &mut Response, query: Option<&str>, param: &'static str, value: &str) {
    if let Some(link) = link::next(query, &[param], param, value) {
        response.headers_mut().insert(header::LINK, link);
    }
}

/// The same after a page of so many rows.
pub(crate) fn add_next_page(response: &mut Response, query: Option<&str>, page: PageParams, count: usize) {
    if let Some(next) = page
        .page
        .checked_add(1)
        .filter(|_| is_full(count, page.items_per_page))
    {
        add_next(response, query, "page", &next.to_string());
    }
}

/// Whether another page may follow.
fn is_full(count: usize, items_per_page: i64) -> bool {
    count > 0 && i64::try_from(count).is_ok_and(|count| count == items_per_page)
}

/// Rows in a form, as an answer.
pub(crate) async fn written(
    reads: &Reads,
    form: ResultForm,
    of: &FeedOf<'_>,
    rows: Vec<ResultRow>,
    reservation: Reservation,
) -> Result<Response, ApiError> {
    let text = text_of(reads, form, of, rows).await?;
    Ok(with_head(form.format, Body::from(reservation.into_bytes(text)?)))
}

async fn text_of(
    reads: &Reads,
    form: ResultForm,
    of: &FeedOf<'_>,
    mut rows: Vec<ResultRow>,
) -> Result<BytesMut, ApiError> {
    if form.format.has_entries() {
        rows = distinct(rows);
    }
    let mut found = Vec::with_capacity(rows.len());
    for part in parts(rows) {
        found.extend(citation::looked_up(reads.clone(), form, part).await?);
    }
    let updated = || feed::last(found.iter().map(FoundPaper::updated));
    let encoder = of.begin(papers::encoder(form), form.format, updated)?;
    encoder.whole(&found)
}

/// The rows in parts that are looked up at once.
fn parts(rows: Vec<ResultRow>) -> Vec<Vec<ResultRow>> {
    let mut rows = rows.into_iter().peekable();
    let mut parts = Vec::new();
    while rows.peek().is_some() {
        parts.push(rows.by_ref().take(LOOKED_UP).collect());
    }
    parts
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

impl Operation<'_> {
    /// Results as the response's body, in each format.
    pub(crate) fn papers(mut self) -> Self {
        let text = |about: &str| json!({"type": "string", "description": about});
        let known = |about: &str| json!({"type": ["string", "null"], "description": about});
        let integer = |about: &str| json!({"type": ["integer", "null"], "description": about});
        let author = json!({"type": "object", "required": ["name"], "properties": {
            "name": text("The name as the paper has it."),
            "affiliations": {"type": "array", "items": {"type": "string"}}}});
        let link = json!({"type": "object", "required": ["href"], "properties": {
            "href": text("The address."), "rel": text("alternate or related."), "title": text("pdf or doi.")}});
        // Nothing is required: `fields` chooses.
        let result = json!({
            "type": "object", "description": "Without `fields`: author, title and journal.",
            "properties": {
                "author": text("Authors, joined by \", \"."), "title": text("The title."),
                "journal": text("The reference to the journal; empty when there is none."),
                "query_id": integer("The number of the query."),
                "timestamp": integer("The time of the query, in unix seconds."),
                "arxiv_id": known("arXiv's identifier with the version."),
                "categories": known("arXiv's categories with spaces between, the primary one first."),
                "authors": {"type": ["array", "null"], "items": author, "description": "The authors in the paper's order."},
                "doi": known("The DOI of the publication; several have spaces between."),
                "published": known("When the first version was submitted."),
                "updated": known("When this version was submitted."),
                "comment": known("The authors' comment."), "abstract": known("The abstract."),
                "links": {"type": ["array", "null"], "items": link, "description": "The addresses of abstract, PDF and publication."},
            },
        });
        let schema = json!({"type": "array", "items": self.named_schema("Result", result)});
        let example = json!([{"author": "Donald E. Knuth", "title": "Two notes on notation",
            "journal": "Amer. Math. Monthly 99 (1992)"}]);
        self.content("application/json", schema, example)
            .formats(OF_RESULTS)
            .next_page()
            .replica_lag()
    }

    fn result_pages(self) -> Self {
        let total = "How many results meet the filter, if that was asked for and could be counted in time.";
        let tag = "Of a full page behind a cursor, which never changes.";
        self.response(200, "A page, or all results.")
            .papers()
            .number_header("X-Total-Count", total, 0)
            .header("ETag", tag)
            .response(304, "The page is the one with the entity tag in If-None-Match.")
            .invalid(bad_integer(&PAGE, "-1"))
            .unavailable(Code::DatabaseUnavailable)
    }
}

pub(crate) fn describe(operation: Operation<'_>) -> Operation<'_> {
    let prefer = "`count=exact`: report the number of results in X-Total-Count.";
    operation
        .named("results", "records", "What was found, in the order of recording")
        .about("A page past the end is empty.")
        .reads_header("Prefer", prefer)
        .result_pages()
}

pub(crate) fn describe_read(operation: Operation<'_>) -> Operation<'_> {
    operation
        .named(
            "read_results",
            "backend",
            "What was found, in the order of recording",
        )
        .result_pages()
}
