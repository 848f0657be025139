//! A Kubernetes user, as authenticated by a token.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::UserInfo;
use serde::Deserialize;

/// Everything that an authorizer may use for its decision.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) username: String,
    pub(super) uid: Option<String>,
    pub(super) groups: Option<Vec<String>>,
    pub(super) extra: Option<BTreeMap<String, Vec<String>>>,
    /// When the token expires, if it says so.
    expires: Option<Timestamp>,
}

impl Identity {
    /// `token` is one that Kubernetes has accepted. `None` if the user has no name.
    pub(super) fn new(user: UserInfo, token: &str) -> Option<Self> {
        Some(Self {
            username: user.username.filter(|name| !name.is_empty())?,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            expires: expiry(token),
        })
    }

    /// How long the token is still valid, if it says so.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        let left = self.expires?.duration_since(Timestamp::now());
        Some(left.try_into().unwrap_or_default())
    }
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
}
