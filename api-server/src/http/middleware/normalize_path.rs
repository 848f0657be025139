//! Paths in one spelling: letters, digits, `-`, `.`, `_` and `~` mean the same percent-encoded (RFC 3986, 2.3).

use axum::extract::Request;
use http::Uri;

/// The middleware.
pub(crate) async fn normalize_path(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.contains('%')
        && let Some(normal) = decoded(path)
    {
        let target = match request.uri().query() {
            Some(query) => format!("{normal}?{query}"),
            None => normal,
        };
        let mut parts = request.uri().clone().into_parts();
        if let Ok(target) = target.parse() {
            parts.path_and_query = Some(target);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
    request
}

/// The path without needless percent-encoding; `None` if it has none.
fn decoded(path: &str) -> Option<String> {
    let mut normal = String::with_capacity(path.len());
    let mut changed = false;
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, encoded) = rest.split_at(at);
        normal.push_str(before);
        let byte = encoded.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                normal.push(char::from(byte));
                changed = true;
                rest = encoded.get(3..).unwrap_or_default();
            }
            _ => {
                normal.push('%');
                rest = encoded.get(1..).unwrap_or_default();
            }
        }
    }
    normal.push_str(rest);
    changed.then_some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_with_needless_encoding_is_decoded() {
        for (path, normal) in [
            ("/%72esults", Some("/results")),
            ("/r%65sult%73", Some("/results")),
            ("/%7E%2D%5f%2E", Some("/~-_.")),
            ("/results", None),
            ("/arxiv/a%2Fb", None),
            ("/a%2fb%61", Some("/a%2fba")),
            ("/%", None),
            ("/%7", None),
            ("/%zz%+1%C3%A9", None),
            ("/%2572", None),
        ] {
            assert_eq!(decoded(path).as_deref(), normal, "{path}");
        }
    }
}
