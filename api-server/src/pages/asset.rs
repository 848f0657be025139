//! Files that are part of the program, and how they are sent.

use std::{borrow::Cow, io::Read};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;
use wire::{
    headers::{accept::weighted, vary::vary},
    hex,
};

use crate::error::ApiError;

/// Our own files.
#[derive(RustEmbed)]
#[folder = "src/pages/static/"]
struct Static;

/// Files of the npm packages `swagger-ui-dist`, `redoc` and `katex` (see NOTICE), compressed by gzip.
#[derive(RustEmbed)]
#[folder = "src/pages/vendor/"]
struct Vendor;

/// The file of this name under /assets: 304 if the client has it already, else the file, compressed if it is stored so and
/// the client accepts that.
pub(super) fn asset(name: &str, headers: &HeaderMap) -> Response {
    let Some(media_type) = media_type(name) else {
        return ApiError::not_found().into_response();
    };
    let own = Static::get(name).map(|file| (file, false));
    let vendor = || Some((Vendor::get(&format!("{name}.gz"))?, true));
    let Some((file, is_gzip)) = own.or_else(vendor) else {
        return ApiError::not_found().into_response();
    };
    let compressed = is_gzip && accepts_gzip(headers);
    let hash = file.metadata.sha256_hash();
    let suffix = if compressed { "-gzip" } else { "" };
    let tag = format!("\"{}{suffix}\"", hex(&hash[..8]));
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match body(file.data, is_gzip && !compressed) {
            Ok(bytes) => bytes.into_response(),
            Err(_) => return ApiError::internal().into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if compressed && !known {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    // Revalidated each time, so that a new version is seen at once; the tag saves the bytes.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    vary(headers, "accept-encoding");
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// By the extension; pages and other files of the folders are no assets.
fn media_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

fn body(data: Cow<'static, [u8]>, decompress: bool) -> std::io::Result<Bytes> {
    if decompress {
        let mut plain = Vec::new();
        GzDecoder::new(&*data).read_to_end(&mut plain)?;
        return Ok(plain.into());
    }
    Ok(match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    })
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    weighted(headers, &header::ACCEPT_ENCODING)
        .any(|(coding, weight)| weight > 0 && (coding.eq_ignore_ascii_case("gzip") || coding == "*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_when_the_client_accepts_it() {
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
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
            let response = asset("swagger-ui.css", &headers);
            let encoding = response.headers().get(header::CONTENT_ENCODING);
            assert_eq!(
                encoding.is_some_and(|encoding| encoding == "gzip"),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn asset_is_304_when_the_client_has_it() {
        let first = asset("page.js", &HeaderMap::new());
        assert_eq!(first.status(), 200);
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(asset("page.js", &headers).status(), 304);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(asset("page.js", &headers).status(), 200);
    }

    #[test]
    fn other_files_of_the_folders_are_404() {
        for name in [
            "index.html",
            "update.sh",
            "swagger-ui.css.gz",
            "../mod.rs",
            "none.js",
            "",
        ] {
            assert_eq!(asset(name, &HeaderMap::new()).status(), 404, "{name}");
        }
    }
}
