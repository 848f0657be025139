//! Files that are part of the program, and how they are sent.

use std::{io::Read, sync::OnceLock};

use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use wire::headers::vary::vary;

/// One file.
pub(super) struct Asset {
    /// Its name under /assets.
    pub(super) name: &'static str,
    media_type: &'static str,
    content: Content,
    /// Of the content, so that a browser that has it is told so.
    tag: OnceLock<String>,
}

enum Content {
    Plain(&'static [u8]),
    /// Compressed by gzip.
    Gzip(&'static [u8]),
}

impl Asset {
    pub(super) const fn plain(name: &'static str, media_type: &'static str, content: &'static [u8]) -> Self {
        Self {
            name,
            media_type,
            content: Content::Plain(content),
            tag: OnceLock::new(),
        }
    }

    pub(super) const fn gzip(name: &'static str, media_type: &'static str, content: &'static [u8]) -> Self {
        Self {
            name,
            media_type,
            content: Content::Gzip(content),
            tag: OnceLock::new(),
        }
    }

    /// 304 to who has it already; else the file, compressed if the client takes that.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
        let compressed = matches!(self.content, Content::Gzip(_)) && takes_gzip(headers);
        let tag = format!("\"{}{}\"", self.tag(), if compressed { "-gzip" } else { "" });
        let known = headers
            .get(header::IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            match self.body(compressed) {
                Ok(body) => body,
                Err(error) => return error.into_response(),
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        // Asked for again each time, so that a new version is seen at once; the tag saves the bytes.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        vary(headers, "accept-encoding");
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }

    fn body(&self, compressed: bool) -> Result<Response, ApiError> {
        match self.content {
            Content::Plain(bytes) => Ok(bytes.into_response()),
            Content::Gzip(bytes) if compressed => {
                Ok(([(header::CONTENT_ENCODING, "gzip")], bytes).into_response())
            }
            Content::Gzip(bytes) => {
                let mut plain = Vec::new();
                GzDecoder::new(bytes)
                    .read_to_end(&mut plain)
                    .map_err(|_| ApiError::internal())?;
                Ok(plain.into_response())
            }
        }
    }

    fn tag(&self) -> &str {
        self.tag.get_or_init(|| {
            let (Content::Plain(bytes) | Content::Gzip(bytes)) = self.content;
            let hash = Sha256::digest(bytes);
            let start = hash.iter().take(8);
            let start = start.fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
            format!("{start:016x}")
        })
    }
}

/// Whether `Accept-Encoding` has gzip, and not with `q=0`.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
            named && !parts.any(|part| matches!(part.trim_end_matches(['0', '.']), "q=" | "Q="))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_gzip_gets_it() {
        for (value, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(takes_gzip(&headers), expected, "{value}");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let asset = Asset::plain("x.js", "text/javascript", b"1");
        let first = asset.answer(&HeaderMap::new());
        assert_eq!(first.status(), 200);
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(asset.answer(&headers).status(), 304);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(asset.answer(&headers).status(), 200);
    }
}
