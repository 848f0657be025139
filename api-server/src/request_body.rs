//! Reading a request's body within bounds of length and time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::error::ApiError;

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit {
    bytes: usize,
    time: Duration,
}

/// Of everything but results.
pub(crate) const SMALL_BODY: BodyLimit = BodyLimit {
    bytes: 1024 * 1024,
    time: Duration::from_secs(15),
};

/// Of 30,000 results: some 2 KiB for each.
pub(crate) const RESULTS_BODY: BodyLimit = BodyLimit {
    bytes: 64 * 1024 * 1024,
    time: Duration::from_mins(1),
};

/// The whole body; 413 when it is too long, 408 when it takes too long.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body, limit: BodyLimit) -> Result<Bytes, ApiError> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > limit.bytes as u64) {
        return Err(too_long(limit));
    }
    match tokio::time::timeout(limit.time, Limited::new(body, limit.bytes).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long(limit)),
        Ok(Err(_)) => Err(ApiError::bad_request("The request's body broke off")),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "The request's body took too long",
        )),
    }
}

fn too_long(limit: BodyLimit) -> ApiError {
    let text = format!("The request's body is longer than {} bytes", limit.bytes);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, text)
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
        match read_body(&headers, body, TINY).await {
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
}
