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
        content_coding, overloaded,
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

/// A whole body, decoded, with its part of the memory for bodies.
pub(crate) struct RequestBody {
    pub(crate) bytes: Bytes,
    _memory: Option<Slot>,
}

impl RequestBody {
    pub(super) fn new(bytes: Bytes, memory: Option<Slot>) -> Self {
        Self {
            bytes,
            _memory: memory,
        }
    }
}

/// What all bodies share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits<'a> {
    pub(crate) memory: &'a Slots,
    pub(crate) decodings: &'a Slots,
}

/// Reads a whole body, and decodes it; 413 when it is too long, 408 when it takes too long or comes too slowly, 503 when the memory
/// is used up, 415 for an unknown content coding. A body reserves memory for what has arrived of it, so that a slow one holds no more
/// than that.
pub(crate) async fn read_body(
    limits: BodyLimits<'_>,
    client: Option<&Client>,
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
) -> Result<RequestBody, ApiError> {
    let codings = match content_coding::of(headers) {
        Ok(codings) => codings,
        Err(error) => {
            drain(headers, body).await;
            return Err(error);
        }
    };
    if codings.is_empty() {
        let mut bytes = BytesMut::new();
        let keep = |chunk: &[u8]| bytes.extend_from_slice(chunk);
        let memory = receive(limits.memory, client, headers, body, limit, keep).await?;
        return Ok(RequestBody::new(bytes.freeze(), memory));
    }
    let mut chunks = Vec::new();
    let keep = |chunk: &[u8]| chunks.push(Bytes::copy_from_slice(chunk));
    let memory = receive(limits.memory, client, headers, body, limit, keep).await?;
    if chunks.is_empty() {
        return Ok(RequestBody::new(Bytes::new(), memory));
    }
    content_coding::decode(limits, client, &codings, chunks, memory, limit).await
}

/// Receives a body as it is sent, a chunk at a time; gives the memory that it takes.
async fn receive(
    memory: &Slots,
    client: Option<&Client>,
    headers: &HeaderMap,
    mut body: Body,
    limit: BodyLimit,
    mut keep: impl FnMut(&[u8]),
) -> Result<Option<Slot>, ApiError> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let end = Instant::now() + limit.time;
    let mut rate = Rate::new();
    let mut received = 0;
    let mut reserved: Option<Slot> = None;
    let mut is_too_long = declared.is_some_and(|length| length > limit.bytes as u64);
    while !is_too_long {
        let frame = rate.within(end, body.frame()).await.ok_or_else(too_slow)?;
        let Some(frame) = frame else { return Ok(reserved) };
        let frame =
            frame.map_err(|_| ApiError::new(Code::MalformedRequest, "The request's body broke off"))?;
        let Ok(chunk) = frame.into_data() else { continue };
        rate.count(chunk.len());
        is_too_long = received + chunk.len() > limit.bytes;
        if !is_too_long {
            let wanted = kib(received + chunk.len()).saturating_sub(kib(received));
            let asked = Instant::now();
            let more = memory.acquire_many(client, wanted).await.ok_or_else(overloaded)?;
            // The wait for memory is not the client's.
            rate.window_end += asked.elapsed();
            reserved = Some(Slot::merged(reserved, more));
            received += chunk.len();
            keep(&chunk);
        }
    }
    drop(reserved);
    drain(headers, body).await;
    Err(too_long(limit))
}

/// 413
pub(super) fn too_long(limit: BodyLimit) -> ApiError {
    let text = format!("The request's body is longer than {} bytes", limit.bytes);
    ApiError::new(Code::BodyTooLong, text)
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

pub(super) fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

async fn drain(headers: &HeaderMap, mut body: Body) {
    // A client that waits for "100 Continue" has not begun to send.
    if headers.contains_key(header::EXPECT) {
        return;
    }
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

    fn memory() -> [Slots; 2] {
        [&table::REQUEST_BODIES, &table::DECODINGS].map(Slots::new)
    }

    fn limits([memory, decodings]: &[Slots; 2]) -> BodyLimits<'_> {
        BodyLimits { memory, decodings }
    }

    async fn status(headers: HeaderMap, body: Body) -> u16 {
        match read_body(limits(&memory()), None, &headers, body, TINY).await {
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
            let read = read_body(limits(&memory()), None, &HeaderMap::new(), body, RESULTS_BODY).await;
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
        let read = read_body(limits(&memory()), None, &HeaderMap::new(), body, RESULTS_BODY).await;
        assert_eq!(read.err().unwrap().status().as_u16(), 408);
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_a_budget_and_release_it() {
        let memory = memory();
        let client = |n: u8| Client::at([192, 0, 2, n].into());
        let long = || Body::from(vec![b' '; RESULTS_BODY.bytes]);
        let headers = HeaderMap::new();
        let read =
            async |n, body| read_body(limits(&memory), Some(&client(n)), &headers, body, RESULTS_BODY).await;
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
                let read = read_body(limits(&memory), None, &headers, slow, RESULTS_BODY);
                read.await.is_ok()
            }
        });
        tokio::task::yield_now().await;
        let short = Body::from(vec![b' '; RESULTS_BODY.bytes - 2048]);
        assert!(read(3, short).await.is_ok());
        slow.abort();
    }
}
