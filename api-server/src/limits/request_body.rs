//! Reading a request's body within limits of its length, its time, its rate, and the memory of all bodies together.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    error::{ApiError, Code},
    limits::{
        client::Client,
        overloaded,
        slots::{Slot, Slots},
    },
};

/// The limits of one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// For everything but results.
pub(crate) const SMALL_BODY: BodyLimit = BodyLimit {
    bytes: 1024 * 1024,
    time: Duration::from_secs(15),
};

/// For 30,000 results: some 1 KiB for each.
pub(crate) const RESULTS_BODY: BodyLimit = BodyLimit {
    bytes: 32 * 1024 * 1024,
    time: Duration::from_mins(1),
};

/// How long a body may stay below [`MIN_RATE`].
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// The least bytes in a second, on average over a window: that of a slow mobile connection.
const MIN_RATE: u64 = 4 * 1024;

/// How much of a body that is too long is still read and discarded: most clients read the response only after they have
/// sent everything, and a connection that is closed before that loses it.
const DRAINED: BodyLimit = BodyLimit {
    bytes: 16 * 1024 * 1024,
    time: Duration::from_secs(2),
};

/// A whole body, with its part of the memory for bodies.
pub(crate) struct RequestBody {
    pub(crate) bytes: Bytes,
    _memory: Option<Slot>,
}

/// Reads a whole body; 413 when it is too long, 408 when it takes too long or comes too slowly, 503 when `memory` is used
/// up. A body reserves memory for what has arrived of it, so that a slow one holds no more than that.
pub(crate) async fn read_body(
    memory: &Slots,
    client: Option<&Client>,
    headers: &HeaderMap,
    mut body: Body,
    limit: BodyLimit,
) -> Result<RequestBody, ApiError> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let end = Instant::now() + limit.time;
    let mut rate = Rate::new();
    let mut bytes = BytesMut::new();
    let mut reserved: Option<Slot> = None;
    let mut too_long = declared.is_some_and(|length| length > limit.bytes as u64);
    while !too_long {
        let frame = rate.within(end, body.frame()).await.ok_or_else(too_slow)?;
        let Some(frame) = frame else {
            return Ok(RequestBody {
                bytes: bytes.freeze(),
                _memory: reserved,
            });
        };
        let frame =
            frame.map_err(|_| ApiError::new(Code::MalformedRequest, "The request's body broke off"))?;
        let Ok(chunk) = frame.into_data() else { continue };
        rate.count(chunk.len());
        too_long = bytes.len() + chunk.len() > limit.bytes;
        if !too_long {
            let wanted = kib(bytes.len() + chunk.len()).saturating_sub(kib(bytes.len()));
            let asked = Instant::now();
            let more = memory.acquire_many(client, wanted).await.ok_or_else(overloaded)?;
            // The wait for memory is not the client's.
            rate.window_end += asked.elapsed();
            reserved = Some(Slot::merged(reserved, more));
            bytes.extend_from_slice(&chunk);
        }
    }
    drop((bytes, reserved));
    // A client that waits for "100 Continue" has not begun to send.
    if !headers.contains_key(header::EXPECT) {
        drain(body).await;
    }
    let text = format!("The request's body is longer than {} bytes", limit.bytes);
    Err(ApiError::new(Code::BodyTooLong, text))
}

/// The rate of one body, window by window.
struct Rate {
    window_end: Instant,
    bytes: u64,
}

impl Rate {
    fn new() -> Self {
        Self {
            window_end: Instant::now() + RATE_WINDOW,
            bytes: 0,
        }
    }

    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// What comes next; `None` if it does not come by `end`, or if a window ends with too little.
    async fn within<T>(&mut self, end: Instant, next: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(next);
        loop {
            if self.window_end <= Instant::now() {
                if self.bytes < MIN_RATE * RATE_WINDOW.as_secs() {
                    return None;
                }
                *self = Self::new();
            }
            if let Ok(next) = timeout_at(self.window_end.min(end), next.as_mut()).await {
                return Some(next);
            }
            if end <= Instant::now() {
                return None;
            }
        }
    }
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
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
    // A client that sends more, or more slowly, may not see the response.
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
    use crate::limits::table;

    const TINY: BodyLimit = BodyLimit {
        bytes: 4,
        time: Duration::from_millis(20),
    };

    fn memory() -> Slots {
        Slots::new(&table::REQUEST_BODIES)
    }

    async fn status(headers: HeaderMap, body: Body) -> u16 {
        match read_body(&memory(), None, &headers, body, TINY).await {
            Ok(_) => 200,
            Err(error) => error.status().as_u16(),
        }
    }

    #[tokio::test]
    async fn body_is_refused_when_too_long_too_slow_or_broken() {
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
    async fn body_is_refused_when_it_stays_below_the_least_rate() {
        let read = async |size: usize, pause_millis: u64, chunks: usize| {
            let began = Instant::now();
            let chunks = stream::iter(0..chunks).then(move |_| async move {
                tokio::time::sleep(Duration::from_millis(pause_millis)).await;
                Ok::<_, std::io::Error>(vec![b' '; size])
            });
            let body = Body::from_stream(chunks);
            let read = read_body(&memory(), None, &HeaderMap::new(), body, RESULTS_BODY).await;
            let status = read.map_or_else(|error| error.status().as_u16(), |_| 200);
            (status, began.elapsed().as_secs())
        };
        // 5 KiB in a second, then nothing but the end.
        assert_eq!(read(5 * 1024, 1000, 40).await, (200, 40));
        assert_eq!(read(100 * 1024, 4900, 10).await, (200, 49));
        // 3 KiB in a second; a byte in a second; nothing; much at once and then nothing.
        assert_eq!(read(3 * 1024, 1000, 40).await, (408, 5));
        assert_eq!(read(1, 1000, 40).await, (408, 5));
        assert_eq!(read(1, 100_000, 1).await, (408, 5));
        let stalled =
            stream::iter([Ok::<_, std::io::Error>(vec![b' '; 512 * 1024])]).chain(stream::pending());
        let began = Instant::now();
        let body = Body::from_stream(stalled);
        let read = read_body(&memory(), None, &HeaderMap::new(), body, RESULTS_BODY).await;
        assert_eq!(read.err().unwrap().status().as_u16(), 408);
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_a_budget_and_release_it() {
        let memory = memory();
        let client = |n: u8| Client::at([192, 0, 2, n].into());
        let long = || Body::from(vec![b' '; RESULTS_BODY.bytes]);
        let headers = HeaderMap::new();
        let read = async |n, body| read_body(&memory, Some(&client(n)), &headers, body, RESULTS_BODY).await;
        let first = read(1, long()).await.ok().unwrap();
        let second = read(2, long()).await.ok().unwrap();
        assert_eq!(first.bytes.len(), RESULTS_BODY.bytes);
        assert_eq!(
            read(3, Body::from("1")).await.err().unwrap().status().as_u16(),
            503
        );
        // A body that has sent little so far takes little.
        drop(second);
        let slow = stream::iter([Ok::<_, std::io::Error>("1")]).chain(stream::pending());
        let slow = tokio::spawn({
            let (memory, slow) = (memory.clone(), Body::from_stream(slow));
            async move {
                let headers = HeaderMap::new();
                let read = read_body(&memory, None, &headers, slow, RESULTS_BODY);
                read.await.is_ok()
            }
        });
        tokio::task::yield_now().await;
        let short = Body::from(vec![b' '; RESULTS_BODY.bytes - 2048]);
        assert!(read(3, short).await.is_ok());
        slow.abort();
    }
}
