//! Cuts the bytes of a feed into its entries and the rest, the outline, without a need for well-formed XML.

use super::FeedError;

/// The longest tag, comment or stretch of text, in bytes.
const MAX_MARKUP: usize = 1024 * 1024;
/// The longest outline: white space between the entries, for the most part.
const MAX_OUTLINE: usize = 256 * 1024;
/// The longest start tag of the document, which is put before each entry.
const MAX_ROOT: usize = 16 * 1024;
/// The longest entry. 15,000 authors with their affiliations take some 3 MiB.
const MAX_ENTRY: usize = 8 * 1024 * 1024;

/// The bytes of a document as they come, cut into pieces.
#[derive(Default)]
pub(super) struct Splitter {
    /// The bytes that came last; those before `taken` are part of a piece or of the outline already.
    buffer: Vec<u8>,
    taken: usize,
    outline: Vec<u8>,
    root: Root,
    entry: Option<OpenEntry>,
}

/// The document's first tag.
#[derive(Default)]
pub(super) struct Root {
    /// The tag, `<feed xmlns="…">`; empty before it has come.
    pub(super) tag: Vec<u8>,
    name: Vec<u8>,
}

/// An entry, from the first byte of its first tag to the last byte of its last one.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// It was longer than an entry may be, so that only its beginning is here.
    pub(super) is_cut: bool,
}

struct OpenEntry {
    name: Vec<u8>,
    piece: Piece,
}

/// What begins with a `<`.
#[derive(Debug, PartialEq)]
enum Markup<'a> {
    Start {
        name: &'a [u8],
        is_empty: bool,
    },
    End {
        name: &'a [u8],
    },
    /// A comment, CDATA, a declaration or an instruction.
    Other,
    /// A `<` that begins nothing.
    Text,
}

