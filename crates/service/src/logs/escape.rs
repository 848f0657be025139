//! Escapes log values, so that none can start a line of its own or control a terminal.

use std::fmt::{self, Write};

/// Writes text with line breaks, other control characters and backslash escapes made visible.
pub(super) fn escaped(text: &str) -> impl fmt::Display + '_ {
    struct Escaped<'a>(&'a str);
    impl fmt::Display for Escaped<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for character in self.0.chars() {
                match character {
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    // Line and paragraph separators break lines for some readers of logs.
                    control if control.is_control() || matches!(control, '\u{2028}' | '\u{2029}') => {
                        write!(f, "\\u{{{:x}}}", u32::from(control))?;
                    }
                    other => f.write_char(other)?,
                }
            }
            Ok(())
        }
    }
    Escaped(text)
}
