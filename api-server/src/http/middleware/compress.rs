//! Responses in the coding that a client asks for (RFC 9110, section 12.5.3): zstd, else gzip.
//!
//! Short ones are sent as they are. A strong entity tag is of the very bytes that are sent, so it names the coding too.

use std::{io, ops::ControlFlow};

use async_compression::{
    Level,
    tokio::bufread::{GzipEncoder, ZstdEncoder},
    zstd::CParameter,
};
use axum::{
    body::{Body, HttpBody},
    extract::Request,
    response::Response,
};
use futures::TryStreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use wire::headers::etag;
use wire::headers::{accept::weighted, vary::vary};

use crate::{
    http::middleware::around::Middleware,
    limits::{COMPRESSIONS, client::Client, slots::Slot},
};

/// Shorter responses are sent faster than they are compressed.
const MIN_COMPRESS_SIZE: u64 = 16 * 1024;
/// A window of 2^17 bytes.
const ZSTD_WINDOW_LOG: u32 = 17;
const CHUNK: usize = 16 * 1024;

/// The better one is greater.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Coding {
    Gzip,
    Zstd,
}

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compress;

impl Middleware for Compress {
    type Kept = (Option<Coding>, Option<Client>);

    fn before(&self, request: &mut Request) -> ControlFlow<Response, Self::Kept> {
        let client = request.extensions().get::<Client>().cloned();
        ControlFlow::Continue((accepted(request.headers()), client))
    }

    fn after(&self, (coding, client): Self::Kept, mut response: Response) -> Response {
        vary(response.headers_mut(), "accept-encoding");
        let size = response.body().size_hint().exact();
        let is_short = size.is_some_and(|size| size < MIN_COMPRESS_SIZE);
        let Some(coding) = coding else { return response };
        if is_short || response.status() != StatusCode::OK {
            return response;
        }
        match COMPRESSIONS.try_acquire(client.as_ref()) {
            Ok(slot) => compressed(response, coding, slot),
            Err(_) => response,
        }
    }
}

fn compressed(response: Response, coding: Coding, slot: Slot) -> Response {
    let (mut parts, body) = response.into_parts();
    let plain = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let (name, coded): (_, std::pin::Pin<Box<dyn AsyncRead + Send>>) = match coding {
        Coding::Zstd => {
            let window = [CParameter::window_log(ZSTD_WINDOW_LOG)];
            let encoder = ZstdEncoder::with_quality_and_params(plain, Level::Fastest, &window);
            ("zstd", Box::pin(encoder))
        }
        Coding::Gzip => ("gzip", Box::pin(GzipEncoder::with_quality(plain, Level::Fastest))),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(tag) = parts.headers.get_mut(header::ETAG) {
        *tag = etag::of_coding(tag, name);
    }
    parts
        .headers
        .insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    let chunks = ReaderStream::with_capacity(coded, CHUNK).inspect_ok(move |_| {
        // Held until all is compressed.
        let _ = &slot;
    });
    Response::from_parts(parts, Body::from_stream(chunks))
}

/// The coding with the greatest weight; zstd if both have the same.
fn accepted(headers: &HeaderMap) -> Option<Coding> {
    let codings = weighted(headers, &header::ACCEPT_ENCODING).filter_map(|(name, weight)| {
        let coding = match name.to_ascii_lowercase().as_str() {
            "zstd" => Coding::Zstd,
            "gzip" | "x-gzip" => Coding::Gzip,
            _ => return None,
        };
        (weight > 0).then_some((weight, coding))
    });
    codings.max().map(|(_, coding)| coding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coding_is_the_best_that_the_client_accepts() {
        for (value, expected) in [
            ("", None),
            ("identity", None),
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip;q=1.0, zstd;q=0.5", Some(Coding::Gzip)),
            ("GZIP ; q=0.1", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("br, *", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            assert_eq!(accepted(&headers), expected, "{value}");
        }
        assert_eq!(accepted(&HeaderMap::new()), None);
    }
}
