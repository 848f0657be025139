//! /arxiv/NAME/results: what one query found.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, RawQuery, State},
    response::Response,
};
use crd::{ArxivQuery, Phase};
use jiff::{SignedDuration, Timestamp};
use service::logs::Call;
use storage::{EndedQuery, Ending, Reads, ResultRow};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Arxiv, query::Lookup, responses::location};
use crate::{
    error::{ApiError, Code},
    http::middleware::CallLog,
    limits::client::Client,
    openapi::{Operation, bad_integer},
    output::feed::FeedOf,
    routes::request::Input,
    routes::results::{PAGE, PageParams, QueryResultsParams, add_next_page, streamed, written},
};

/// So long after a query's end, a replica that is not behind has what the query recorded, unless that was removed. What a
/// replica says of itself may be a minute old: so long it takes one whose primary falls silent to notice.
const REPLICATION_GRACE: SignedDuration = SignedDuration::from_mins(5);
/// How long a read waits for its replica.
const REPLICA_WAIT: Duration = Duration::from_secs(5);
const REPLICA_PAUSE: Duration = Duration::from_millis(200);

/// The results of a query that has succeeded; before, its state.
pub(crate) async fn read_query_results(
    State(arxiv): State<Arc<Arxiv>>,
    Path(name): Path<String>,
    log: CallLog,
    client: Client,
    RawQuery(query): RawQuery,
    Input(params): Input<QueryResultsParams>,
) -> Result<Response, ApiError> {
    let call = match params.page {
        Some(page) => page.call("read_object_results"),
        None => Call::new("read_object_results").arg("all", "true"),
    };
    let call = call.arg("name", &name);
    log.called(call);
    let failed = || Err(failed().about(location(&name)));
    let (uid, ended) = match arxiv.lookup(&client, &name).await? {
        Lookup::Deleted(ended) => match ended.ending {
            Ending::Recorded(_) => (Some(ended.uid), ended.recorded_at),
            Ending::Failed(_) => return failed(),
        },
        Lookup::Live(object) => match object.phase() {
            Phase::Pending | Phase::Running | Phase::Suspended => return Ok(arxiv.state(&object)),
            Phase::Failed => return failed(),
            Phase::Succeeded => {
                let status = object.status.as_ref();
                let ended = status.and_then(|status| Some(status.completion_time.as_ref()?.0));
                let uid = object.metadata.uid.as_deref();
                let uid = uid.and_then(|uid| Uuid::try_parse(uid).ok());
                (arxiv.uid_before_restore(&object).await?.or(uid), ended)
            }
        },
    };
    // Of all results, the first batch is read as a page of its own.
    let page = params.page.unwrap_or(PageParams {
        page: 0,
        items_per_page: Reads::BATCH,
    });
    let reservation = arxiv.limits.rows.reserve(&client, page.items_per_page).await?;
    let uid = uid.ok_or_else(ApiError::internal)?;
    let rows = arxiv.results(uid, ended, page).await;
    let rows = rows.map_err(|error| error.about(location(&name)))?;
    let reads = arxiv.reads.as_ref().ok_or_else(ApiError::not_found)?;
    let of = FeedOf::Query(uid, &name);
    if params.page.is_none() {
        let batches = reads.results_after(uid, rows);
        return streamed(reads.clone(), params.form, &of, batches, reservation).await;
    }
    let count = rows.len();
    let mut response = written(reads, params.form, &of, rows, reservation).await?;
    add_next_page(&mut response, query.as_deref(), page, count);
    Ok(response)
}

impl Arxiv {
    /// The uid under which the object's rows were recorded, if it was restored from a backup after that: those with its names and its
    /// number.
    async fn uid_before_restore(&self, object: &ArxivQuery) -> Result<Option<Uuid>, ApiError> {
        let (Some(reads), true) = (self.reads.as_ref(), object.is_restored()) else {
            return Ok(None);
        };
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let number = object.status.as_ref().and_then(|status| status.query_id);
        let ended = reads.ended(&self.namespace, name).await?;
        let is_its = |ended: &EndedQuery| matches!(&ended.ending, Ending::Recorded(row) if Some(row.query_id) == number);
        Ok(ended.filter(is_its).map(|ended| ended.uid))
    }

    /// Waits, bounded, until the replica has what the object's status reports already; unless that was removed.
    async fn results(
        &self,
        uid: Uuid,
        ended: Option<Timestamp>,
        page: PageParams,
    ) -> Result<Vec<ResultRow>, ApiError> {
        let reads = self.reads.as_ref().ok_or_else(ApiError::not_found)?;
        let limit = Instant::now() + REPLICA_WAIT;
        let ended_long_ago =
            ended.is_some_and(|ended| Timestamp::now().duration_since(ended) > REPLICATION_GRACE);
        loop {
            let read = reads.results_of(uid, page.page, page.items_per_page);
            let rows = tokio::time::timeout_at(limit, read)
                .await
                .map_err(|_| ApiError::unavailable(Code::NotReplicated))??;
            match rows {
                Some(rows) => return Ok(rows),
                None if ended_long_ago && reads.is_without_results_of(uid).await? => {
                    return Err(removed());
                }
                None if Instant::now() + REPLICA_PAUSE < limit => sleep(REPLICA_PAUSE).await,
                None => return Err(ApiError::unavailable(Code::NotReplicated)),
            }
        }
    }
}

fn failed() -> ApiError {
    ApiError::new(Code::QueryFailed, "The query failed and has no results")
}

fn removed() -> ApiError {
    let text = "The query succeeded, and its results are not kept any more";
    ApiError::new(Code::ResultsRemoved, text)
}

pub(crate) fn describe(operation: Operation<'_>) -> Operation<'_> {
    operation
        .named("read_query_results", "searches", "What one query found")
        .about("Waits, bounded, until what the query recorded can be read.")
        .response(200, "A page, or all results.")
        .papers()
        .unfinished()
        .invalid(bad_integer(&PAGE, "-1"))
        .no_query()
        .error("The query failed.", &failed())
        .error(
            "What it recorded is not there any more, or it was removed before it ended.",
            &removed(),
        )
        .unavailable(Code::NotReplicated)
}
