//! The dashboard: Prometheus evaluates the expressions of its panels.

use chart::read;
use serde_json::Value;

use crate::system::Monitored;

/// Every expression of every panel has a result, except in panels of what did not happen in this test.
pub(crate) async fn panels_have_data(monitored: &Monitored, did_not_happen: &[&str]) {
    let service = &monitored.env.stack.api_servers[0];
    let path = "/arxiv-api?title=panels&max_results=1";
    let (status, body) = monitored.env.get_from(service, path).await.unwrap();
    assert_eq!(status, 200, "{body}");
    // A rate needs two samples.
    let waits = "count_over_time(arxiv_api_server_gate_wait_duration_seconds_count[10m]) > 1";
    monitored
        .until("the API server's request is scraped twice", async || {
            monitored.count(waits).await > 0
        })
        .await;
    let text = read("charts/arxiv-operator/files/dashboard.json").unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut without = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            // All of the variables' values, and all that happened.
            let expression = expression
                .replace("$namespace", ".+")
                .replace("$job", ".+")
                .replace("$__rate_interval", "10m");
            assert!(!expression.contains('$'), "{expression}");
            let is_empty = monitored.count(&expression).await == 0;
            if is_empty && !did_not_happen.contains(&title) {
                without.push(format!("{title}: {expression}"));
            }
        }
    }
    assert!(without.is_empty(), "without data:\n{}", without.join("\n"));
}
