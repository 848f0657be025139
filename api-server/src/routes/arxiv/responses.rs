//! Responses that several handlers of /arxiv make, and their description.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use crd::ArxivQuery;
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use wire::root_path::RootPath;

use crate::{
    error::{ApiError, Code, Limit, seconds},
    jobs::view::QueryView,
    openapi::Operation,
};

/// When a client should read the state of an unfinished query again: a turn at arXiv comes every three seconds.
const POLL_AFTER: Duration = Duration::from_secs(3);

/// The path of the query with this name.
pub(super) fn location(name: &str) -> String {
    format!("/arxiv/{name}")
}

/// The path of an object.
pub(super) fn location_of(object: &ArxivQuery) -> String {
    location(object.metadata.name.as_deref().unwrap_or_default())
}

/// Adds `Location`.
pub(super) fn locate(object: &ArxivQuery, response: &mut Response) {
    if let Ok(location) = HeaderValue::from_str(&location_of(object)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
}

/// The body of a 202.
#[derive(JsonSchema, Serialize)]
pub(super) struct Accepted<'a> {
    detail: &'a str,
    code: &'a str,
    name: &'a str,
    location: String,
}

impl<'a> Accepted<'a> {
    pub(super) fn new(name: &'a str, location: String) -> Self {
        Self {
            detail: "The query is accepted and not finished yet; its state is at the address in Location",
            code: Code::StillWaiting.as_str(),
            name,
            location,
        }
    }
}

/// 202: the query is kept and will run; its state is at `Location`.
pub(super) fn accepted(object: &ArxivQuery, root: &RootPath) -> Response {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let body = Accepted::new(name, root.of(&location(name)));
    let mut response = unfinished(Json(body).into_response());
    locate(object, &mut response);
    response
}

/// 202, and when to come back.
pub(super) fn unfinished(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::ACCEPTED;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds(POLL_AFTER));
    response.extensions_mut().insert(Limit::Upstream);
    response
}

/// The name of a query, as an example.
pub(super) const NAME: &str = "arxiv-7f1f8f1a3c6e4d0b9a52c1f0e3d4b5a6";

impl Operation<'_> {
    /// The headers of a request that creates a query.
    pub(super) fn creates_query(self) -> Self {
        let prefer = "`respond-async`: answer 202 at once; `wait=N`: after N seconds, if not before.";
        let about = "Requests with the same key are about one query; another search under it is refused.";
        // 1 to 255 characters of printable ASCII, as a string in quotes or without.
        let key = r#"^("([ !#-\[\]-~]|\["\]){1,255}"|[!#-~]([ !#-~]{0,253}[!#-~])?)$"#;
        self.reads_header("Prefer", prefer).reads_header_as(
            "Idempotency-Key",
            about,
            json!({"type": "string", "pattern": key}),
        )
    }

    /// The state of a query that has ended, or of one that waits, as the response's body.
    pub(super) fn state(self, ended: bool) -> Self {
        let at = |time: &str| ended.then(|| format!("2024-03-31T00:00:{time}Z"));
        let queue = json!({"place": 2, "requests_before": 1, "expected_seconds": 3, "covers": "namespace"});
        self.json::<QueryView>(json!({
            "name": NAME, "uid": "0a4b0e4e-52a4-4a4f-9c5c-1f2d3c4b5a69",
            "phase": if ended { "Succeeded" } else { "Pending" }, "query_id": ended.then_some(17),
            "timestamp": ended.then_some(1_711_843_201), "status": ended.then_some(200),
            "num_results": ended.then_some(1234), "num_entries": ended.then_some(3),
            "search": {"author": "knuth"}, "queue": (!ended).then_some(queue),
            "query": ended.then_some("search_query=au:knuth&id_list=&start=0&max_results=3"),
            "attempts": ended.then_some(1), "reason": null, "message": null, "created": "2024-03-31T00:00:00Z",
            "started": at("00"), "finished": at("02"),
        }))
    }

    /// A 202 with the state.
    pub(super) fn unfinished(self) -> Self {
        self.response(202, "It has not ended.").state(false).retry_after()
    }

    pub(super) fn location(self) -> Self {
        self.header("Location", "Where its state is.")
    }

    /// The 404 of a name.
    pub(super) fn no_query(self) -> Self {
        self.error("There is no query of this name.", &ApiError::not_found())
    }

    /// arXiv's failures, which are the caller's too.
    pub(crate) fn upstream_errors(self) -> Self {
        let upstream = |code, status, detail| ApiError::upstream(code, status, detail, None);
        let refused = upstream(
            Code::SearchRefused,
            400,
            "At least one search parameter must be provided",
        );
        let forbidden = upstream(Code::UpstreamError, 403, "arXiv answered with status 403");
        let broken = upstream(Code::BrokenAnswer, 502, "arXiv's answer is no feed");
        let waiting = "Too many searches are waiting for their answer";
        let too_many = ApiError::new(Code::TooManyWaiting, waiting);
        self.error("No search field is given, or arXiv refuses the search.", &refused)
            .error("arXiv refuses to answer.", &forbidden)
            .error("arXiv finds nothing.", &ApiError::nothing_found())
            .error("Too much is asked for, here or at arXiv.", &too_many)
            .error("arXiv, or this service, failed.", &ApiError::internal())
            .error("arXiv's answer cannot be read.", &broken)
    }
}
