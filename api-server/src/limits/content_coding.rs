//! Request bodies in a content coding (RFC 9110, section 8.4): decoded within the same limits as others, so that a few bytes never
//! become more than a body may be.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_compression::{
    tokio::bufread::{GzipDecoder, ZlibDecoder, ZstdDecoder},
    zstd::DParameter,
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderMap, header};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio_util::io::StreamReader;

use crate::{
    error::{ACCEPTED_CODINGS, ApiError, Code},
    limits::{
        client::Client,
        overloaded,
        request_body::{BodyLimit, BodyLimits, RequestBody, kib, too_long},
        slots::Slot,
    },
};

/// Of one body; more than one is unusual already.
const MAX_CODINGS: usize = 2;
/// 8 MiB, which is what RFC 9659 allows in HTTP.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// What is decoded before others have their turn.
const TURN: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    Gzip,
    /// The format of zlib, as RFC 9110 says (8.4.1.2).
    Deflate,
    Zstd,
}

/// The codings of a body, in the order in which they were applied; 415 for one that is not known.
pub(super) fn of(headers: &HeaderMap) -> Result<Vec<Coding>, ApiError> {
    let mut codings = Vec::new();
    for line in headers.get_all(header::CONTENT_ENCODING) {
        for name in line.to_str().unwrap_or("?").split(',').map(str::trim) {
            codings.push(match name.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "zstd" => Coding::Zstd,
                _ => return Err(unsupported(&format!("known codings are {ACCEPTED_CODINGS}"))),
            });
        }
    }
    match codings.len() {
        ..=MAX_CODINGS => Ok(codings),
        _ => Err(unsupported(&format!("at most {MAX_CODINGS} codings are decoded"))),
    }
}

fn unsupported(why: &str) -> ApiError {
    let text = format!("The request's body has a Content-Encoding that is not read here: {why}");
    ApiError::new(Code::UnsupportedContentCoding, text)
}

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

impl Coding {
    fn decoder(self, coded: Reader) -> Pin<Box<dyn AsyncRead + Send>> {
        match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(coded);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Deflate => Box::pin(ZlibDecoder::new(coded)),
            Self::Zstd => {
                let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)];
                let mut decoder = ZstdDecoder::with_params(coded, &window);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
        }
    }
}

