//! POST /arxiv: a query from a JSON body, with all fields that a spec has.

use axum::{
    Json,
    extract::{FromRef, FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use crd::Phase;
use http::StatusCode;
use jiff::Timestamp;
use service::logs::Call;
use wire::{
    body::{self, is_declared_otherwise},
    declared::Param,
    headers::prefer::Preferences,
};

use super::{
    Arxiv,
    new_query::NewQuery,
    responses::{locate, location_of, unfinished},
};
use crate::{
    error::{ApiError, Code},
    http::middleware::CallLog,
    jobs::idempotency::IdempotencyKey,
    jobs::outcome::outcome,
    jobs::submit::SubmitRequest,
    jobs::view::QueryView,
    limits::client::Client,
    limits::request_body::SMALL_BODY,
    routes::context::RequestContext,
    routes::route::Declared,
};

/// What is read from the request.
#[derive(Debug)]
pub(crate) struct CreateRequest {
    query: NewQuery,
    key: Option<IdempotencyKey>,
    preferences: Preferences,
}

impl Declared for CreateRequest {
    const PARAMS: &'static [&'static [Param]] = &[];
}

impl<S> FromRequest<S> for CreateRequest
where
    S: Sync,
    RequestContext: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let context = RequestContext::from_ref(state);
        if is_declared_otherwise(request.headers()) {
            let detail = "The body has to be JSON, declared as application/json";
            return Err(ApiError::new(Code::UnsupportedMediaType, detail));
        }
        let (parts, body) = context.read_body(request, SMALL_BODY).await?;
        let members = body::object(body::read(&parts.headers, &body.bytes)?)?;
        Ok(Self {
            query: NewQuery::of_body(&members, context.defaults.query)?,
            key: IdempotencyKey::read(&parts.headers)?,
            preferences: Preferences::read(&parts.headers),
        })
    }
}

/// 201 with the state of a query that has succeeded, whatever it found; arXiv's error when it has failed; 202 with its
/// state before that. Each has its address in `Location`.
pub(crate) async fn create_query(
    State(Arxiv { searches, .. }): State<Arxiv>,
    log: CallLog,
    client: Client,
    request: CreateRequest,
) -> Result<Response, ApiError> {
    let spec = &request.query.spec;
    let call = Call::new("create_query")
        .arg("author", spec.author.as_deref())
        .arg("title", spec.title.as_deref())
        .arg("journal", spec.journal.as_deref());
    log.called(call);
    let preferences = request.preferences;
    let submit_request = SubmitRequest {
        query: request.query,
        key: request.key,
        client: Some(client),
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
        None => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            let view = QueryView::from_object(&object, searches.backlog.position(name));
            unfinished(Json(view).into_response())
        }
    };
    locate(&object, &mut response);
    preferences.add_applied(searches.wait, response.headers_mut());
    Ok(response)
}
