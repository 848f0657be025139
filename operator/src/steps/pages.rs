//! Step 3: the pages. Needs the page store; what is missing is handed to the upstream queue.

use arxiv::PageRequest;
use jiff::Timestamp;
use kube::runtime::controller::Action;
use storage::{Page, PageKey};
use upstream::{Assembled, assemble, slices};

use super::{status, validate::Validated};
use crate::{
    context::{Context, Query},
    decide::{Limits, Next, next},
    error::Error,
    telling::{Situation, telling},
};

/// What is there of a query's pages.
pub(crate) enum Pages {
    /// All of it.
    Complete(Assembled),
    /// The first slice that is not there, and how many of how many are there before it.
    Missing {
        request: PageRequest,
        there: usize,
        all: usize,
    },
}

/// Looks for the query's slices, in their order.
pub(crate) async fn collect(context: &Context, query: &Query, validated: &Validated) -> Result<Pages, Error> {
    let Validated {
        search,
        start,
        max_results,
    } = validated;
    let mut pages: Vec<Page> = Vec::new();
    loop {
        // The first page's total counts: no slice is asked for that must be empty by it.
        let total = pages.first().map(|first| first.total);
        let mut requests = slices(search, *start, *max_results, total);
        let all = requests.len();
        if pages.len() >= all {
            // There always is a first page.
            return assemble(pages).map(Pages::Complete).ok_or(Error::NoPages);
        }
        let request = requests.swap_remove(pages.len());
        match context
            .upstream
            .stored(&request, query.known.day)
            .await
            .map_err(Error::Pages)?
        {
            Some(page) => pages.push(page),
            None => {
                return Ok(Pages::Missing {
                    request,
                    there: pages.len(),
                    all,
                });
            }
        }
    }
}

/// Decides how a query with a missing page goes on: it waits for the page, waits for its time, or fails.
pub(crate) async fn go_on(
    context: &Context,
    query: &Query,
    validated: &Validated,
    (request, there, all): (PageRequest, usize, usize),
) -> Result<Action, Error> {
    let now = Timestamp::now();
    let sent = &validated.search.sent();
    let wake = match next(&Limits::from(&*query.object), &query.known, now) {
        Next::Fail(verdict) => return status::fail(context, query, Some(sent), &verdict).await,
        Next::Wait { until } => {
            // It may stand in the queue by a decision that was made just before the failure became known.
            context.tracker.leave(query.uid);
            Some(until)
        }
        Next::Fetch { deadline } => {
            let page = PageKey {
                search: request.search.key().to_owned(),
                day: query.known.day,
                start: request.start,
                count: request.count,
            };
            context
                .tracker
                .want(query.uid, query.reference(), page, request, now);
            deadline
        }
    };
    let cooling_until = context.tracker.cooling_until(now);
    let situation = Situation {
        known: &query.known,
        cooling_until,
        slices: (there, all),
    };
    if let Some(telling) = telling(&query.object, situation, now) {
        status::tell(context, query, sent, &telling).await?;
    }
    Ok(match wake {
        Some(until) => Action::requeue(
            until
                .duration_since(Timestamp::now())
                .try_into()
                .unwrap_or_default(),
        ),
        None => Action::await_change(),
    })
}
