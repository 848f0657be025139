//! GET /feeds/NAME/events: the items of a feed as server-sent events, from where the client was.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    extract::{Path, State},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, stream};
use serde_json::json;
use service::logs::Call;
use storage::feeds::{Feed, ItemRange};
use tokio::time::sleep;

use super::{
    Feeds, ROWS_OF_A_PAPER,
    followed::{Followed, Follower, News, PERIOD},
    item_json, view,
};
use crate::{
    app::App,
    auth::{caller::Caller, correlation::Correlation},
    error::ApiError,
    http::{
        events::{SseEvent, StreamEnd, respond},
        middleware::CallLog,
    },
    limits::{client::Client, slots::Slot, streams::StreamLimiter},
    output::body,
    routes::request::{FollowRequest, Input},
};

/// Items that are read at once.
const BATCH: i64 = 20;
/// So often a feed is read that has not got as far as its client: the replica is behind, or else the database was restored.
const READS_OF_A_REPLICA_BEHIND: u32 = 30;

/// What the events of feeds need.
#[derive(Clone)]
pub(crate) struct FeedStreams {
    feeds: Feeds,
    followed: Arc<Followed>,
    streams: StreamLimiter,
}

impl FeedStreams {
    pub(crate) fn of(app: &App) -> Option<Self> {
        let feeds = Feeds::of(app)?;
        Some(Self {
            followed: Arc::new(Followed::new(feeds.reads.clone())),
            streams: StreamLimiter::new(app.limits.streams.clone(), app.ending.clone()),
            feeds,
        })
    }
}

/// Follows the items of a feed.
pub(crate) async fn follow(
    State(state): State<FeedStreams>,
    Path(name): Path<String>,
    client: Client,
    log: CallLog,
    caller: Caller,
    correlation: Correlation,
    Input(request): Input<FollowRequest>,
) -> Result<Response, ApiError> {
    log.called(Call::new("follow_feed").arg("name", &name));
    let slot = state.streams.acquire(&client)?;
    let feed = state.feeds.find(&name).await?;
    let end = StreamEnd {
        caller,
        process: state.streams.ending.clone(),
        correlation,
    };
    let items = ItemStream {
        follower: state.followed.follow(feed.uid),
        place: match request.last_event_id {
            Some(id) => Place::named(&feed, id),
            None => state.feeds.newest(&feed).await?,
        },
        feeds: state.feeds,
        reads_ahead: 0,
        client,
        feed: Arc::new(feed),
        ready: VecDeque::new(),
        shown: None,
        is_gone: false,
        _slot: slot,
    };
    Ok(respond(items.events(), end))
}

/// How far a client has come.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Place {
    /// The position of the last item that it has.
    position: i64,
    /// The id of that event.
    id: String,
    /// Whether the feed has another item at this position, as far as is known: then the client gets all items.
    is_confirmed: bool,
}

impl Place {
    /// Before all items.
    fn start(feed: &Feed) -> Self {
        Self {
            position: 0,
            id: syndication::feed_id(feed.uid),
            is_confirmed: true,
        }
    }

    /// Whether the feed, as it was read for the `reads`th time, has not got so far, as a replica that is behind has not. When that
    /// lasts, the client has items of a database that was restored to an earlier time.
    fn is_ahead(&self, feed: &Feed, reads: u32) -> bool {
        self.position > feed.items && reads < READS_OF_A_REPLICA_BEHIND
    }

    /// The one that a client names; the start for a name that this feed has given to nothing.
    fn named(feed: &Feed, id: String) -> Self {
        let start = Self::start(feed);
        let position = id.rsplit_once('#').and_then(|(_, text)| text.parse().ok());
        match position {
            Some(position) if position > 0 && id.starts_with(&start.id) => Self {
                position,
                id,
                is_confirmed: false,
            },
            _ => start,
        }
    }
}

impl Feeds {
    /// The place of a client that wants what is new from now on.
    async fn newest(&self, feed: &Feed) -> Result<Place, ApiError> {
        let range = ItemRange {
            before: feed.items.checked_add(1),
            ..ItemRange::default()
        };
        let items = self.reads.feed_items(feed.uid, range, 1).await?;
        let newest = items.first().map(|item| Place {
            position: item.position,
            id: event_id(feed, item),
            is_confirmed: true,
        });
        Ok(newest.unwrap_or_else(|| Place::start(feed)))
    }
}

/// The identifier of the item, and its position: where both are known to a client, it has all up to there.
fn event_id(feed: &Feed, item: &storage::feeds::FeedItem) -> String {
    let id = syndication::item_id(feed.uid, item.seen_set, &item.id);
    format!("{id}#{}", item.position)
}

/// JSON in one line.
enum Data {
    Text(String),
    /// A part of a batch; all of them together own the memory of the batch.
    Part(Bytes),
}

impl AsRef<str> for Data {
    fn as_ref(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Part(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        }
    }
}

/// The events of one client.
struct ItemStream {
    feeds: Feeds,
    client: Client,
    follower: Follower,
    /// As it was last read.
    feed: Arc<Feed>,
    place: Place,
    /// How often the feed was read without that it had got as far as the client.
    reads_ahead: u32,
    /// Items that are read and not sent, each with its place.
    ready: VecDeque<(Place, Bytes)>,
    /// The feed as the client knows it.
    shown: Option<Arc<Feed>>,
    is_gone: bool,
    _slot: Slot,
}

