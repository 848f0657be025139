//! The HTTP server: connections, requests, and responses with every kind of fault.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures::{StreamExt, stream};
use http::{Method, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;

use super::behaviour::{Behaviour, Mode};
use super::feed::{self, Results, SearchRequest};
use super::record::Request;
use super::{ServerState, control};

/// arXiv's limits: results in one response, and in total.
const PAGE_LIMIT: u32 = 2000;
const RESULT_LIMIT: u32 = 30_000;
const HUGE_BYTES: usize = 100_000_000;
const SLOW: Duration = Duration::from_secs(12);

type Body = BoxBody<Bytes, io::Error>;

/// Serves until the returned future is dropped.
pub(super) async fn serve(listener: std::net::TcpListener, state: Arc<ServerState>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let number = state.record().opened();
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    connection(stream, &state, number).await;
                    state.record().closed(number);
                });
            }
            // For example, no free file descriptor: others may be closed meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(stream: TcpStream, state: &Arc<ServerState>, number: u64) {
    let service = service_fn(|request| handle(request, state, number));
    // When the client closes the connection this ends at once, also during a delay.
    let served = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    // Some behaviours cause an error on purpose.
    let _ = served.await;
}

async fn handle(
    request: hyper::Request<Incoming>,
    state: &ServerState,
    number: u64,
) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    if control::owns(head.uri.path()) {
        state.record().is_control(number);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        return Ok(control::answer(state, &head.method, head.uri.path(), &body).map(full));
    }
    let asked = record(&head, state, number);
    if head.method != Method::GET {
        return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n"));
    }
    let redirected = head.uri.path() == "/redirected";
    if head.uri.path() != "/api/query" && !redirected {
        return Ok(text(StatusCode::NOT_FOUND, "text/plain", "Not Found\n"));
    }
    let asked = match asked {
        Ok(asked) => asked,
        Err(reason) => return Ok(text(StatusCode::BAD_REQUEST, ATOM, feed::error(&reason))),
    };
    let results = match state.results(&asked) {
        Ok(results) => results,
        Err(reason) => return Ok(text(StatusCode::BAD_REQUEST, ATOM, feed::error(&reason))),
    };
    let mut behaviour = state.behaviour(asked.start);
    if results.is_none() && behaviour.mode == Mode::Ok {
        behaviour.mode = Mode::Close;
    }
    let results = results.unwrap_or(Results::Invented);
    if redirected && behaviour.mode == Mode::Redirect {
        behaviour.mode = Mode::Ok;
    }
    state.record().answered(number, &behaviour);
    // A timer for no time would take a millisecond.
    if behaviour.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(behaviour.delay_ms)).await;
    }
    let host = head
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let query = head.uri.query().unwrap_or_default();
    let mut response = answer(&asked, &results, &behaviour, host, query).await?;
    headers(&mut response, &behaviour);
    Ok(response)
}

/// Records the request and parses its parameters.
fn record(
    head: &http::request::Parts,
    state: &ServerState,
    connection: u64,
) -> Result<SearchRequest, String> {
    let query = head.uri.query().unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let number = |name: &str, default: u32| match parameter(name) {
        Some(text) => text.parse().map_err(|_| format!("{name} must be an integer")),
        None => Ok(default),
    };
    let (start, max_results) = (number("start", 0), number("max_results", 10));
    let search_query = parameter("search_query").unwrap_or_default();
    let id_list = parameter("id_list").unwrap_or_default();
    let agent = head
        .headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let mut record = state.record();
    let open = record.open();
    record.add(Request {
        at: Instant::now(),
        time: Timestamp::now(),
        target: head.uri.to_string(),
        search_query: search_query.clone(),
        id_list: id_list.clone(),
        start: start.clone().unwrap_or_default(),
        max_results: max_results.clone().unwrap_or_default(),
        open,
        connection,
        user_agent: agent.map(str::to_owned),
        answer: None,
    });
    drop(record);
    let asked = SearchRequest {
        search_query,
        id_list,
        sort_by: parameter("sortBy").unwrap_or_default(),
        sort_order: parameter("sortOrder").unwrap_or_default(),
        start: start?,
        max_results: max_results?,
        connection,
    };
    if asked.max_results > PAGE_LIMIT {
        return Err(format!("max_results must not be above {PAGE_LIMIT}"));
    }
    if asked.start.saturating_add(asked.max_results) > RESULT_LIMIT {
        return Err(format!("no results beyond {RESULT_LIMIT} are given"));
    }
    Ok(asked)
}

const ATOM: &str = "application/atom+xml; charset=UTF-8";
const HTML: &str = "text/html; charset=utf-8";

