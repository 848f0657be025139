//! The lines of an exported feed, read one at a time.

use std::io::{BufRead, Read};

use anyhow::{Context, bail};
use storage::feeds::transfer::Line;

/// A paper may have thousands of authors.
const MAX_LINE: usize = 8 << 20;

/// Lines of an input.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// The next one; none at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line>> {
        let mut text = Vec::new();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let mut limited = Read::take(&mut self.input, limit);
        let length = limited
            .read_until(b'\n', &mut text)
            .context("the input cannot be read")?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        if length >= MAX_LINE && !text.ends_with(b"\n") {
            bail!("line {number} is longer than {MAX_LINE} bytes");
        }
        let line = serde_json::from_slice(&text)
            .with_context(|| format!("line {number} is none of an exported feed"))?;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use storage::feeds::transfer::Counts;

    use super::*;

    #[test]
    fn lines_are_read_to_the_end_and_other_texts_and_endless_ones_are_refused() {
        let text = "{\"seen\":\"2405.00001v2\"}\n{\"end\":{\"items\":0,\"seen\":1}}\n";
        let mut lines = Lines::new(text.as_bytes());
        assert_eq!(
            lines.next().unwrap(),
            Some(Line::Seen(paper::PaperId::of_entry("2405.00001v2")))
        );
        let counts = Counts { items: 0, seen: 1 };
        assert_eq!(lines.next().unwrap(), Some(Line::End(counts)));
        assert_eq!(lines.next().unwrap(), None);
        for (text, problem) in [
            ("{\"seen\":7}", "line 1 is none"),
            ("\n", "line 1 is none"),
            ("{\"seen\":\"1v1\"", "line 1 is none"),
        ] {
            let error = Lines::new(text.as_bytes()).next().unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
        }
        let error = Lines::new(BufReader::new(std::io::repeat(b' ')))
            .next()
            .unwrap_err();
        assert!(error.to_string().contains("line 1 is longer"), "{error}");
    }
}
