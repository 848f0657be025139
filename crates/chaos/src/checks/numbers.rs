//! No number is given twice, and rows of those who are no objects stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Kind};
use crate::facts::Facts;

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    numbers(facts, findings);
    strangers(facts, findings);
}

fn numbers(facts: &Facts, findings: &mut Findings) {
    let mut used: BTreeMap<i64, BTreeSet<Option<&str>>> = BTreeMap::new();
    let queries = facts.queries.iter().map(|row| (row.number, row.uid.as_deref()));
    let results = facts.results.iter().map(|row| (row.number, row.uid.as_deref()));
    for (number, uid) in queries.chain(results) {
        used.entry(number).or_default().insert(uid);
    }
    let mut told = BTreeSet::new();
    for number in &facts.told_numbers {
        if !told.insert(*number) || used.get(number).is_some_and(|by| by.iter().any(Option::is_some)) {
            findings.add(
                Kind::Doubled,
                format!("number {number} was told to a caller and to another"),
            );
        }
    }
    for (number, by) in used {
        if by.len() > 1 {
            findings.add(Kind::Doubled, format!("number {number} belongs to {by:?}"));
        }
    }
}

fn strangers(facts: &Facts, findings: &mut Findings) {
    let count = |number: &i64| {
        let queries = facts
            .queries
            .iter()
            .filter(|row| row.uid.is_none() && row.number == *number);
        let results = facts
            .results
            .iter()
            .filter(|row| row.uid.is_none() && row.number == *number);
        (queries.count(), results.count())
    };
    for (number, results) in &facts.strangers {
        let results = usize::try_from(*results).unwrap_or_default();
        if count(number) != (1, results) {
            let text = format!(
                "a stranger's rows with number {number} are now {:?}",
                count(number)
            );
            findings.add(Kind::Lost, text);
        }
    }
    let others = facts.queries.iter().filter(|row| row.uid.is_none());
    for row in others.filter(|row| !facts.strangers.contains_key(&row.number)) {
        findings.add(
            Kind::Doubled,
            format!("a row of nobody with number {}", row.number),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{finds, rows};
    use super::*;

    #[test]
    fn numbers_of_two_and_strangers_rows_that_changed_are_found() {
        use Kind::{Doubled, Lost};
        finds(
            "a number twice",
            |f| f.queries[1].number = 1,
            Doubled,
            "number 1 belongs to",
        );
        finds(
            "a stranger's number",
            |f| f.queries[0].number = 50,
            Doubled,
            "number 50 belongs to",
        );
        finds(
            "a stranger's row gone",
            |f| f.queries.retain(|row| row.uid.is_some()),
            Lost,
            "are now (0, 1)",
        );
        finds(
            "a stranger adopted",
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
            "a row of nobody",
            |f| rows(f, None, 60, 1),
            Doubled,
            "nobody with number 60",
        );
        finds("told twice", |f| f.told_numbers.push(60), Doubled, "was told");
        finds("told and used", |f| f.told_numbers.push(1), Doubled, "was told");
    }
}
