//! The memory for answers that clients have not read yet.
//!
//! A long answer is paid for before it is read from anywhere, by the number of its rows, and from then on by its length, as long as
//! any of its bytes is in memory: they own what was paid. Short answers are free: they are bounded by the number of connections, so
//! the usual page never waits for anybody's exports. One client, whatever it leaves unread, has half of the room at most, and waits
//! for its own answers before it stands in anybody's way.
//!
//! What is read and written at the moment is bounded by the connections to the databases; rows that turn out longer than they were
//! taken for pay once they are an answer. A stream holds no more than it pays for.
//!
//! Nobody who has room waits for more: first for the client's share, then for the room, all at once, in the order of coming. What
//! turns out longer than it was taken for gets more at once, or is refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    error::{ApiError, Code},
    limits::client::Client,
};

/// Answers that are free. On as many connections as there may be, 32 MiB.
const SMALL_KIB: usize = 32;
/// How long an answer waits for others to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much there is, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomSize {
    /// The name in the metrics.
    pub(crate) name: &'static str,
    /// All answers together.
    pub(crate) kib: usize,
    /// What a row is taken for before it is read.
    pub(crate) kib_of_row: usize,
}

/// Of rows from the databases: 24 pages or exports of the longest kind at once, some hundred of what is usual.
pub(crate) const ROWS: RoomSize = RoomSize {
    name: "rows",
    kib: 48 * 1024,
    kib_of_row: 2,
};
/// Of papers from arXiv, which are held from the first page on: two searches of the longest kind at once.
pub(crate) const PAPERS: RoomSize = RoomSize {
    name: "papers",
    kib: 60_000,
    kib_of_row: 1,
};

/// The room, shared by all requests.
#[derive(Clone, Debug)]
pub(crate) struct AnswerRoom(Arc<Room>);

#[derive(Debug)]
struct Room {
    size: RoomSize,
    all: Arc<Semaphore>,
    /// What each client may still take; there as long as it has something, or waits.
    shares: Mutex<HashMap<Client, Weak<Semaphore>>>,
}

/// What one answer has of the room.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    client: Client,
    /// None of a short one.
    taken: Option<Taken>,
}

#[derive(Debug)]
struct Taken {
    of_share: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

impl AnswerRoom {
    pub(crate) fn new(size: RoomSize) -> Self {
        Self(Arc::new(Room {
            size,
            all: Arc::new(Semaphore::new(size.kib)),
            shares: Mutex::default(),
        }))
    }

    /// Room for an answer of so many rows, before they are read; 503 when others' answers fill it for too long.
    pub(crate) async fn take(&self, client: &Client, rows: i64) -> Result<Place, ApiError> {
        let rows = usize::try_from(rows).unwrap_or_default();
        let kib = self.0.payable(rows.saturating_mul(self.0.size.kib_of_row));
        let taken = match self.0.try_take(client, kib) {
            _ if kib == 0 => None,
            Some(taken) => Some(taken),
            None => {
                let waited = timeout(PATIENCE, self.0.wait(client, kib)).await;
                Some(waited.ok().flatten().ok_or_else(overloaded)?)
            }
        };
        Ok(Place {
            room: Arc::clone(&self.0),
            client: client.clone(),
            taken,
        })
    }

    /// The name in the metrics.
    pub(crate) fn name(&self) -> &'static str {
        self.0.size.name
    }

    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.size.kib.saturating_sub(self.0.all.available_permits()) * 1024
    }
}

impl Room {
    /// What one client may have. An answer that is longer alone may have all of that.
    fn share(&self) -> usize {
        self.size.kib / 2
    }

    /// What is paid for a length.
    fn payable(&self, kib: usize) -> usize {
        if kib <= SMALL_KIB {
            0
        } else {
            kib.min(self.share())
        }
    }

    fn share_of(&self, client: &Client) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(client).and_then(Weak::upgrade) {
            return share;
        }
        // Those who have nothing any more: never more than there are requests.
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share()));
        shares.insert(client.clone(), Arc::downgrade(&share));
        share
    }

    fn try_take(&self, client: &Client, kib: usize) -> Option<Taken> {
        let kib = u32::try_from(kib).ok().filter(|kib| *kib > 0)?;
        Some(Taken {
            of_share: self.share_of(client).try_acquire_many_owned(kib).ok()?,
            of_all: Arc::clone(&self.all).try_acquire_many_owned(kib).ok()?,
        })
    }

    async fn wait(&self, client: &Client, kib: usize) -> Option<Taken> {
        let kib = u32::try_from(kib).ok()?;
        let of_share = self.share_of(client).acquire_many_owned(kib).await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_many_owned(kib).await.ok()?;
        Some(Taken { of_share, of_all })
    }
}

