//! Comma-separated values (RFC 4180), with names in the first line.
//!
//! What a spreadsheet would take for a formula gets an apostrophe before it, as OWASP advises; who needs the very text takes
//! another form. That is a cell that begins with `=`, `+`, `-` or `@`, also after white space and characters that nobody
//! sees, also in the forms of East Asian keyboards; and the same after a semicolon, a tab or a line break, at which a
//! spreadsheet of another language begins a new cell. Numbers are no formulas.

use std::ops::RangeInclusive;

use bytes::{BufMut, BytesMut};

/// By this, Excel recognises UTF-8.
pub(crate) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Where a spreadsheet that does not read the quotation marks begins another cell.
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// Writes one line.
pub(crate) fn line(buffer: &mut BytesMut, cells: &[impl AsRef<str>]) {
    for (n, cell) in cells.iter().enumerate() {
        if n > 0 {
            buffer.put_u8(b',');
        }
        text(buffer, cell.as_ref());
    }
    buffer.put_slice(b"\r\n");
}

fn text(buffer: &mut BytesMut, cell: &str) {
    let quote = cell.contains([',', ';', '"', '\t', '\r', '\n']);
    let mut put = |text: &str| buffer.put_slice(text.as_bytes());
    if quote {
        put("\"");
    }
    for (n, part) in cell.split_inclusive(SEPARATORS).enumerate() {
        let begins_with_separator = n == 0 && part.starts_with(['\t', '\r', '\n']);
        if begins_with_separator || (is_formula(part) && !is_number(cell)) {
            put("'");
        }
        put(&part.replace('"', "\"\""));
    }
    if quote {
        put("\"");
    }
}

/// Characters that nobody sees, besides white space and control characters (`Default_Ignorable_Code_Point`, and blanks that
/// are letters or symbols to Unicode).
const UNSEEN: [RangeInclusive<char>; 18] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

fn is_formula(text: &str) -> bool {
    let is_unseen = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || c == '\''
            || c == '"'
            || UNSEEN.iter().any(|range| range.contains(&c))
    };
    // The others are full-width and small forms of these.
    text.trim_start_matches(is_unseen).starts_with([
        '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{fe66}', '\u{fe62}',
        '\u{fe63}', '\u{fe6b}',
    ])
}

/// `-1`, `+1.5`, `2e-3`
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    unsigned.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_is_quoted_and_never_a_formula() {
        for (cells, expected) in [
            (&["a", "", "c d"][..], "a,,c d\r\n"),
            (
                &["a,b", "say \"x\"", "two\nlines"],
                "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\r\n",
            ),
            (&["=1+1", "+a", "-a", "@x", "-1+1"], "'=1+1,'+a,'-a,'@x,'-1+1\r\n"),
            (&["=HYPERLINK(\"a\",1)"], "\"'=HYPERLINK(\"\"a\"\",1)\"\r\n"),
            (&["\rx", "\tx", "\nx"], "\"'\rx\",\"'\tx\",\"'\nx\"\r\n"),
            (&["a=b", "1-2"], "a=b,1-2\r\n"),
            (
                &["-1", "+1.5", "-2e3", "2405.00001", "-", "-.5"],
                "-1,+1.5,-2e3,2405.00001,'-,'-.5\r\n",
            ),
            (
                &[
                    " =1",
                    "\u{a0}=1",
                    "\u{3000}+a",
                    "\u{200b}=1",
                    "\u{feff}@a",
                    "\u{0}=1",
                    "'=1",
                    "\"=1",
                ],
                "' =1,'\u{a0}=1,'\u{3000}+a,'\u{200b}=1,'\u{feff}@a,'\u{0}=1,''=1,\"'\"\"=1\"\r\n",
            ),
            (
                &["\n=1+1", "\t=1", "\r\n =1"],
                "\"'\n'=1+1\",\"'\t'=1\",\"'\r\n' =1\"\r\n",
            ),
            (
                &["＝1+1", "＋1", "－1", "＠a", "﹦1"],
                "'＝1+1,'＋1,'－1,'＠a,'﹦1\r\n",
            ),
            (
                &[
                    "\u{fe0f}=1",
                    "\u{3164}+a",
                    "\u{61c}@a",
                    "\u{2800}-a",
                    "\u{2028}=1",
                    "\u{e0020}=1",
                ],
                "'\u{fe0f}=1,'\u{3164}+a,'\u{61c}@a,'\u{2800}-a,'\u{2028}=1,'\u{e0020}=1\r\n",
            ),
            (
                &["a;=1", "a\t=1", "a\n=1", "a; b"],
                "\"a;'=1\",\"a\t'=1\",\"a\n'=1\",\"a; b\"\r\n",
            ),
        ] {
            let mut buffer = BytesMut::new();
            line(&mut buffer, cells);
            assert_eq!(buffer, expected);
        }
    }
}
