//! Strong entity tags of settled pages, and the conditions that ask for them (RFC 9110, section 13).

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::hex;

/// The tag of a page that never changes within its epoch: made of all that its bytes depend on.
pub fn strong(parts: &[&str]) -> String {
    // Another version may write the same rows otherwise.
    let mut hash = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION"));
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    format!("\"{}\"", hex(&hash.finalize()[..16]))
}

/// Whether the client needs the page only if its own copy is another one.
pub fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_NONE_MATCH)
}

/// The tag of the client's copy, if that has this tag, in whatever coding.
pub fn matching(headers: &HeaderMap, tag: &str) -> Option<HeaderValue> {
    let values = headers.get_all(header::IF_NONE_MATCH).into_iter();
    let mut given = values
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|given| given.trim().trim_start_matches("W/"));
    let same = given.find(|given| {
        let rest = given.strip_prefix(tag.trim_end_matches('"'));
        rest.is_some_and(|rest| matches!(rest, "\"" | "-gzip\"" | "-zstd\""))
    })?;
    HeaderValue::from_str(same).ok()
}

/// As [`matching`], for what always has a tag: "any" is its tag (RFC 9110, 13.1.2).
pub fn matching_or_any(headers: &HeaderMap, tag: &str) -> Option<HeaderValue> {
    let is_any = headers
        .get_all(header::IF_NONE_MATCH)
        .into_iter()
        .any(|value| value.as_bytes().trim_ascii() == b"*");
    matching(headers, tag).or_else(|| HeaderValue::from_str(tag).ok().filter(|_| is_any))
}

/// The tag of the same in a coding of content.
pub fn of_coding(tag: &HeaderValue, coding: &str) -> HeaderValue {
    let text = tag.to_str().unwrap_or_default().trim_end_matches('"');
    HeaderValue::from_str(&format!("{text}-{coding}\"")).unwrap_or_else(|_| tag.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_matches_itself_in_any_coding() {
        let tag = strong(&["a", "b"]);
        assert_ne!(tag, strong(&["ab", ""]));
        let coded = of_coding(&HeaderValue::from_str(&tag).unwrap(), "gzip");
        let coded = coded.to_str().unwrap().to_owned();
        assert_ne!(coded, tag);
        for (value, expected) in [
            (tag.clone(), true),
            (coded.clone(), true),
            (format!("W/{coded}"), true),
            (tag.replacen('"', "\"x", 1), false),
            (format!("{}-br\"", tag.trim_end_matches('"')), false),
            (format!("W/{tag}"), true),
            (format!("\"x\", {tag}"), true),
            (strong(&["b"]), false),
            // A page that is not settled has none, so "any" says nothing about it.
            ("*".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&value).unwrap());
            assert!(is_conditional(&headers));
            let kept = matching(&headers, &tag);
            assert_eq!(kept.is_some(), expected, "{value}");
            let or_any = matching_or_any(&headers, &tag);
            assert_eq!(or_any.is_some(), expected || value == "*", "{value}");
            if value.contains("-gzip") {
                assert_eq!(kept.unwrap(), coded.as_str(), "what it has");
            }
        }
    }
}