/// Decodes a body that has arrived; `memory` is what is reserved for it. 413 when it becomes too long, 400 when it is broken, 503
/// when there is no memory for it.
pub(super) async fn decode(
    limits: BodyLimits<'_>,
    client: Option<&Client>,
    codings: &[Coding],
    chunks: Vec<Bytes>,
    memory: Option<Slot>,
    limit: BodyLimit,
) -> Result<RequestBody, ApiError> {
    let _turn = limits.decodings.acquire(client).await.ok_or_else(overloaded)?;
    // What is not decoded so far: its memory is free when the decoder has it.
    let left = Arc::new(AtomicUsize::new(chunks.iter().map(Bytes::len).sum()));
    let taken = Arc::clone(&left);
    let coded = stream::iter(chunks).map(move |chunk| {
        taken.fetch_sub(chunk.len(), Ordering::Relaxed);
        Ok::<_, io::Error>(chunk)
    });
    let mut reader: Reader = Box::pin(StreamReader::new(coded));
    for coding in codings.iter().rev() {
        // What is between two codings has the same limit.
        let most = u64::try_from(limit.bytes).unwrap_or(u64::MAX).saturating_add(1);
        reader = Box::pin(BufReader::new(coding.decoder(reader).take(most)));
    }
    let (mut bytes, mut memory, mut turn) = (BytesMut::new(), memory, 0);
    loop {
        let chunk = reader.fill_buf().await.map_err(|_| broken())?;
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        if bytes.len() + length > limit.bytes {
            return Err(too_long(limit));
        }
        let needed = kib(left.load(Ordering::Relaxed)) + kib(bytes.len() + length);
        let held = memory.as_ref().map_or(0, Slot::count);
        if needed > held {
            let more = limits.memory.acquire_many(client, needed - held).await;
            memory = Some(Slot::merged(memory, more.ok_or_else(overloaded)?));
        } else if let Some(memory) = &mut memory {
            memory.release(held - needed);
        }
        bytes.extend_from_slice(chunk);
        reader.as_mut().consume(length);
        turn += length;
        if turn >= TURN {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
    Ok(RequestBody::new(bytes.freeze(), memory))
}

fn broken() -> ApiError {
    let text =
        "The request's body is not what its Content-Encoding says (zstd has a window of at most 8 MiB)";
    ApiError::new(Code::MalformedRequest, text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_compression::{
        Level,
        tokio::bufread::{GzipEncoder, ZlibEncoder, ZstdEncoder},
        zstd::CParameter,
    };
    use axum::body::Body;
    use http::HeaderValue;

    use super::*;
    use crate::limits::{request_body::read_body, slots::Slots, table};

    const LIMIT: BodyLimit = BodyLimit {
        bytes: 1024 * 1024,
        time: Duration::from_mins(1),
    };

    async fn coded(coding: Coding, plain: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let done = match coding {
            Coding::Gzip => GzipEncoder::new(plain).read_to_end(&mut bytes).await,
            Coding::Deflate => ZlibEncoder::new(plain).read_to_end(&mut bytes).await,
            Coding::Zstd => ZstdEncoder::new(plain).read_to_end(&mut bytes).await,
        };
        done.unwrap();
        bytes
    }

    /// The decoded body, or the status of the refusal; and what memory is held then.
    async fn read(coding: &str, body: Vec<u8>) -> (Result<Bytes, u16>, usize) {
        let memory = Slots::new(&table::REQUEST_BODIES);
        let decodings = Slots::new(&table::DECODINGS);
        let limits = BodyLimits {
            memory: &memory,
            decodings: &decodings,
        };
        let mut headers = HeaderMap::new();
        for line in coding.split(';') {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        // As it comes from a network.
        let chunks: Vec<_> = body.chunks(1000).map(Bytes::copy_from_slice).collect();
        let body = Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, io::Error>)));
        let read = read_body(limits, None, &headers, body, LIMIT).await;
        let held = memory.used();
        let read = read.map(|body| body.bytes.clone());
        assert_eq!(decodings.used(), 0);
        (read.map_err(|error| error.status().as_u16()), held)
    }

    #[tokio::test]
    async fn body_is_decoded_whatever_its_known_coding_is() {
        let plain = b"{\"author\": \"knuth\"}".repeat(3000);
        let [gzip, deflate, zstd] = [
            coded(Coding::Gzip, &plain).await,
            coded(Coding::Deflate, &plain).await,
            coded(Coding::Zstd, &plain).await,
        ];
        let twice = coded(Coding::Gzip, &zstd).await;
        let two_members = [gzip.clone(), coded(Coding::Gzip, b" ").await].concat();
        let two_frames = [zstd.clone(), coded(Coding::Zstd, b" ").await].concat();
        let longer = [&plain[..], b" "].concat();
        for (coding, body, expected) in [
            ("gzip", gzip.clone(), &plain),
            ("GZip", gzip.clone(), &plain),
            ("x-gzip", gzip.clone(), &plain),
            ("gzip, identity", gzip.clone(), &plain),
            ("deflate", deflate, &plain),
            ("zstd", zstd.clone(), &plain),
            ("zstd, gzip", twice.clone(), &plain),
            ("zstd;gzip", twice, &plain),
            ("gzip", two_members, &longer),
            ("zstd", two_frames, &longer),
            ("identity", plain.clone(), &plain),
            ("", plain.clone(), &plain),
        ] {
            let (read, held) = read(coding, body).await;
            assert_eq!(read.unwrap(), expected, "{coding}");
            assert_eq!(held, kib(expected.len()), "{coding}");
        }
        for coding in ["gzip", "deflate", "zstd"] {
            assert_eq!(
                read(coding, Vec::new()).await.0,
                Ok(Bytes::new()),
                "nothing at all"
            );
        }
    }

    #[tokio::test]
    async fn body_is_refused_when_its_coding_is_unknown_or_not_what_it_has() {
        let gzip = coded(Coding::Gzip, b"{}").await;
        let mut flipped = gzip.clone();
        let crc = flipped.len() - 8;
        flipped[crc] ^= 1;
        for (coding, body, status) in [
            ("br", gzip.clone(), 415),
            ("gzip, br", gzip.clone(), 415),
            ("compress", gzip.clone(), 415),
            ("gzip, gzip, gzip", gzip.clone(), 415),
            ("gzip", b"{}".to_vec(), 400),
            ("zstd", gzip.clone(), 400),
            ("deflate", gzip.clone(), 400),
            ("gzip, gzip", gzip.clone(), 400),
            ("gzip", gzip[..gzip.len() - 1].to_vec(), 400),
            ("gzip", flipped, 400),
            ("gzip", [&gzip[..], b"junk"].concat(), 400),
        ] {
            assert_eq!(read(coding, body).await, (Err(status), 0), "{coding}");
        }
    }

    #[tokio::test]
    async fn body_that_would_become_too_long_is_refused_before_it_does() {
        let most = vec![b' '; LIMIT.bytes];
        let bomb = vec![b' '; 64 * LIMIT.bytes];
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Zstd] {
            let name = format!("{coding:?}").to_lowercase();
            let fits = coded(coding, &most).await;
            assert_eq!(read(&name, fits).await.0.unwrap().len(), LIMIT.bytes, "{name}");
            let coded_bomb = coded(coding, &bomb).await;
            assert!(coded_bomb.len() < LIMIT.bytes, "{name}");
            assert_eq!(read(&name, coded_bomb).await, (Err(413), 0), "{name}");
        }
        // Too long between two codings only.
        let empty_members = coded(Coding::Gzip, b"").await.repeat(200_000);
        let twice = coded(Coding::Gzip, &empty_members).await;
        assert!(twice.len() < LIMIT.bytes && empty_members.len() > LIMIT.bytes);
        assert_eq!(read("gzip, gzip", twice).await, (Err(400), 0));
        // A window of 64 MiB.
        let window = [CParameter::window_log(26)];
        let mut wide = Vec::new();
        let mut encoder = ZstdEncoder::with_quality_and_params(&b"{}"[..], Level::Fastest, &window);
        encoder.read_to_end(&mut wide).await.unwrap();
        assert_eq!(read("zstd", wide).await, (Err(400), 0));
    }
}
