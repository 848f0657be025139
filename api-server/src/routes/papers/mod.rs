//! GET /papers and GET /papers/ID: the metadata of the papers that searches have found.

mod params;

use axum::{
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use paper::PaperId;
use serde_json::{Value, json};
use service::logs::Call;
use storage::{Reads, StoredPaper};
use wire::{
    field_error::FieldErrors,
    headers::{etag, link, vary::vary},
    params::ParamReader,
    query::QueryString,
};

use self::params::ITEMS_PER_PAGE;
pub(crate) use self::params::{PaperRequest, PapersRequest};
use crate::{
    app::App,
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::client::Client,
    limits::response_memory::{Reservation, ResponseBudget},
    openapi::{Operation, bad_integer},
    output::{
        body,
        feed::{self, FeedOf},
        format::{Format, OF_RESULTS, PaperForm},
        versions,
    },
    routes::request::Input,
    routes::results::{PREFERENCE_APPLIED, TOTAL},
};

/// Rows of results whose memory a paper with its abstract takes.
const ROWS_OF_A_PAPER: i64 = 2;
/// May be kept, and has to be checked each time: arXiv adds to papers, and searches find newer versions.
const CHECK: HeaderValue = HeaderValue::from_static("no-cache");

/// What both endpoints need.
#[derive(Clone)]
pub(crate) struct Papers {
    reads: Reads,
    responses: ResponseBudget,
}

pub(crate) async fn paper(
    State(papers): State<Papers>,
    Path(id): Path<String>,
    client: Client,
    log: CallLog,
    Input(request): Input<PaperRequest>,
) -> Result<Response, ApiError> {
    log.called(Call::new("paper").arg("id", id.as_str()));
    let Some(id) = PaperId::typed(&id) else {
        let text = format!("{id} is no identifier of arXiv's, such as 2401.01234v2 or hep-th/9901001");
        return Err(ApiError::new(Code::NotFound, text));
    };
    let Some(found) = papers.reads.paper(&id).await? else {
        let text = format!("no search has found {id} so far");
        return Err(ApiError::new(Code::NotFound, text));
    };
    let tag = tag("paper", std::slice::from_ref(&found), request.form, "");
    if let Some(response) = not_modified(&request.headers, &tag) {
        return Ok(response);
    }
    let reservation = papers.responses.reserve(&client, ROWS_OF_A_PAPER).await?;
    let text = match request.form.format {
        Format::Json => body::json(&found.paper)?,
        format => {
            let of = FeedOf::Paper(&id);
            let encoder = of.begin(versions::encoder(request.form), format, || found.changed_at)?;
            encoder.whole([&found.paper])?
        }
    };
    written(request.form.format, text, reservation, &tag)
}

pub(crate) async fn papers(
    State(papers): State<Papers>,
    client: Client,
    log: CallLog,
    Input(request): Input<PapersRequest>,
) -> Result<Response, ApiError> {
    log.called(request.call());
    let total = if request.total {
        papers.reads.papers_total(&request.filter).await?
    } else {
        None
    };
    let items = request.items_per_page;
    let reservation = papers
        .responses
        .reserve(&client, items.saturating_mul(ROWS_OF_A_PAPER))
        .await?;
    let (filter, order) = (&request.filter, request.order);
    let mut found = papers
        .reads
        .papers(filter, order, request.after.as_ref(), items + 1)
        .await?;
    // One more than the page has says whether there is another page.
    let has_more = i64::try_from(found.len()).is_ok_and(|found| found > items);
    if has_more {
        found.pop();
    }
    let identity = format!("{} {total:?} {has_more}", request.identity());
    let tag = tag("papers", &found, request.form, &identity);
    let mut response = if let Some(response) = not_modified(&request.headers, &tag) {
        response
    } else {
        let next = found.last().filter(|_| has_more).map(|last| last.position(order));
        let next = next.map(|next| request.cursor(&next));
        let query = request.query.as_deref();
        let of = FeedOf::Papers(
            &request.list,
            next.as_ref()
                .map(|next| link::address(query, &["after"], "after", next)),
        );
        let changed = || feed::last(found.iter().map(|found| found.changed_at));
        let encoder = of.begin(versions::encoder(request.form), request.form.format, changed)?;
        let text = encoder.whole(found.iter().map(|found| &found.paper))?;
        let mut response = written(request.form.format, text, reservation, &tag)?;
        let next = next.and_then(|next| link::next(query, &["after"], "after", &next));
        if let Some(next) = next {
            response.headers_mut().insert(header::LINK, next);
        }
        response
    };
    let headers = response.headers_mut();
    vary(headers, "prefer");
    if let Some(total) = total {
        headers.insert(TOTAL, HeaderValue::from(total));
        if request.prefers_count {
            headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("count=exact"));
        }
    }
    Ok(response)
}

impl Papers {
    pub(crate) fn of(app: &App) -> Option<Self> {
        Some(Self {
            reads: app.stores.reads.clone()?,
            responses: app.limits.rows.clone(),
        })
    }
}

