//! The id of a request.

/// The longest id.
const MAX_BYTES: usize = 128;

/// Whether a text can be the id of a request: it is short, and harmless in a header, in a log and in an annotation.
pub fn is_request_id(text: &[u8]) -> bool {
    (1..=MAX_BYTES).contains(&text.len())
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_id_is_short_and_harmless() {
        let (longest, too_long) = ("a".repeat(MAX_BYTES), "a".repeat(MAX_BYTES + 1));
        for (text, is_valid) in [
            ("abc-1_2.3:4", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a\nb", false),
            ("a=b", false),
            ("é", false),
            (&longest, true),
            (&too_long, false),
        ] {
            assert_eq!(is_request_id(text.as_bytes()), is_valid, "{text:?}");
        }
    }
}