impl Place {
    /// The whole answer, which from here on pays for its length until the last of it is gone.
    pub(crate) fn whole(mut self, text: BytesMut) -> Result<Bytes, ApiError> {
        let kib = self.room.payable(text.len().div_ceil(1024));
        if kib == 0 {
            return Ok(text.freeze());
        }
        let taken = self.taken.as_ref().map_or(0, |taken| taken.of_all.num_permits());
        if kib > taken {
            let more = self.room.try_take(&self.client, kib - taken);
            let more = more.ok_or_else(overloaded)?;
            match &mut self.taken {
                Some(taken) => taken.merge(more),
                none => *none = Some(more),
            }
        } else if let Some(taken) = &mut self.taken {
            taken.give_back(taken.of_all.num_permits() - kib);
        }
        let text = if text.capacity() > text.len() + text.len() / 4 {
            // What it grew by is as much memory as the rest.
            Bytes::copy_from_slice(&text)
        } else {
            text.freeze()
        };
        Ok(Bytes::from_owner(Owned { text, _place: self }))
    }

    /// A part of an answer that is streamed: what was paid is for this part too.
    pub(crate) fn part(self: &Arc<Self>, text: Bytes) -> Bytes {
        Bytes::from_owner(Owned {
            text,
            _place: Arc::clone(self),
        })
    }
}

impl Taken {
    fn merge(&mut self, more: Self) {
        self.of_share.merge(more.of_share);
        self.of_all.merge(more.of_all);
    }

    fn give_back(&mut self, kib: usize) {
        drop(self.of_share.split(kib));
        drop(self.of_all.split(kib));
    }
}

/// Bytes that give something back when they are gone: the server holds them, whatever has become of their body, until the client
/// has read them.
struct Owned<P> {
    text: Bytes,
    _place: P,
}

impl<P> AsRef<[u8]> for Owned<P> {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

fn overloaded() -> ApiError {
    ApiError::unavailable(Code::Overloaded)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Two answers of a hundred rows a client, four in all.
    const SIZE: RoomSize = RoomSize {
        name: "test",
        kib: 400,
        kib_of_row: 1,
    };

    fn client(n: u8) -> Client {
        Client::at([192, 0, 2, n].into())
    }

    fn text(kib: usize) -> BytesMut {
        BytesMut::from(&*vec![b'x'; kib * 1024])
    }

    fn free(room: &AnswerRoom) -> usize {
        room.0.all.available_permits()
    }

    #[tokio::test]
    async fn short_answers_are_free() {
        let room = AnswerRoom::new(SIZE);
        let place = room.take(&client(1), 32).await.unwrap();
        assert_eq!(free(&room), 400);
        let held = place.whole(text(32)).unwrap();
        assert_eq!((free(&room), held.len()), (400, 32 * 1024));
        assert!(room.0.shares.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_bytes_pay_for_their_length_until_they_are_gone() {
        let room = AnswerRoom::new(SIZE);
        for (rows, length, paid) in [
            (100, 60, 60),
            (100, 140, 140),
            (10, 50, 50),
            (100, 20, 0),
            (100, 900, 200),
        ] {
            let place = room.take(&client(1), rows).await.unwrap();
            let held = place.whole(text(length)).unwrap();
            assert_eq!(held.len(), length * 1024);
            let end = held.slice(1..);
            drop(held);
            assert_eq!(400 - free(&room), paid, "{rows} rows, {length} KiB");
            drop(end);
            assert_eq!(free(&room), 400);
        }
        let place = Arc::new(room.take(&client(1), 100).await.unwrap());
        let part = place.part(text(10).freeze());
        drop(place);
        assert_eq!((free(&room), part.len()), (300, 10 * 1024));
        drop(part);
        assert_eq!((free(&room), room.taken()), (400, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_leaves_room_for_others() {
        let room = AnswerRoom::new(SIZE);
        let (greedy, other, third) = (client(1), client(2), client(3));
        let first = room.take(&greedy, 100).await.unwrap();
        let second = room.take(&greedy, 100).await.unwrap();
        // It waits for itself, and nobody waits for it.
        let mut waiting = Box::pin(room.take(&greedy, 100));
        assert!(waiting.as_mut().now_or_never().is_none());
        let others = [
            room.take(&other, 100).now_or_never().unwrap().unwrap(),
            room.take(&third, 100).now_or_never().unwrap().unwrap(),
        ];
        drop(first);
        drop(waiting.await.unwrap());
        // Now it is full for whoever comes.
        let _fourth = room.take(&other, 100).await.unwrap();
        let error = room.take(&third, 100).await.unwrap_err();
        assert!(error.is(Code::Overloaded));
        assert!(room.take(&third, 10).await.is_ok(), "a short one");
        let longer = room.take(&third, 10).await.unwrap().whole(text(50));
        assert!(
            longer.unwrap_err().is(Code::Overloaded),
            "it turned out a long one"
        );
        drop((second, others));
        assert!(room.take(&third, 100).await.is_ok());
        assert_eq!(free(&room), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_refused_gives_back_what_it_had() {
        let room = AnswerRoom::new(SIZE);
        let mut held = Vec::new();
        for n in 1..=4 {
            held.push(room.take(&client(n), 100).await.unwrap());
        }
        // Its share is there, the room is not.
        assert!(room.take(&client(5), 100).await.is_err());
        // Too long now for what is left.
        let place = held.pop().unwrap();
        assert!(place.whole(text(150)).is_err());
        assert_eq!(free(&room), 100);
        drop(held);
        assert_eq!(free(&room), 400);
        drop(room.take(&client(6), 100).await.unwrap());
        assert!(room.0.shares.lock().unwrap().len() <= 1, "forgotten");
    }
}
