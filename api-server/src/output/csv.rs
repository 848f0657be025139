//! Comma-separated values (RFC 4180), with names in the first line.
//!
//! A cell that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a carriage return) gets an
//! apostrophe before it, as OWASP advises; who needs the very text takes another form.

use bytes::{BufMut, BytesMut};

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
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let apostrophe = if is_formula { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n']) {
        buffer.put_u8(b'"');
        buffer.put_slice(apostrophe.as_bytes());
        buffer.put_slice(cell.replace('"', "\"\"").as_bytes());
        buffer.put_u8(b'"');
    } else {
        buffer.put_slice(apostrophe.as_bytes());
        buffer.put_slice(cell.as_bytes());
    }
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
            (&["=1+1", "+1", "-1", "@x", "\tx"], "'=1+1,'+1,'-1,'@x,'\tx\r\n"),
            (&["=HYPERLINK(\"a\",1)"], "\"'=HYPERLINK(\"\"a\"\",1)\"\r\n"),
            (&["\rx"], "\"'\rx\"\r\n"),
            (&["a=b", "1-2"], "a=b,1-2\r\n"),
        ] {
            let mut buffer = BytesMut::new();
            line(&mut buffer, cells);
            assert_eq!(buffer, expected);
        }
    }
}
