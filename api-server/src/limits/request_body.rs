//! Reading a request's body within bounds of length, time, and memory for all bodies together.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{ApiError, Code};

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// Of everything but results.
pub(crate) const SMALL_BODY: BodyLimit = BodyLimit {
    bytes: 1024 * 1024,
    time: Duration::from_secs(15),
};

/// Of 30,000 results: some 1 KiB for each.
pub(crate) const RESULTS_BODY: BodyLimit = BodyLimit {
    bytes: 32 * 1024 * 1024,
    time: Duration::from_mins(1),
};

/// All bodies in memory at once: two of the longest.
const BUDGET_KIB: usize = 64 * 1024;
/// How long a body waits for others to make room.
const ROOM_PATIENCE: Duration = Duration::from_secs(5);
/// What of a body that is too long is still read and thrown away, and for how long: most clients read the answer only
/// once they have sent all, and a connection that is closed before loses it.
const DRAINED: BodyLimit = BodyLimit {
    bytes: 16 * 1024 * 1024,
    time: Duration::from_secs(2),
};

/// The memory for bodies, shared by all requests. Each body pays for what has come of it, so that a slow one holds
/// nothing but that.
#[derive(Clone)]
pub(crate) struct BodyRoom(Arc<Semaphore>);

/// A whole body, and its share of the room.
pub(crate) struct HeldBody {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl BodyRoom {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_KIB)))
    }

    /// The whole body; 413 when it is too long, 408 when it takes too long, 503 when there are too many others.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        limit: BodyLimit,
    ) -> Result<HeldBody, ApiError> {
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let end = Instant::now() + limit.time;
        let mut bytes = BytesMut::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        let mut too_long = declared.is_some_and(|length| length > limit.bytes as u64);
        while !too_long {
            let frame = timeout_at(end, body.frame()).await.map_err(|_| too_slow())?;
            let Some(frame) = frame else {
                return Ok(HeldBody {
                    bytes: bytes.freeze(),
                    _room: room,
                });
            };
            let frame =
                frame.map_err(|_| ApiError::new(Code::MalformedRequest, "The request's body broke off"))?;
            let Ok(chunk) = frame.into_data() else { continue };
            too_long = bytes.len() + chunk.len() > limit.bytes;
            if !too_long {
                let wanted = kib(bytes.len() + chunk.len()).saturating_sub(kib(bytes.len()));
                merge(&mut room, self.more(wanted).await?);
                bytes.extend_from_slice(&chunk);
            }
        }
        drop((bytes, room));
        // Who waits for "100 Continue" has not begun to send.
        if !headers.contains_key(header::EXPECT) {
            drain(body).await;
        }
        let text = format!("The request's body is longer than {} bytes", limit.bytes);
        Err(ApiError::new(Code::BodyTooLong, text))
    }

    async fn more(&self, kib: u32) -> Result<OwnedSemaphorePermit, ApiError> {
        let permit = timeout(ROOM_PATIENCE, Arc::clone(&self.0).acquire_many_owned(kib)).await;
        permit
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| ApiError::unavailable(Code::Overloaded))
    }
}

fn merge(room: &mut Option<OwnedSemaphorePermit>, more: OwnedSemaphorePermit) {
    match room {
        Some(room) => room.merge(more),
        None => *room = Some(more),
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

async fn drain(mut body: Body) {
    let drain = async {
        let mut left = DRAINED.bytes;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whoever sends more, or more slowly, may not see the answer.
    let _ = timeout(DRAINED.time, drain).await;
}

fn too_slow() -> ApiError {
    ApiError::new(Code::BodyTooSlow, "The request's body took too long")
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http::HeaderValue;

    use super::*;

    const TINY: BodyLimit = BodyLimit {
        bytes: 4,
        time: Duration::from_millis(20),
    };

    async fn status(headers: HeaderMap, body: Body) -> u16 {
        match BodyRoom::new().read(&headers, body, TINY).await {
            Ok(_) => 200,
            Err(error) => error.status().as_u16(),
        }
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        assert_eq!(status(HeaderMap::new(), Body::from("1234")).await, 200);
        assert_eq!(status(HeaderMap::new(), Body::from("12345")).await, 413);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
        assert_eq!(status(headers, Body::empty()).await, 413);
        let stuck = stream::iter([Ok::<_, std::io::Error>("1")]).chain(stream::pending());
        assert_eq!(status(HeaderMap::new(), Body::from_stream(stuck)).await, 408);
        let broken = stream::iter([Ok("1"), Err(std::io::Error::other("reset"))]);
        assert_eq!(status(HeaderMap::new(), Body::from_stream(broken)).await, 400);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_their_room_and_give_it_back() {
        let room = BodyRoom::new();
        let long = || Body::from(vec![b' '; RESULTS_BODY.bytes]);
        let headers = HeaderMap::new();
        let read = |body| room.read(&headers, body, RESULTS_BODY);
        let first = read(long()).await.ok().unwrap();
        let second = read(long()).await.ok().unwrap();
        assert_eq!(first.bytes.len(), RESULTS_BODY.bytes);
        assert_eq!(read(Body::from("1")).await.err().unwrap().status().as_u16(), 503);
        // One that has sent little so far is in nobody's way.
        drop(second);
        let slow = stream::iter([Ok::<_, std::io::Error>("1")]).chain(stream::pending());
        let slow = tokio::spawn({
            let room = room.clone();
            async move {
                room.read(&HeaderMap::new(), Body::from_stream(slow), RESULTS_BODY)
                    .await
                    .is_ok()
            }
        });
        tokio::task::yield_now().await;
        let short = Body::from(vec![b' '; RESULTS_BODY.bytes - 2048]);
        assert!(read(short).await.is_ok());
        slow.abort();
    }
}
