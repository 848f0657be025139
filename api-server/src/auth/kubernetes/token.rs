//! Bearer tokens: where a request has one, and how long it is valid.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{ApiError, Code};

/// The token of `Authorization: Bearer TOKEN`.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        let text = "A token of Kubernetes is needed: Authorization: Bearer TOKEN";
        return Err(ApiError::new(Code::Unauthenticated, text));
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let is_valid = |token: &&str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    token.filter(is_valid).ok_or_else(|| {
        let text = "The Authorization header is not of the form: Bearer TOKEN";
        ApiError::new(Code::InvalidToken, text)
    })
}

/// How long a token that Kubernetes has accepted is still valid, if it says so.
pub(super) fn lifetime(token: &str) -> Option<Duration> {
    let left = expiry(token)?.duration_since(Timestamp::now());
    Some(left.try_into().unwrap_or_default())
}

/// The `exp` of a JSON Web Token (RFC 7519). Kubernetes has checked its signature; here it only shortens the time in cache.
fn expiry(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(claims.exp).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn expiry_is_read_from_the_claims_of_a_token() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let read = |token: &str| expiry(token).map(Timestamp::as_second);
        assert_eq!(
            read(&token(r#"{"exp":1700000000,"sub":"x"}"#)),
            Some(1_700_000_000)
        );
        for other in [
            token("{}"),
            token(r#"{"exp":"soon"}"#),
            token("x"),
            "static".into(),
            "a.*.c".into(),
        ] {
            assert_eq!(read(&other), None, "{other}");
        }
    }

    #[test]
    fn bearer_token_is_read_from_the_authorization_header() {
        let cases = [
            ("Bearer abc.def-_~+/=", Ok("abc.def-_~+/=")),
            ("bearer  abc", Ok("abc")),
            ("Bearer ", Err(Code::InvalidToken)),
            ("Bearer", Err(Code::InvalidToken)),
            ("Bearer a b", Err(Code::InvalidToken)),
            ("Basic YTpi", Err(Code::InvalidToken)),
            ("", Err(Code::InvalidToken)),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(
                bearer(&headers).map_err(|error| error.code()),
                expected,
                "{value}"
            );
        }
        let none = bearer(&HeaderMap::new()).unwrap_err();
        assert_eq!(
            (none.code(), none.status().as_u16()),
            (Code::Unauthenticated, 401)
        );
    }
}
