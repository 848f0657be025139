//! GET /arxiv?state=…: the queries of the namespace, a page at a time; or, for a client that accepts events, live.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use crd::{SEARCH_FIELDS, UNFINISHED};
use http::{HeaderValue, header};
use service::logs::Call;

use crate::{
    auth::caller::Caller,
    auth::correlation::Correlation,
    error::{ApiError, Code},
    http::events::{StreamEnd, last_seen},
    http::middleware::CallLog,
    jobs::client::KubernetesError,
    jobs::idempotency::IdempotencyKey,
    jobs::submit::is_removed,
    jobs::view::QueryView,
    limits::client::Client,
    output::body::json,
    output::format::Format,
    routes::arxiv::{Arxiv, events},
    routes::request::{Incoming, Input, ReadRequest},
};
use wire::{
    declared::{Param, ParamKind},
    field_error::{FieldError, FieldErrors},
    headers::accept::wanted,
    headers::vary::vary,
    params::{ParamReader, loc},
    query::QueryString,
};

/// Queries of a page.
const MAX_LIMIT: i64 = 500;
const DEFAULT_LIMIT: i64 = 100;

/// A state to list by, and what selects it.
const STATES: [(&str, Option<&str>); 7] = [
    ("pending", Some("status.phase=Pending")),
    ("running", Some("status.phase=Running")),
    ("suspended", Some("status.phase=Suspended")),
    ("succeeded", Some("status.phase=Succeeded")),
    ("failed", Some("status.phase=Failed")),
    ("unfinished", Some(UNFINISHED)),
    ("all", None),
];

/// Whether a GET /arxiv is for the list: with a `state`, and without any search field, which makes it a search.
pub(crate) fn is_requested(query: &QueryString) -> bool {
    let has = |name| query.last(name).is_some();
    let mut fields = SEARCH_FIELDS.iter().filter(|field| field.is_search_field());
    has(STATE.name) && !fields.any(|field| field.member.is_some_and(has))
}

const WORDS: [&str; 7] = {
    let [a, b, c, d, e, f, g] = STATES;
    [a.0, b.0, c.0, d.0, e.0, f.0, g.0]
};
wire::params! {
    STATE = "state": ParamKind::OneOf(&WORDS), "", "Without a search: lists the queries in this state.";
    LIMIT = "limit": ParamKind::Integer(1..=MAX_LIMIT), "",
        "Of a list: how many queries a page has at most (100 if not given).";
    CONTINUE = "continue": ParamKind::Opaque, "",
        "Of a list: where it goes on, from the `Link` of the page before.";
}

#[derive(Debug)]
pub(crate) struct ListRequest {
    state: &'static str,
    selector: Option<&'static str>,
    limit: u32,
    token: Option<String>,
    /// Whether the client accepts events, by name.
    follows: bool,
    last_event_id: Option<String>,
}

impl ReadRequest for ListRequest {
    const PARAMS: &'static [&'static [Param]] = &[&[STATE, LIMIT, CONTINUE]];

    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let headers = request.headers();
        // A list needs no key, but a malformed one is an error wherever it is sent.
        IdempotencyKey::read(headers)?;
        let query = request.query();
        let mut reader = ParamReader::new(&query);
        let asked = reader.raw(&STATE).unwrap_or_default();
        let found = STATES.iter().find(|(state, _)| *state == asked);
        if found.is_none() {
            reader.note(FieldError::none_of(&loc(STATE.name), &WORDS, asked));
        }
        let limit = reader.integer(&LIMIT).unwrap_or(DEFAULT_LIMIT);
        let token = reader.raw(&CONTINUE).filter(|token| !token.is_empty());
        reader.finish()?;
        let (state, selector) = found.copied().unwrap_or(("all", None));
        Ok(Self {
            state,
            selector,
            // At most 500.
            limit: u32::try_from(limit).unwrap_or(1),
            token: token.map(str::to_owned),
            follows: wanted(headers, "text/event-stream").by_name,
            last_event_id: last_seen(headers),
        })
    }
}

impl ListRequest {
    /// The address of the next page, as `Link` has it.
    fn next(&self, token: &str) -> Option<HeaderValue> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("state", self.state)
            .append_pair("limit", &self.limit.to_string())
            .append_pair("continue", token);
        HeaderValue::from_str(&format!("</arxiv?{}>; rel=\"next\"", query.finish())).ok()
    }
}