async fn answer(
    asked: &SearchRequest,
    results: &Results,
    behaviour: &Behaviour,
    host: &str,
    query: &str,
) -> io::Result<Response<Body>> {
    let good = || feed::write(asked, results, behaviour);
    let atom = |body: String| text(StatusCode::OK, ATOM, body);
    let status = |number: u16| StatusCode::from_u16(number).unwrap_or(StatusCode::IM_A_TEAPOT);
    let to = |location: String| {
        let mut response = text(StatusCode::MOVED_PERMANENTLY, HTML, "moved\n");
        if let Ok(location) = location.parse() {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    };
    Ok(match behaviour.mode {
        Mode::Status(number) => text(status(number), "text/plain", format!("status {number}\n")),
        Mode::Close => return Err(io::Error::other("closed without an answer")),
        Mode::Slow => {
            tokio::time::sleep(SLOW).await;
            atom(good())
        }
        Mode::Malformed => atom(good().replacen("</feed>", "</fed>", 1).replacen("<id>", "<id", 1)),
        Mode::Truncated => atom(half(&good())),
        Mode::Cut => cut(half(&good())),
        Mode::Html => text(
            StatusCode::OK,
            HTML,
            "<!DOCTYPE html>\n<html><body><h1>Welcome</h1><br></body></html>\n",
        ),
        Mode::Empty => text(StatusCode::OK, ATOM, ""),
        Mode::Redirect => to(format!("http://{host}/redirected?{query}")),
        Mode::RedirectLoop => to(format!("http://{host}/api/query?{query}")),
        // It resolves to this machine, so that a forbidden request would be recorded.
        Mode::RedirectElsewhere => to(format!(
            "http://{}/redirected?{query}",
            host.replace("127.0.0.1", "localhost")
        )),
        Mode::RedirectNowhere => text(StatusCode::MOVED_PERMANENTLY, HTML, "moved\n"),
        Mode::ErrorFeed(number) => text(status(number), ATOM, feed::error("incorrect id format for x")),
        Mode::InternalErrorFeed => text(StatusCode::OK, ATOM, feed::error("internal error")),
        Mode::BrokenEntry => atom(second_entry_broken(&good())),
        Mode::Gzip => {
            let mut response = text(StatusCode::OK, ATOM, gzip(&good())?);
            let coding = header::HeaderValue::from_static("gzip");
            response.headers_mut().insert(header::CONTENT_ENCODING, coding);
            response
        }
        Mode::RateExceeded(number) => text(status(number), "text/plain", "Rate exceeded."),
        Mode::CoolDown => {
            let page = "<html><head><title>Slow down</title></head><body>Too many requests; please wait.</body></html>\n";
            text(StatusCode::SERVICE_UNAVAILABLE, HTML, page)
        }
        Mode::Huge => huge(asked, behaviour),
        Mode::Doctype => {
            let entity = "?>\n<!DOCTYPE feed [<!ENTITY journal \"Nature\">]>";
            atom(good().replacen("?>", entity, 1).replace("Phys.Rev.", "&journal;"))
        }
        Mode::Deep => {
            let nested = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
            atom(good().replacen("<entry>", &format!("{nested}<entry>"), 1))
        }
        Mode::WrongType => text(StatusCode::OK, "text/plain", good()),
        // Their fault is in the feed or in the Date header.
        Mode::Ok
        | Mode::Zero
        | Mode::EmptyPage
        | Mode::ShortPage
        | Mode::UnknownId
        | Mode::NoDate
        | Mode::BadDate
        | Mode::NoTotal
        | Mode::BadTotal
        | Mode::NoAuthors
        | Mode::NoTitle => atom(good()),
    })
}

fn headers(response: &mut Response<Body>, behaviour: &Behaviour) {
    let date = match (&behaviour.date, behaviour.mode) {
        (_, Mode::NoDate) => None,
        (_, Mode::BadDate) => Some("yesterday".to_owned()),
        (Some(date), _) => Some(date.clone()),
        (None, _) => Some(Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
    };
    for (name, value) in [
        (header::DATE, &date),
        (header::RETRY_AFTER, &behaviour.retry_after),
    ] {
        if let Some(value) = value.as_ref().and_then(|value| value.parse().ok()) {
            response.headers_mut().insert(name, value);
        }
    }
}

fn half(text: &str) -> String {
    text.chars().take(text.chars().count() / 2).collect()
}

/// The feed with a tag of its second entry that has no partner.
fn second_entry_broken(feed: &str) -> String {
    let mut parts: Vec<_> = feed.split("<entry>").map(str::to_owned).collect();
    if let Some(second) = parts.get_mut(2) {
        *second = second.replacen("</title>", "</summary>", 1);
    }
    parts.join("<entry>")
}

fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// The connection breaks in the middle of the body.
fn cut(start: String) -> Response<Body> {
    let start = stream::iter([Ok(Frame::data(Bytes::from(start)))]);
    let end = stream::once(async {
        // An immediate error would also discard data that is not sent yet.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(io::Error::other("cut"))
    });
    atom_stream(Body::new(StreamBody::new(Box::pin(start.chain(end)))))
}

/// An endless sequence of entries, created as they are sent.
fn huge(asked: &SearchRequest, behaviour: &Behaviour) -> Response<Body> {
    let head = Bytes::from(feed::head(asked, behaviour, u32::MAX));
    // Most of it is comments, which are parsed quickly: with papers alone a busy machine would take longer than clients wait.
    let comment = format!(
        "<arxiv:comment xmlns:arxiv=\"http://arxiv.org/schemas/atom\">{}</arxiv:comment></entry>",
        "A long comment. ".repeat(4096)
    );
    let entry = feed::entry(asked, behaviour, 0).replacen("</entry>", &comment, 1);
    let entry = Bytes::from(entry);
    let entries = std::iter::repeat_n(entry.clone(), HUGE_BYTES / entry.len());
    let all = std::iter::once(head)
        .chain(entries)
        .chain([Bytes::from_static(b"</feed>\n")]);
    let frames = stream::iter(all).map(|bytes| Ok(Frame::data(bytes)));
    atom_stream(Body::new(StreamBody::new(frames)))
}

fn atom_stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(ATOM));
    response
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|error: Infallible| match error {})
        .boxed()
}
