//! Strong entity tags of settled pages, and the conditions that ask for them (RFC 9110, section 13).

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::cursor::hex;

/// The tag of a page that never changes within its epoch: made of all that its bytes depend on.
pub(crate) fn strong(parts: &[&str]) -> String {
    // Another version may write the same rows otherwise.
    let mut hash = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION"));
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    format!("\"{}\"", hex(&hash.finalize()[..16]))
}

/// Whether the client asks for something only if it is not what it has.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_NONE_MATCH)
}

/// Whether the client has what this tag stands for.
pub(crate) fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).into_iter();
    values
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|given| given.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_met_by_the_same_tag() {
        let tag = strong(&["a", "b"]);
        assert_ne!(tag, strong(&["ab", ""]));
        for (value, expected) in [
            (tag.clone(), true),
            (format!("W/{tag}"), true),
            (format!("\"x\", {tag}"), true),
            (strong(&["b"]), false),
            // A page that is not settled has none, so "any" says nothing about it.
            ("*".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&value).unwrap());
            assert!(is_conditional(&headers));
            assert_eq!(has(&headers, &tag), expected, "{value}");
        }
    }
}
