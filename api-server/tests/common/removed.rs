//! What is answered of a query whose object is gone.

use serde_json::{Value, json};

/// Members that only the object had.
const UNKNOWN: [&str; 4] = ["search", "attempts", "created", "started"];

/// The answer has the last state of a query that succeeded, as far as it was recorded.
pub(crate) fn assert_is_record_of(state: &Value, recorded: &Value) {
    let mut expected = without_unknown(state);
    // The query as /queries shows it: as arXiv understood it.
    let query = recorded["query"].as_str().unwrap();
    assert!(query.contains(state["query"].as_str().unwrap()), "{recorded}");
    for own in ["message", "finished", "query"] {
        assert!(recorded[own].is_string(), "{recorded}");
        expected[own] = recorded[own].clone();
    }
    assert_eq!(*recorded, expected);
    assert!(state.get("removed").is_none(), "{state}");
}

/// The answer has the last state of a query that failed.
pub(crate) fn assert_is_tombstone_of(state: &Value, recorded: &Value) {
    let mut expected = without_unknown(state);
    expected["query"] = Value::Null;
    assert!(recorded["finished"].is_string(), "{recorded}");
    expected["finished"] = recorded["finished"].clone();
    assert_eq!(*recorded, expected);
}

fn without_unknown(state: &Value) -> Value {
    let mut expected = state.clone();
    for unknown in UNKNOWN {
        expected[unknown] = Value::Null;
    }
    expected["removed"] = json!(true);
    expected
}

/// The id of the only event, which is the end and has this state.
pub(crate) fn id_of_end(events: &str, state: &Value) -> String {
    let fields: Vec<_> = events.lines().filter_map(|line| line.split_once(": ")).collect();
    let all = |field| {
        let named = fields.iter().filter(move |(name, _)| *name == field);
        named.map(|(_, value)| *value)
    };
    assert_eq!(all("event").collect::<Vec<_>>(), ["end"], "{events}");
    let data: Value = serde_json::from_str(all("data").next().unwrap()).unwrap();
    assert_eq!(data, *state);
    all("id").next().unwrap().to_owned()
}