/// Of an answer with these papers: it changes when a row does.
fn tag(kind: &str, found: &[StoredPaper], form: PaperForm, rest: &str) -> String {
    let rows = found.iter().map(|found| {
        let changed_at = found.changed_at.as_microsecond();
        format!("{} {changed_at}", found.paper.id)
    });
    let rows: Vec<_> = rows.collect();
    etag::strong(&[kind, &format!("{form:?}"), rest, &rows.join(" ")])
}

/// The answer to a client that has this already.
fn not_modified(headers: &HeaderMap, tag: &str) -> Option<Response> {
    let kept = etag::matching(headers, tag)?;
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().insert(header::ETAG, kept);
    response.headers_mut().insert(header::CACHE_CONTROL, CHECK);
    Some(response)
}

fn written(
    format: Format,
    text: bytes::BytesMut,
    reservation: Reservation,
    tag: &str,
) -> Result<Response, ApiError> {
    let body = Body::from(reservation.into_bytes(text)?);
    let mut response = ([(header::CONTENT_TYPE, format.content_type())], body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::ETAG,
        HeaderValue::from_str(tag).map_err(|_| ApiError::internal())?,
    );
    headers.insert(header::CACHE_CONTROL, CHECK);
    if format != Format::Json {
        let name = format!("attachment; filename=papers.{}", format.extension());
        if let Ok(name) = HeaderValue::from_str(&name) {
            headers.insert(header::CONTENT_DISPOSITION, name);
        }
    }
    Ok(response)
}

/// The schema of a version of a paper.
pub(crate) fn schema(operation: &mut Operation<'_>) -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let time = |about: &str| json!({"type": "string", "format": "date-time", "description": about});
    let author = json!({
        "type": "object", "required": ["name"],
        "properties": {"name": text("The name as the paper has it."),
            "affiliations": {"type": "array", "items": {"type": "string"}}},
    });
    let link = json!({
        "type": "object", "required": ["href"],
        "properties": {"href": text("The address."), "rel": text("alternate or related."), "title": text("pdf or doi.")},
    });
    let paper = json!({
        "type": "object", "required": ["id", "title", "authors", "abstract", "categories", "links"],
        "properties": {
            "id": text("arXiv's identifier with the version."), "title": text("The title, with arXiv's TeX."),
            "authors": {"type": "array", "items": author}, "abstract": text("The abstract, with arXiv's TeX."),
            "comment": text("The authors' comment."), "journal": text("The journal reference."),
            "doi": text("The DOI of the publication; several have spaces between."),
            "categories": {"type": "array", "items": {"type": "string"}, "description": "The primary one first."},
            "published": time("When the first version was submitted."),
            "updated": time("When this version was submitted."),
            "links": {"type": "array", "items": link},
        },
    });
    operation.named_schema("PaperVersion", paper)
}

pub(crate) fn example() -> Value {
    json!({
        "id": "2405.00001v2", "title": "Two notes on notation", "authors": [{"name": "Donald E. Knuth"}],
        "abstract": "We note.", "journal": "Amer. Math. Monthly 99 (1992)", "categories": ["math.CO"],
        "published": "2024-05-01T10:00:00Z", "updated": "2024-05-02T10:00:00Z",
        "links": [{"href": "https://arxiv.org/abs/2405.00001v2", "rel": "alternate"}],
    })
}

fn bad_format() -> FieldErrors {
    let query = QueryString::parse(Some("format=docx"));
    let mut reader = ParamReader::new(&query);
    PaperForm::read(&mut reader, &HeaderMap::new());
    reader.finish().err().unwrap_or_default()
}

pub(crate) fn describe(operation: Operation<'_>) -> Operation<'_> {
    let mut operation = operation
        .named("paper", "records", "A paper, whole")
        .about("A given version, or the newest that a search has found.")
        .response(200, "The paper.");
    let schema = schema(&mut operation);
    let not_found = ApiError::new(Code::NotFound, "no search has found 2405.00001 so far");
    operation
        .content("application/json", schema, example())
        .formats(OF_RESULTS)
        .replica_lag()
        .header(
            "ETag",
            "It changes when arXiv adds to the paper, or a newer version is found.",
        )
        .response(304, "The paper is the one with the entity tag in If-None-Match.")
        .error(
            "It is no identifier, or no search has found the paper.",
            &not_found,
        )
        .invalid(bad_format())
        .unavailable(Code::DatabaseUnavailable)
}

pub(crate) fn describe_list(operation: Operation<'_>) -> Operation<'_> {
    let prefer = "`count=exact`: report the number of papers in X-Total-Count.";
    let mut operation = operation
        .named(
            "papers",
            "records",
            "The papers that searches have found, the newest version of each",
        )
        .reads_header("Prefer", prefer)
        .response(200, "A page.");
    let schema = schema(&mut operation);
    operation
        .content(
            "application/json",
            json!({"type": "array", "items": schema}),
            json!([example()]),
        )
        .formats(OF_RESULTS)
        .next_page()
        .replica_lag()
        .number_header(
            "X-Total-Count",
            "How many papers match, if that was asked for and could be counted in time.",
            0,
        )
        .header("ETag", "It changes when a paper of the page does.")
        .response(304, "The page is the one with the entity tag in If-None-Match.")
        .invalid(bad_integer(&ITEMS_PER_PAGE, "0"))
        .unavailable(Code::DatabaseUnavailable)
}