impl Splitter {
    /// Adds the next bytes of the document.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.taken));
        self.buffer.extend_from_slice(bytes);
    }

    /// The document's first tag.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// All bytes so far that are not within entries.
    pub(super) fn outline(&self) -> &[u8] {
        &self.outline
    }

    /// The outline of the document, which has ended.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.push(&[]);
        if self.entry.is_none() {
            self.outline.append(&mut self.buffer);
        }
        &self.outline
    }

    /// The next entry; none before all of its bytes are there.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, FeedError> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut at = self.taken;
        let mut found = Ok(None);
        while let Ok(None) = found {
            let rest = &buffer[at..];
            let text = rest.iter().position(|byte| *byte == b'<').unwrap_or(rest.len());
            let markup = &rest[text..];
            let (kind, length) = match split_markup(markup) {
                _ if markup.is_empty() => {
                    found = self.add(rest).map(|()| None);
                    at = buffer.len();
                    break;
                }
                Some(split) => split,
                None if markup.len() <= MAX_MARKUP => {
                    found = self.add(&rest[..text]).map(|()| None);
                    at += text;
                    break;
                }
                None if self.entry.is_none() => {
                    found = Err(FeedError::TooLarge);
                    break;
                }
                None => (Markup::Text, 1),
            };
            if self.ends_unclosed(&kind) {
                found = self.add(&rest[..text]).map(|()| self.close());
                at += text;
                break;
            }
            let with_text = &rest[..text + length];
            at += with_text.len();
            found = self.step(with_text, &rest[text..text + length], &kind);
        }
        (self.buffer, self.taken) = (buffer, at);
        found
    }

    /// Whether this begins the next entry, or ends the document, within an entry: that one is broken.
    fn ends_unclosed(&self, markup: &Markup<'_>) -> bool {
        self.entry.as_ref().is_some_and(|entry| match markup {
            Markup::Start { name, .. } => *name == entry.name,
            Markup::End { name } => *name == self.root.name,
            Markup::Other | Markup::Text => false,
        })
    }

    /// Takes the next markup, with the text before it.
    fn step(
        &mut self,
        with_text: &[u8],
        markup: &[u8],
        kind: &Markup<'_>,
    ) -> Result<Option<Piece>, FeedError> {
        if let Some(entry) = &self.entry {
            let closes = *kind == Markup::End { name: &entry.name };
            self.add(with_text)?;
            return Ok(if closes { self.close() } else { None });
        }
        match kind {
            Markup::Start { name, is_empty } if self.root.has_come() && is_entry(name) => {
                self.add(&with_text[..with_text.len() - markup.len()])?;
                self.entry = Some(OpenEntry {
                    name: name.to_vec(),
                    piece: Piece {
                        bytes: markup.to_vec(),
                        is_cut: false,
                    },
                });
                Ok(if *is_empty { self.close() } else { None })
            }
            Markup::Start { name, .. } if !self.root.has_come() => {
                if markup.len() > MAX_ROOT {
                    return Err(FeedError::TooLarge);
                }
                self.root = Root {
                    tag: markup.to_vec(),
                    name: name.to_vec(),
                };
                self.add(with_text).map(|()| None)
            }
            _ => self.add(with_text).map(|()| None),
        }
    }

    /// Adds bytes to the entry that is open, or to the outline.
    fn add(&mut self, bytes: &[u8]) -> Result<(), FeedError> {
        let Some(OpenEntry { piece, .. }) = &mut self.entry else {
            self.outline.extend_from_slice(bytes);
            return if self.outline.len() > MAX_OUTLINE {
                Err(FeedError::TooLarge)
            } else {
                Ok(())
            };
        };
        piece.is_cut |= piece.bytes.len() + bytes.len() > MAX_ENTRY;
        if !piece.is_cut {
            piece.bytes.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn close(&mut self) -> Option<Piece> {
        self.entry.take().map(|entry| entry.piece)
    }
}

impl Root {
    /// Whether it is there yet.
    pub(super) fn has_come(&self) -> bool {
        !self.tag.is_empty()
    }

    /// The last tag of the document.
    pub(super) fn end_tag(&self) -> String {
        format!("</{}>", String::from_utf8_lossy(&self.name))
    }
}

/// Whether a tag's name, whatever its prefix, is that of an entry.
fn is_entry(name: &[u8]) -> bool {
    name.rsplit(|byte| *byte == b':').next() == Some(b"entry")
}

/// The markup at the start of `bytes`, and its length; none if its end is not among them.
fn split_markup(bytes: &[u8]) -> Option<(Markup<'_>, usize)> {
    const LONG: [(&[u8], &[u8]); 3] = [(b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>")];
    for (start, end) in LONG {
        if let Some(rest) = bytes.strip_prefix(start) {
            let inside = rest.windows(end.len()).position(|window| window == end)?;
            return Some((Markup::Other, start.len() + inside + end.len()));
        }
        if start.starts_with(bytes) {
            return None;
        }
    }
    let is_end = bytes.get(1) == Some(&b'/');
    let is_declaration = bytes.get(1) == Some(&b'!');
    let name_at = if is_end { 2 } else { 1 };
    let first = *bytes.get(name_at)?;
    let begins_name = first.is_ascii_alphabetic() || first == b'_' || first == b':' || first >= 0x80;
    if !is_declaration && !begins_name {
        return Some((Markup::Text, 1));
    }
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match (*byte, quote) {
            // In a tag only text has a lone one, also between what look like quotes.
            (b'<', _) => return Some((Markup::Text, 1)),
            (b'>', None) => {
                let inside = &bytes[name_at..at];
                let name_ends = inside.iter().position(|b| b.is_ascii_whitespace() || *b == b'/');
                let name = &inside[..name_ends.unwrap_or(inside.len())];
                let kind = match (is_declaration, is_end) {
                    (true, _) => Markup::Other,
                    (false, true) => Markup::End { name },
                    (false, false) => Markup::Start {
                        name,
                        is_empty: inside.ends_with(b"/"),
                    },
                };
                return Some((kind, at + 1));
            }
            (b'"' | b'\'', None) if !is_end && !is_declaration => quote = Some(*byte),
            (byte, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(document: &str, chunk: usize) -> (Vec<String>, String) {
        let mut splitter = Splitter::default();
        let mut entries = Vec::new();
        for chunk in document.as_bytes().chunks(chunk) {
            splitter.push(chunk);
            while let Some(piece) = splitter.next().unwrap() {
                entries.push(String::from_utf8(piece.bytes).unwrap());
            }
        }
        (entries, String::from_utf8(splitter.finish().to_vec()).unwrap())
    }

    #[test]
    fn entries_are_cut_out_of_the_outline() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str], &str); 12] = [
            ("<feed>a<entry>b</entry>c</feed>", &["<entry>b</entry>"], "<feed>ac</feed>"),
            ("<feed><entry/><entry x='>'/></feed>", &["<entry/>", "<entry x='>'/>"], "<feed></feed>"),
            ("<a:feed><a:entry>b<entry>c</entry></a:entry></a:feed>", &["<a:entry>b<entry>c</entry></a:entry>"], "<a:feed></a:feed>"),
            ("<feed><entry>a<entry>b</entry></feed>", &["<entry>a", "<entry>b</entry>"], "<feed></feed>"),
            ("<feed><entry>a</feed>", &["<entry>a"], "<feed></feed>"),
            ("<feed><entry>a", &[], "<feed>"),
            ("<feed><entry>a < b, c <d</entry></feed>", &["<entry>a < b, c <d</entry>"], "<feed></feed>"),
            ("<feed><entry>a <d 'e</entry></feed>", &["<entry>a <d 'e</entry>"], "<feed></feed>"),
            ("<feed><!-- <entry> --><entry><![CDATA[</entry>]]></entry></feed>", &["<entry><![CDATA[</entry>]]></entry>"], "<feed><!-- <entry> --></feed>"),
            ("<feed><entries><x:entry/></entries></feed>", &["<x:entry/>"], "<feed><entries></entries></feed>"),
            ("<?xml version='1.0'?><entry><entry/></entry>", &["<entry/>"], "<?xml version='1.0'?><entry></entry>"),
            ("Rate exceeded.", &[], "Rate exceeded."),
        ];
        for (document, entries, outline) in cases {
            for chunk in [1, 2, 3, 7, 100] {
                let (found, rest) = split(document, chunk);
                assert_eq!(found, entries, "{document} in chunks of {chunk}");
                assert_eq!(rest, outline, "{document} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn entry_over_its_limit_is_cut_and_the_next_one_is_not() {
        let long = "x".repeat(MAX_ENTRY);
        let mut splitter = Splitter::default();
        let document = format!("<feed><entry>{long}</entry><entry/></feed>");
        let mut pieces = Vec::new();
        for chunk in document.as_bytes().chunks(64 * 1024) {
            splitter.push(chunk);
            while let Some(piece) = splitter.next().unwrap() {
                pieces.push((piece.bytes.len() <= MAX_ENTRY, piece.is_cut));
            }
        }
        assert_eq!(pieces, [(true, true), (true, false)]);
    }
}
