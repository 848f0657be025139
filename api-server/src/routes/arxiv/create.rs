//! POST /arxiv: a query from a JSON body, with all fields that a spec has.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use crd::{ArxivQuerySpec, Phase};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use service::logs::Call;
use wire::{
    body::{self, is_declared_otherwise},
    field_error::FieldError,
    headers::prefer::Preferences,
};

use super::{
    Arxiv,
    new_query::{self, read_spec},
    responses::{locate, location_of},
};
use crate::{
    auth::correlation::Correlation,
    error::{ApiError, Code},
    http::middleware::CallLog,
    jobs::idempotency::IdempotencyKey,
    jobs::outcome::outcome,
    jobs::submit::{SubmitRequest, removed},
    jobs::view::QueryView,
    limits::client::Client,
    limits::request_body::SMALL_BODY,
    openapi::Operation,
    routes::request::{Defaults, Incoming, Input, ReadRequest, SearchCharge},
};

#[derive(Debug)]
pub(crate) struct CreateRequest {
    spec: ArxivQuerySpec,
    key: Option<IdempotencyKey>,
    preferences: Preferences,
}

impl ReadRequest for CreateRequest {
    async fn read(mut request: Incoming) -> Result<Self, ApiError> {
        if is_declared_otherwise(request.headers()) {
            return Err(not_json());
        }
        let members = body::object(request.json(SMALL_BODY).await?)?;
        let defaults = Defaults {
            max_priority: request.max_priority(),
            ..*request.defaults()
        };
        let headers = request.headers();
        Ok(Self {
            spec: read_spec(&members, &defaults)?,
            key: IdempotencyKey::read(headers)?,
            preferences: Preferences::read(headers),
        })
    }
}

/// 201 with the state of a query that has succeeded, whatever it found; arXiv's error when it has failed; 202 with its
/// state before that. Each has its address in `Location`.
pub(crate) async fn create_query(
    State(arxiv): State<Arc<Arxiv>>,
    log: CallLog,
    client: Client,
    correlation: Correlation,
    charge: SearchCharge,
    Input(request): Input<CreateRequest>,
) -> Result<Response, ApiError> {
    let search = &request.spec.search;
    let call = Call::new("create_query")
        .arg("author", search.author.as_deref())
        .arg("title", search.title.as_deref())
        .arg("journal", search.journal.as_deref());
    log.called(call);
    charge.take(request.spec.max_results)?;
    let (searches, preferences) = (&arxiv.searches, request.preferences);
    let submit_request = SubmitRequest {
        spec: request.spec,
        key: request.key,
        client,
        correlation,
        // Tried again as the spec says: a client that posts is ready for a 202.
        fail_fast: false,
        wait_timeout: preferences.wait_timeout(searches.wait),
    };
    let object = searches.run(submit_request).await?;
    let mut response = match outcome(&object, Timestamp::now()) {
        Some(Err(error)) if object.phase() == Phase::Failed => {
            error.about(location_of(&object)).into_response()
        }
        Some(_) => (StatusCode::CREATED, Json(QueryView::from_object(&object, None))).into_response(),
        None => arxiv.state(&object),
    };
    locate(&object, &mut response);
    preferences.add_applied(searches.wait, response.headers_mut());
    Ok(response)
}

pub(crate) fn describe(mut operation: Operation<'_>) -> Operation<'_> {
    let schema = operation.named_schema("NewQuery", new_query::schema());
    let extra = FieldError::extra(&["body".into(), "search".into(), "autor".into()], "knuth");
    let late = "not done 60 seconds after its first request to arXiv";
    operation
        .named("create_query", "searches", "Make a query")
        .about(
            "Makes an `ArxivQuery` and waits for its end, up to a limit. Members may be spelt as in its `spec`. An answer \
             of arXiv that is an error is reported with its status, and the query's address.",
        )
        .creates_query()
        .body(schema, json!({"search": {"author": "knuth", "category": "cs.DS"}, "max_results": 3}))
        .response(201, "It has ended.")
        .state(true)
        .location()
        .unfinished()
        .location()
        .invalid_search(extra)
        .upstream_errors()
        .error("The query was removed before it ended.", &removed())
        .error("The body is declared to be something else than JSON.", &not_json())
        .error(
            "The query was not done `activeDeadlineSeconds` after its first request to arXiv.",
            &ApiError::new(Code::DeadlineExceeded, late),
        )
        .error(
            "The query waited `pendingDeadlineSeconds` without a request to arXiv.",
            &ApiError::new(
                Code::PendingDeadlineExceeded,
                "waited 60 seconds without a request to arXiv",
            ),
        )
        .unavailable(Code::KubernetesUnavailable)
}

fn not_json() -> ApiError {
    let detail = "The body has to be JSON, declared as application/json";
    ApiError::new(Code::UnsupportedMediaType, detail)
}
