//! All unfinished queries, live: counts, the first in the queue, and the last that ended.

use std::{sync::Arc, time::Duration};

use axum::response::{Response, sse::Event};
use futures::stream;
use serde::Serialize;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    jobs::backlog::{Backlog, Counts, Snapshot},
    jobs::view::QueryView,
};
use crate::{
    limits::{slots::Slot, streams::StreamLimiter},
    routes::arxiv::events::{SseEvent, answer},
};

/// Queries of an event, from the head of the queue: at some 400 bytes each 40 KB.
const SHOWN: usize = 100;
/// Between two events.
const PAUSE: Duration = Duration::from_secs(1);

/// The data of an event.
#[derive(Serialize)]
struct List {
    counts: Counts,
    queries: Vec<QueryView>,
    ended: Vec<QueryView>,
}

impl Snapshot {
    /// Serialized once for all streams.
    fn list(&self) -> &str {
        self.text.get_or_init(|| {
            let queued = self.order.iter().take(SHOWN);
            let list = List {
                counts: self.counts,
                queries: queued
                    .map(|queued| queued.view(self.position(queued.name())))
                    .collect(),
                ended: self
                    .ended
                    .iter()
                    .map(|object| QueryView::from_object(object, None))
                    .collect(),
            };
            serde_json::to_string(&list).unwrap_or_default()
        })
    }
}

struct ListStream {
    backlog: Arc<Backlog>,
    changes: watch::Receiver<u64>,
    ending: CancellationToken,
    last: Option<String>,
    is_first: bool,
    _slot: Slot,
}

/// The stream.
pub(crate) fn follow(
    backlog: &Arc<Backlog>,
    slot: Slot,
    streams: &StreamLimiter,
    last: Option<String>,
) -> Response {
    let following = ListStream {
        backlog: Arc::clone(backlog),
        changes: backlog.changes(),
        ending: streams.ending.clone(),
        last,
        is_first: true,
        _slot: slot,
    };
    answer(stream::unfold(following, async |mut following| {
        let event = following.next().await?;
        Some((Ok(event), following))
    }))
}

impl ListStream {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if !self.is_first {
                tokio::select! {
                    changed = self.changes.changed() => changed.ok()?,
                    () = self.ending.cancelled() => return None,
                }
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    () = self.ending.cancelled() => return None,
                }
            }
            self.is_first = false;
            let version = *self.changes.borrow_and_update();
            let event = SseEvent::new(self.backlog.snapshot_of(version).await.list().to_owned());
            if self.last.as_ref() != Some(&event.id) {
                self.last = Some(event.id.clone());
                return Some(event.named("queries"));
            }
        }
    }
}
