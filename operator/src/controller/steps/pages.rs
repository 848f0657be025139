//! Step 4: the pages. Needs the page store; what is missing is handed to the upstream queue.

use arxiv::PageRequest;
use jiff::Timestamp;
use kube::runtime::controller::Action;
use upstream::{key, slices};

use super::{status, validate::Validated};
use crate::{
    controller::{
        answer::{Answer, Slice},
        context::{Context, Query},
        decision::{Limits, Next, next},
        error::Error,
        progress_report::{Situation, telling},
    },
    fetch::tracker::WantedPage,
};

/// What is there of a query's pages.
pub(crate) enum Pages {
    /// All of it.
    Complete(Answer),
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
    let mut slices_there: Vec<Slice> = Vec::new();
    loop {
        // The first page's total counts: no slice is asked for that must be empty by it.
        let total = slices_there.first().map(|first| first.head.total);
        let mut requests = slices(search, *start, *max_results, total);
        let all = requests.len();
        if slices_there.len() >= all {
            return Ok(Pages::Complete(Answer { slices: slices_there }));
        }
        let request = requests.swap_remove(slices_there.len());
        let key = key(&request, query.known.selector());
        let head = context.pages.head(&key).await.map_err(|source| Error::Storage {
            step: "looking for stored pages",
            source,
        })?;
        match head {
            Some(head) => slices_there.push(Slice { key, head }),
            None => {
                return Ok(Pages::Missing {
                    request,
                    there: slices_there.len(),
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
            let page = WantedPage {
                request,
                day: query.known.day,
            };
            context.tracker.want(query.uid, &query.object, page, there, now);
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
        let telling = telling.with_place(context.tracker.before(query.uid));
        if status::tell(context, query, sent, &telling).await? {
            context.tracker.told(query.uid, there, now);
        }
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
