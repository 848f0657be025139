//! Who may talk to whom, as docs/network.md tells people.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::read;

/// From, to and port of every row of the table, by the names in it.
pub fn allowed_flows() -> Result<BTreeSet<(String, String, u16)>> {
    let text = read("docs/network.md")?;
    let mut allowed = BTreeSet::new();
    for line in text
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
    Ok(allowed)
}
