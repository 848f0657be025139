//! docs/metrics.md: a section for each program, written from what it registers.

use std::fmt::Write;

use crate::{Definition, Metrics};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");

/// The page's section about a program, and what it has to be; for the test of each program. With `METRICS_UPDATE` in the
/// environment the section is written first.
pub fn section(program: &str, metrics: &Metrics) -> std::io::Result<(String, String)> {
    let (begin, end) = (
        format!("<!-- metrics of {program} -->\n"),
        format!("<!-- end of the metrics of {program} -->\n"),
    );
    let expected = table(&metrics.definitions());
    let page = std::fs::read_to_string(PAGE)?;
    let missing = || std::io::Error::other(format!("docs/metrics.md has no section of {program}"));
    let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
    let (found, after) = rest.split_once(&end).ok_or_else(missing)?;
    if std::env::var_os("METRICS_UPDATE").is_some() {
        std::fs::write(PAGE, format!("{before}{begin}{expected}{end}{after}"))?;
        return Ok((expected.clone(), expected));
    }
    Ok((found.to_owned(), expected))
}

fn table(definitions: &[Definition]) -> String {
    let mut table = "| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    let mut sorted: Vec<_> = definitions.iter().collect();
    sorted.sort_by_key(|definition| &definition.name);
    for Definition {
        name,
        kind,
        labels,
        help,
    } in sorted
    {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    table
}
