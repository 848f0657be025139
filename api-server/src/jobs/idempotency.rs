//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header-07): requests with the same key are about
//! one object.
//!
//! The key determines the object's name, so that Kubernetes itself decides which of two concurrent requests creates it, in
//! any process. An annotation of the object has a fingerprint of the request, so that another request with the key is
//! noticed. A key is known as long as its object exists: until the object's time to live after its end.

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use wire::hex;

use crate::error::ApiError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key.
const MAX_KEY_BYTES: usize = 255;
/// Of a hash, in hexadecimal digits: 128 bits, as a UUID has.
const HASH_DIGITS: usize = 32;

/// A key chosen by the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The request's key. The draft writes it as a string in quotes; without them it is understood as well.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).into_iter();
        let (Some(value), another) = (values.next(), values.next()) else {
            return Ok(None);
        };
        let text = value.to_str().ok().filter(|_| another.is_none());
        let key = text.and_then(unquoted).filter(|key| {
            (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|b| (0x20..0x7f).contains(&b))
        });
        key.map(|key| Some(Self(key))).ok_or_else(|| {
            ApiError::bad_parameter(format!(
                "Idempotency-Key must be one string of 1 to {MAX_KEY_BYTES} printable ASCII characters"
            ))
        })
    }

    /// The object's name: different users never share a key. All clients that are known only by their address share one
    /// set of keys, since a client may have another address when it tries again. Nor do different classes.
    pub(crate) fn object_name(&self, user: Option<&str>, class: Option<&str>) -> String {
        let user = user.unwrap_or_default();
        let length = user.len().to_string();
        let mut parts = vec![length.as_str(), user, &self.0];
        parts.extend(class);
        format!("arxiv-key-{}", hash(&parts))
    }
}

/// A structured field's string (RFC 9651, 3.3.3), or a text that is not in quotes.
fn unquoted(text: &str) -> Option<String> {
    let text = text.trim();
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let mut key = String::new();
    let mut characters = inner.chars();
    loop {
        match characters.next()? {
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            '"' => return characters.next().is_none().then_some(key),
            character => key.push(character),
        }
    }
}

/// A hash of these texts, short enough for a name or a label.
pub(crate) fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex(&hasher.finalize()[..HASH_DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(value).unwrap());
        IdempotencyKey::read(&headers).ok()?.map(|key| key.0)
    }

    #[test]
    fn idempotency_key_is_read_with_and_without_quotes() {
        let long = "k".repeat(255);
        for (value, key) in [
            ("\"8e03978e-40d5\"", Some("8e03978e-40d5")),
            ("8e03978e-40d5", Some("8e03978e-40d5")),
            (" a b ", Some("a b")),
            (r#""a\"b\\c""#, Some(r#"a"b\c"#)),
            (&long, Some(&*long)),
            (&format!("{long}k"), None),
            ("", None),
            ("\"\"", None),
            ("\"a", None),
            ("a\"", None),
            (r#""a\b""#, None),
            ("\"a\";p=1", None),
        ] {
            assert_eq!(read(value).as_deref(), key, "{value}");
        }
        assert_eq!(IdempotencyKey::read(&HeaderMap::new()).ok().unwrap(), None);
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        }
        assert!(IdempotencyKey::read(&twice).is_err());
    }

    #[test]
    fn object_name_differs_between_users_of_one_key() {
        let name = |key: &str, client| IdempotencyKey(key.into()).object_name(client, None);
        assert_eq!(name("k", Some("a")), name("k", Some("a")));
        assert_ne!(name("k", Some("a")), name("k", Some("b")));
        assert_ne!(name("k", Some("a")), name("k", None));
        assert_ne!(name("bk", Some("a")), name("k", Some("ab")));
        assert_eq!(name("k", None).len(), "arxiv-key-".len() + HASH_DIGITS);
    }
}
