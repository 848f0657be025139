//! Compares the objects in the namespace with the rows in the databases: each object's query is recorded once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::PgConnection;
use testbed::wait;

use crate::environment::{Environment, NAMESPACE};

const FINISH_LIMIT: Duration = Duration::from_mins(3);

/// A row of `queries` that belongs to an object: number, entries, and how many rows of `results` belong to the object.
type Row = (i64, i64, i64);

/// Waits until every object in the namespace has succeeded, and returns them.
pub(super) async fn all_succeeded(env: &Environment) -> Result<Vec<Value>> {
    wait::until("every query in the namespace", FINISH_LIMIT, async || {
        let text = env.kubectl(&["-n", NAMESPACE, "get", "aq", "-o", "json"]).await?;
        let mut list: Value = serde_json::from_str(&text)?;
        let items: Vec<Value> = serde_json::from_value(list["items"].take())?;
        let phase = |item: &Value| item["status"]["phase"].as_str().unwrap_or_default().to_owned();
        if let Some(failed) = items.iter().find(|item| phase(item) == "Failed") {
            anyhow::bail!("{} failed: {}", failed["metadata"]["name"], failed["status"]);
        }
        Ok(items
            .iter()
            .all(|item| phase(item) == "Succeeded")
            .then_some(items))
    })
    .await
}

/// Fails unless each of these objects has one row in `queries` that agrees with its status, and all its rows in `results`.
/// Returns the numbers of all rows that belong to objects, after a check that they are distinct.
pub(super) async fn each_once(connection: &mut PgConnection, objects: &[Value]) -> Result<BTreeSet<i64>> {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "select query_uid::text, query_id, num_entries::bigint,
                (select count(*) from results where results.query_uid = queries.query_uid)
         from queries where query_uid is not null",
    )
    .fetch_all(connection)
    .await?;
    let mut of_objects: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (uid, number, entries, results) in rows {
        of_objects
            .entry(uid)
            .or_default()
            .push((number, entries, results));
    }
    compare(objects, &of_objects)
}

fn compare(objects: &[Value], rows: &BTreeMap<String, Vec<Row>>) -> Result<BTreeSet<i64>> {
    for object in objects {
        let name = &object["metadata"]["name"];
        let uid = object["metadata"]["uid"].as_str().context("a uid")?;
        let field_of = |field: &str| {
            object["status"][field]
                .as_i64()
                .with_context(|| format!("{name} has no {field}"))
        };
        let (number, entries) = (field_of("queryId")?, field_of("storedResults")?);
        let stored = rows.get(uid).map_or(&[][..], Vec::as_slice);
        ensure!(
            stored == [(number, entries, entries)],
            "{name} has the number {number} and {entries} entries; rows (number, entries, results): {stored:?}"
        );
    }
    let mut numbers = BTreeSet::new();
    for (number, ..) in rows.values().flatten() {
        ensure!(numbers.insert(*number), "{number} is the number of two queries");
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_doubled_and_wrong_rows_are_errors() {
        let object = |uid: &str, number: i64| json!({"metadata": {"name": uid, "uid": uid}, "status": {"queryId": number, "storedResults": 2}});
        let objects = [object("a", 1), object("b", 2)];
        let compared = |rows: &[(&str, Row)]| {
            let mut map: BTreeMap<String, Vec<Row>> = BTreeMap::new();
            for (uid, row) in rows {
                map.entry((*uid).to_owned()).or_default().push(*row);
            }
            compare(&objects, &map)
        };
        let (a, b) = (("a", (1, 2, 2)), ("b", (2, 2, 2)));
        let gone = ("gone", (3, 8, 8));
        assert_eq!(compared(&[a, b, gone]).unwrap(), BTreeSet::from([1, 2, 3]));
        for wrong in [
            vec![a],
            vec![a, b, b],
            vec![a, ("b", (5, 2, 2))],
            vec![a, ("b", (2, 1, 2))],
            vec![a, ("b", (2, 2, 4))],
            vec![a, b, ("gone", (2, 8, 8))],
        ] {
            assert!(compared(&wrong).is_err(), "{wrong:?}");
        }
        assert!(
            compare(
                &[json!({"metadata": {"name": "c", "uid": "c"}})],
                &BTreeMap::new()
            )
            .is_err()
        );
    }
}