/// A page of the list; or, for a client that accepts events, a stream of them.
pub(crate) async fn list_queries(
    State(arxiv): State<Arc<Arxiv>>,
    log: CallLog,
    client: Client,
    caller: Caller,
    correlation: Correlation,
    Input(request): Input<ListRequest>,
) -> Result<Response, ApiError> {
    let call = Call::new("list_queries")
        .arg("state", request.state)
        .arg("limit", request.limit);
    log.called(call);
    let mut response = if request.follows {
        let slot = arxiv.streams.acquire(&client)?;
        let backlog = &arxiv.searches.backlog;
        let end = StreamEnd {
            caller,
            process: arxiv.streams.ending.clone(),
            correlation,
        };
        events::follow_list(backlog, slot, end, request.last_event_id)
    } else {
        arxiv.list(&request, &client).await?
    };
    vary(response.headers_mut(), "accept");
    Ok(response)
}

impl Arxiv {
    async fn list(&self, request: &ListRequest, client: &Client) -> Result<Response, ApiError> {
        let reservation = self.limits.rows.reserve(client, request.limit.into()).await?;
        let slot = self.limits.list_pages.acquire(Some(client)).await;
        let _slot = slot.ok_or_else(|| ApiError::unavailable(Code::Overloaded))?;
        let token = request.token.as_deref();
        let objects = &self.searches.objects;
        let listed = objects.list(client, request.selector, request.limit, token).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(KubernetesError::Expired) => {
                let text = "The list has changed too much since its first page: begin anew";
                return Err(ApiError::new(Code::ListExpired, text));
            }
            Err(KubernetesError::Rejected(_)) => {
                let reason = "is not from the address of a next page";
                let problem = FieldError::unfit(&loc(CONTINUE.name), reason, token.unwrap_or_default());
                return Err(FieldErrors::from(problem).into());
            }
            Err(error) => return Err(error.into()),
        };
        let snapshot = self.searches.backlog.snapshot();
        let states: Vec<_> = listed
            .items
            .iter()
            .filter(|object| !is_removed(object))
            .map(|object| {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                QueryView::from_object(object, snapshot.position(name))
            })
            .collect();
        let body = Body::from(reservation.into_bytes(json(&states)?)?);
        let mut response = ([(header::CONTENT_TYPE, Format::Json.content_type())], body).into_response();
        let token = listed.metadata.continue_.filter(|token| !token.is_empty());
        if let Some(next) = token.and_then(|token| request.next(&token)) {
            response.headers_mut().insert(header::LINK, next);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use futures::FutureExt;

    use super::*;
    use crate::routes::request::RequestContext;

    #[test]
    fn search_with_a_state_is_not_a_list() {
        for (raw, expected) in [
            ("state=all", true),
            ("state=nonsense&max_results=3", true),
            ("state=", true),
            ("author=x&state=all", false),
            ("journal=&state=all", false),
            ("id_list=2401.00001&state=all", false),
            ("sort_by=relevance&state=all", true),
            ("State=all", false),
            ("", false),
        ] {
            assert_eq!(is_requested(&QueryString::parse(Some(raw))), expected, "{raw}");
        }
    }

    #[test]
    fn list_params_are_parsed() {
        let read = |raw: &str| {
            let request = Request::get(format!("/arxiv?{raw}")).body(Body::empty()).unwrap();
            let request = Incoming::new(request, RequestContext::with_default_settings().unwrap());
            ListRequest::read(request).now_or_never().unwrap()
        };
        let params = read("state=unfinished&limit=5&continue=a%3D").unwrap();
        assert_eq!((params.selector, params.limit), (Some(UNFINISHED), 5));
        assert_eq!(
            params.next("a=&b").unwrap(),
            "</arxiv?state=unfinished&limit=5&continue=a%3D%26b>; rel=\"next\""
        );
        assert_eq!(read("state=all").unwrap().limit, 100);
        for raw in ["state=", "state=All", "state=all&limit=0", "state=all&limit=501"] {
            assert_eq!(read(raw).unwrap_err().status().as_u16(), 422, "{raw}");
        }
    }
}