impl ItemStream {
    fn events(self) -> impl Stream<Item = SseEvent<Data>> {
        stream::unfold(self, async |mut items| {
            let event = items.next().await?;
            Some((event, items))
        })
    }

    /// First the feed, so that the client has a place to come back to; then what it has not got, as soon as that is there.
    async fn next(&mut self) -> Option<SseEvent<Data>> {
        loop {
            if self.is_gone {
                return None;
            }
            if self.shown.is_none() {
                return Some(self.show());
            }
            if let Some((place, item)) = self.ready.pop_front() {
                self.place = place;
                return Some(self.event("item", Data::Part(item)));
            }
            match self.read().await {
                Ok(()) if !self.ready.is_empty() => continue,
                Ok(()) if self.shown.as_ref() != Some(&self.feed) => return Some(self.show()),
                // What cannot be read now is read the next time.
                Ok(()) | Err(_) => {}
            }
            sleep(PERIOD).await;
            match self.follower.news(&self.feed).await {
                News::None => {}
                News::Feed(feed) => self.feed = feed,
                News::Gone => {
                    self.is_gone = true;
                    let gone = json!({"detail": "The feed was removed"}).to_string();
                    return Some(self.event("gone", Data::Text(gone)));
                }
            }
        }
    }

    fn show(&mut self) -> SseEvent<Data> {
        self.shown = Some(Arc::clone(&self.feed));
        self.event("feed", Data::Text(view(&self.feed).to_string()))
    }

    fn event(&self, name: &'static str, data: Data) -> SseEvent<Data> {
        let id = self.place.id.clone();
        SseEvent { name, id, data }
    }

    /// Reads the items after the client's place, so many as are sent next. A replica that is behind has them later.
    async fn read(&mut self) -> Result<(), ApiError> {
        let (reads, uid) = (&self.feeds.reads, self.feed.uid);
        if self.place.is_ahead(&self.feed, self.reads_ahead) {
            self.reads_ahead += 1;
            return Ok(());
        }
        self.reads_ahead = 0;
        if self.place.position > self.feed.items {
            self.place = Place::start(&self.feed);
        }
        if !self.place.is_confirmed {
            let position = self.place.position;
            let here = ItemRange {
                before: position.checked_add(1),
                after: Some(position - 1),
                since: None,
            };
            let here = reads.feed_items(uid, here, 1).await?;
            let is_same =
                here.first().map(|item| event_id(&self.feed, item)).as_ref() == Some(&self.place.id);
            if is_same {
                self.place.is_confirmed = true;
            } else {
                self.place = Place::start(&self.feed);
            }
        }
        if self.place.position == self.feed.items {
            return Ok(());
        }
        let rows = BATCH.saturating_mul(ROWS_OF_A_PAPER);
        let reservation = self.feeds.responses.reserve(&self.client, rows).await?;
        let after = ItemRange {
            after: Some(self.place.position),
            ..ItemRange::default()
        };
        let items = reads.oldest_feed_items(uid, after, BATCH).await?;
        let (mut text, mut parts) = (BytesMut::new(), Vec::new());
        for (item, paper) in &items {
            let begin = text.len();
            text.put(body::json(&item_json(uid, item, paper))?);
            let place = Place {
                position: item.position,
                id: event_id(&self.feed, item),
                is_confirmed: true,
            };
            parts.push((place, begin..text.len()));
        }
        let text = reservation.into_bytes(text)?;
        let parts = parts.into_iter().map(|(place, range)| (place, text.slice(range)));
        self.ready.extend(parts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn feed() -> Feed {
        Feed {
            uid: Uuid::from_u128(7),
            namespace: "a".to_owned(),
            name: "b".to_owned(),
            title: String::new(),
            items: 9,
            last_run: None,
            last_complete_run: None,
            timing: storage::feeds::Timing::default(),
        }
    }

    #[test]
    fn client_that_is_ahead_waits_for_a_replica_but_not_for_ever() {
        let feed = feed();
        let id = syndication::feed_id(feed.uid);
        let place = |position| Place::named(&feed, format!("{id}/1/2405.00001v2#{position}"));
        assert!(!place(9).is_ahead(&feed, 0));
        assert!(place(10).is_ahead(&feed, 0));
        assert!(place(10).is_ahead(&feed, READS_OF_A_REPLICA_BEHIND - 1));
        assert!(!place(10).is_ahead(&feed, READS_OF_A_REPLICA_BEHIND));
    }

    #[test]
    fn place_of_a_client_is_one_of_the_feed_or_its_start() {
        let feed = feed();
        let id = syndication::feed_id(feed.uid);
        let known = Place::named(&feed, format!("{id}/1/2405.00001v2#12"));
        assert_eq!((known.position, known.is_confirmed), (12, false));
        let other = syndication::feed_id(Uuid::from_u128(8));
        for text in [
            String::new(),
            "12".to_owned(),
            id.clone(),
            format!("{id}#0"),
            format!("{id}#-1"),
            format!("{id}#99999999999999999999"),
            format!("{other}/1/2405.00001v2#12"),
        ] {
            assert_eq!(Place::named(&feed, text.clone()), Place::start(&feed), "{text}");
        }
    }
}
