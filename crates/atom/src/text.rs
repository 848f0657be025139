//! Texts as XML, Atom and addresses allow them.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use quick_xml::{Writer, events::BytesText};
use sha2::{Digest, Sha256};
use uuid::Builder;

/// What an address may not have, as DOIs from before 2000 and several DOIs in one have it. A percent sign stays: what comes
/// from arXiv is encoded for the most part.
const NOT_IN_ADDRESSES: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Whether XML 1.0 allows a character. `quick-xml` reads and writes others too, and a database may refuse them.
pub fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

/// A permanent identifier for what these parts are, the same for the same parts: a `urn:uuid`.
pub fn urn(parts: &[&str]) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update(part.len().to_be_bytes());
        sum.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sum.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid().urn().to_string()
}

/// The text with the replacement character in place of those that XML forbids.
pub fn xml_text(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_xml_char) {
        return Cow::Borrowed(text);
    }
    let allowed = text.chars().map(|c| if is_xml_char(c) { c } else { '\u{FFFD}' });
    Cow::Owned(allowed.collect())
}

/// The address, with what no address may have percent-encoded.
pub(crate) fn address(href: &str) -> String {
    utf8_percent_encode(href.trim(), NOT_IN_ADDRESSES).to_string()
}

/// Writes an element with a text.
pub(crate) fn element(xml: &mut Writer<impl Write>, name: &str, text: &str) -> io::Result<()> {
    let text = xml_text(text);
    xml.create_element(name)
        .write_text_content(BytesText::new(&text))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urn_is_of_its_parts() {
        let urn_of_two = urn(&["a", "b"]);
        assert!(urn_of_two.starts_with("urn:uuid:"), "{urn_of_two}");
        assert_eq!(urn_of_two, urn(&["a", "b"]));
        for other in [&["ab"][..], &["a", "c"], &["", "ab"], &["ab", ""]] {
            assert_ne!(urn(other), urn_of_two);
        }
    }

    #[test]
    fn text_and_address_have_no_forbidden_characters() {
        assert_eq!(xml_text("a\0b\u{1f}\u{fffe}\tc"), "a\u{fffd}b\u{fffd}\u{fffd}\tc");
        let doi = " http://dx.doi.org/10.1002/(SICI)30:4<305::AID>3.0 10.1/ä%20 ";
        assert_eq!(
            address(doi),
            "http://dx.doi.org/10.1002/(SICI)30:4%3C305::AID%3E3.0%2010.1/%C3%A4%20"
        );
    }
}
