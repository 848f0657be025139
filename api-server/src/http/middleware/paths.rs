//! Paths as the routes know them.

use std::ops::ControlFlow;

use axum::{extract::Request, response::Response};
use wire::root_path::{RootPath, with_path};

use crate::http::middleware::around::Middleware;

/// Removes the prefix that a proxy may put before our paths, and adds it to the paths in response headers.
#[derive(Clone, Debug)]
pub(super) struct StripRoot(pub(super) RootPath);

impl Middleware for StripRoot {
    type Kept = ();

    fn before(&self, request: &mut Request) -> ControlFlow<Response> {
        if let Some(uri) = self.0.stripped(request.uri()) {
            *request.uri_mut() = uri;
        }
        ControlFlow::Continue(())
    }

    fn after(&self, (): (), mut response: Response) -> Response {
        self.0.add_to(response.headers_mut());
        response
    }
}

/// Spells each path in one way: letters, digits, `-`, `.`, `_` and `~` mean the same percent-encoded (RFC 3986, 2.3).
pub(super) fn normalize(mut request: Request) -> Request {
    let uri = request.uri();
    if let Some(uri) = decoded(uri.path()).and_then(|path| with_path(uri, &path)) {
        *request.uri_mut() = uri;
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
