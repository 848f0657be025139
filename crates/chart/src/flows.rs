//! Allowed network connections, by the tables in docs/network.md.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

use crate::read;

/// From, to and port.
pub type Flow = (String, String, u16);

/// Every row of the first table, for policies with all addresses set.
pub fn allowed_flows() -> Result<BTreeSet<Flow>> {
    flows_below("Restricted")
}

/// Every row of the table below a heading of the page, by the names in it.
pub fn flows_below(heading: &str) -> Result<BTreeSet<Flow>> {
    let text = read("docs/network.md")?;
    let (_, rest) = text
        .split_once(&format!("\n## {heading}\n"))
        .with_context(|| format!("docs/network.md has no heading {heading:?}"))?;
    let (section, _) = rest.split_once("\n## ").unwrap_or((rest, ""));
    let mut allowed = BTreeSet::new();
    for line in section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| from"))
    {
        let cells: Vec<Vec<&str>> = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.split(',').map(str::trim).collect())
            .collect();
        let [from, to, ports] = cells.as_slice() else {
            bail!("not a row of three: {line}")
        };
        for from in from {
            for to in to {
                for port in ports {
                    let port = port.parse().with_context(|| format!("{port:?} in {line}"))?;
                    allowed.insert(((*from).to_owned(), (*to).to_owned(), port));
                }
            }
        }
    }
    ensure!(
        !allowed.is_empty(),
        "docs/network.md has no table below {heading:?}"
    );
    Ok(allowed)
}
