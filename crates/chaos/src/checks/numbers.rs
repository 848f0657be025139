//! No number is issued twice, and rows that belong to no object do not change.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Kind};
use crate::history::History;

pub(super) fn check(history: &History, findings: &mut Findings) {
    numbers(history, findings);
    foreign_rows(history, findings);
}

fn numbers(history: &History, findings: &mut Findings) {
    let mut used: BTreeMap<i64, BTreeSet<Option<&str>>> = BTreeMap::new();
    let queries = history.queries.iter().map(|row| (row.number, row.uid.as_deref()));
    let results = history.results.iter().map(|row| (row.number, row.uid.as_deref()));
    for (number, uid) in queries.chain(results) {
        used.entry(number).or_default().insert(uid);
    }
    let mut issued = BTreeSet::new();
    for number in &history.issued_numbers {
        if !issued.insert(*number) || used.get(number).is_some_and(|by| by.iter().any(Option::is_some)) {
            findings.add(
                Kind::Doubled,
                format!("number {number} was issued to a caller and used by another"),
            );
        }
    }
    for (number, by) in used {
        if by.len() > 1 {
            findings.add(Kind::Doubled, format!("number {number} belongs to {by:?}"));
        }
    }
}

fn foreign_rows(history: &History, findings: &mut Findings) {
    let count = |number: &i64| {
        let queries = history
            .queries
            .iter()
            .filter(|row| row.uid.is_none() && row.number == *number);
        let results = history
            .results
            .iter()
            .filter(|row| row.uid.is_none() && row.number == *number);
        (queries.count(), results.count())
    };
    for (number, results) in &history.foreign_rows {
        let results = usize::try_from(*results).unwrap_or_default();
        if count(number) != (1, results) {
            let text = format!(
                "the foreign rows with number {number} are now {:?}",
                count(number)
            );
            findings.add(Kind::Lost, text);
        }
    }
    let others = history.queries.iter().filter(|row| row.uid.is_none());
    for row in others.filter(|row| !history.foreign_rows.contains_key(&row.number)) {
        findings.add(
            Kind::Doubled,
            format!("an unknown row with number {}", row.number),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{finds, rows};
    use super::*;

    #[test]
    fn shared_numbers_and_changed_foreign_rows_are_violations() {
        use Kind::{Doubled, Lost};
        finds(
            "a number twice",
            |f| f.queries[1].number = 1,
            Doubled,
            "number 1 belongs to",
        );
        finds(
            "the number of a foreign row",
            |f| f.queries[0].number = 50,
            Doubled,
            "number 50 belongs to",
        );
        finds(
            "a foreign row is missing",
            |f| f.queries.retain(|row| row.uid.is_some()),
            Lost,
            "are now (0, 1)",
        );
        finds(
            "an object took a foreign row",
            |f| {
                f.queries
                    .iter_mut()
                    .filter(|row| row.number == 50)
                    .for_each(|row| row.uid = Some("a".into()));
            },
            Doubled,
            "2 rows in queries",
        );
        finds(
            "an unknown row",
            |f| rows(f, None, 60, 1),
            Doubled,
            "unknown row with number 60",
        );
        finds(
            "issued twice",
            |f| f.issued_numbers.push(60),
            Doubled,
            "was issued",
        );
        finds(
            "issued and used",
            |f| f.issued_numbers.push(1),
            Doubled,
            "was issued",
        );
    }
}
