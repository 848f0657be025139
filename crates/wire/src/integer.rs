//! Integers in a query string, read as pydantic's lax mode reads them.

/// pydantic reads no integer of more digits than `CPython`'s `int()` does by default.
const MAX_DIGITS: usize = 4300;

/// Why a text is no integer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IntegerError {
    /// It is something else.
    Parsing,
    /// It has more than 4300 digits, as in Python.
    Size,
}

/// Reads an integer; one outside the range of `i128` becomes the nearest in it.
///
/// Valid in addition to plain digits: white space around, a `+`, leading zeros, `_` between digits, and a fraction of
/// zeros.
pub fn parse(text: &str) -> Result<i128, IntegerError> {
    let text = text.trim();
    let unsigned = match text.strip_prefix('+') {
        Some(rest) if rest.starts_with('-') => return Err(IntegerError::Parsing),
        Some(rest) => rest,
        None => text,
    };
    let significant = without_leading_zeros(unsigned).ok_or(IntegerError::Parsing)?;
    let whole = without_zero_fraction(significant).ok_or(IntegerError::Parsing)?;
    let (negative, digits) = whole
        .strip_prefix('-')
        .map_or((false, whole), |digits| (true, digits));
    if digits.is_empty() || digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return Err(IntegerError::Parsing);
    }
    let digits = digits.replace('_', "");
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IntegerError::Parsing);
    }
    if digits.len() > MAX_DIGITS {
        return Err(IntegerError::Size);
    }
    // Only its size can make it fail now.
    let value = digits.parse().unwrap_or(i128::MAX);
    Ok(if negative { -value } else { value })
}

/// pydantic's own way: zeros and underscores go until the first other digit, and a `-` may follow them.
fn without_leading_zeros(text: &str) -> Option<&str> {
    let mut chars = text.char_indices();
    match chars.next()?.1 {
        '0' => {}
        '1'..='9' | '-' => return Some(text),
        _ => return None,
    }
    for (at, c) in chars {
        match c {
            '0' | '_' => {}
            '1'..='9' | '-' => return text.get(at..),
            '.' => return text.get(at - 1..),
            _ => return None,
        }
    }
    text.get(text.len() - 1..)
}

fn without_zero_fraction(text: &str) -> Option<&str> {
    let Some((whole, zeros)) = text.split_once('.') else {
        return Some(text);
    };
    (!zeros.is_empty() && zeros.bytes().all(|b| b == b'0')).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_pydantic_reads_them() {
        let taken: &[(&str, i128)] = &[
            ("1", 1),
            ("1.0", 1),
            ("1.00", 1),
            ("+5", 5),
            (" 5", 5),
            (" 5 ", 5),
            ("\t1", 1),
            ("1\n", 1),
            ("\u{a0}5", 5),
            ("\u{2003}5", 5),
            ("\u{b}5", 5),
            ("\u{85}5", 5),
            ("007", 7),
            ("1_0", 10),
            ("1_000.0", 1000),
            ("0_0", 0),
            ("0_7", 7),
            ("00", 0),
            ("-0", 0),
            ("-5", -5),
            ("-007", -7),
            ("-0_1", -1),
            ("0.0", 0),
            ("000.000", 0),
            ("-1.0", -1),
            ("-1_0.0", -10),
            ("+0", 0),
            ("+0_1", 1),
            ("0-1", -1),
            ("00-1", -1),
            ("0_-1", -1),
            ("0__1", 1),
            ("9223372036854775808", 9_223_372_036_854_775_808),
        ];
        for (text, value) in taken {
            assert_eq!(parse(text), Ok(*value), "{text:?}");
        }
        assert_eq!(parse(&"9".repeat(4300)), Ok(i128::MAX));
        assert_eq!(parse(&"0".repeat(5000)), Ok(0));
        assert_eq!(parse(&format!("1.{}", "0".repeat(5000))), Ok(1));
    }

    #[test]
    fn text_that_pydantic_refuses_is_refused() {
        let refused = [
            "",
            " ",
            "null",
            "true",
            "abc",
            "1.",
            "0.",
            "1.5",
            "1e2",
            "0x10",
            "0b1",
            "1__0",
            "_1",
            "1_",
            "_",
            "__",
            "--5",
            "-+5",
            "++5",
            "+-5",
            "+",
            "-",
            "+_1",
            "+ 5",
            "- 5",
            "1.0_0",
            "1.0_",
            ".0",
            "-.0",
            "1.0.0",
            "1,000",
            "\u{ff15}",
            "5\0",
            "-_1",
            "-__1",
            "0_",
            "00_",
            "-0-1",
            "0_.0",
            "1_.0",
            "0_1_",
            "\u{1c}5",
            "5\u{200b}",
        ];
        for text in refused {
            assert_eq!(parse(text), Err(IntegerError::Parsing), "{text:?}");
        }
        assert_eq!(parse(&"9".repeat(4301)), Err(IntegerError::Size));
    }
}
