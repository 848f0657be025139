//! XML, element by element.

use atom::xml_text;
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

/// A document that is being written. Writing into memory does not fail.
pub(crate) struct Document(Writer<Vec<u8>>);

type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Document {
    pub(crate) fn new() -> Self {
        let mut document = Self(Writer::new(Vec::new()));
        document.write(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
        document
    }

    /// An element with what `content` writes into it.
    pub(crate) fn element(
        &mut self,
        name: &str,
        attributes: Attributes<'_>,
        content: impl FnOnce(&mut Self),
    ) {
        self.write(Event::Start(start(name, attributes)));
        content(self);
        self.write(Event::End(BytesEnd::new(name)));
    }

    /// An element with a text.
    pub(crate) fn text(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        let text = xml_text(text);
        self.element(name, attributes, |document| {
            document.write(Event::Text(BytesText::new(&text)));
        });
    }

    /// An element without content.
    pub(crate) fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.write(Event::Empty(start(name, attributes)));
    }

    pub(crate) fn finish(self) -> String {
        String::from_utf8_lossy(&self.0.into_inner()).into_owned()
    }

    fn write(&mut self, event: Event<'_>) {
        let _ = self.0.write_event(event);
    }
}

fn start<'a>(name: &'a str, attributes: Attributes<'a>) -> BytesStart<'a> {
    let mut start = BytesStart::new(name);
    for (name, value) in attributes {
        start.push_attribute((*name, xml_text(value).as_ref()));
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_escapes_what_is_markup_and_has_only_characters_of_xml() {
        let mut document = Document::new();
        document.element("a", &[("href", "x\"<&>\u{1}")], |document| {
            document.text("b", &[], "$a<b$ & \u{0}\u{b}\u{ffff}\u{1F600}\t\"");
            document.empty("c", &[]);
        });
        assert_eq!(
            document.finish(),
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><a href=\"x&quot;&lt;&amp;&gt;\u{fffd}\"><b>$a&lt;b$ &amp; \u{fffd}\u{fffd}\u{fffd}\u{1F600}\t&quot;</b><c/></a>"
        );
    }
}
