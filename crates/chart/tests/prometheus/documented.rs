//! What is scraped, compared with docs/metrics.md.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use chart::read;
use testbed::http_get;
use testbed::test_env::search;
use testbed::tools::promtool;

use crate::system::Monitored;

/// Labels that Prometheus adds, and those of histograms.
const OTHERS: [&str; 6] = ["__name__", "namespace", "job", "pod", "instance", "le"];

/// Labels whose values are in the description of the metric.
const LISTED: [&str; 8] = [
    "cache", "category", "outcome", "phase", "priority", "result", "step", "to",
];

/// Every series has a row with its labels, and the metrics that rules and dashboard depend on are there.
pub(crate) async fn series_are_documented(monitored: &Monitored) {
    monitored.env.create("documented", search("documented")).await;
    monitored.env.finished("documented").await;
    let service = &monitored.env.stack.api_servers[0];
    let (status, _) = monitored.env.get_from(service, "/results?page=x").await.unwrap();
    assert_eq!(status, 422);
    let (status, _) = monitored.env.get_from(service, "/metrics").await.unwrap();
    assert_eq!(status, 404, "metrics have a port of their own");
    let needed = "arxiv_api_server_error_responses_total{code=\"invalid_parameter\"}
        and on () arxiv_operator_upstream_requests_total{outcome=\"answered\"} > 0";
    monitored
        .until("requests are scraped", async || monitored.count(needed).await > 0)
        .await;
    for name in [
        "arxiv_operator_build_info",
        "arxiv_api_server_build_info",
        "process_resident_memory_bytes",
        "arxiv_operator_ready",
        "arxiv_api_server_ready",
        "arxiv_operator_arxiv_request_duration_seconds_count",
        "arxiv_operator_gate_wait_duration_seconds_count",
        "arxiv_operator_database_operation_duration_seconds_count",
        "arxiv_operator_kubernetes_request_duration_seconds_count",
        "arxiv_operator_lease_transitions_total",
        "arxiv_operator_page_lookups_total",
        "arxiv_operator_feeds",
        "arxiv_api_server_kubernetes_request_duration_seconds_count",
        "arxiv_api_server_database_operation_duration_seconds_count",
    ] {
        assert!(monitored.count(name).await > 0, "{name} is not scraped");
    }
    for counter in [
        "arxiv_operator_errors_total{category=\"database\"}",
        "arxiv_api_server_error_responses_total{endpoint=\"/results\", code=\"internal\"}",
    ] {
        let zero = format!("{counter} == 0");
        assert!(monitored.count(&zero).await > 0, "{counter} does not begin at 0");
    }
    let page = read("docs/metrics.md").unwrap();
    let selector = format!(
        "{{namespace=\"{}\", __name__!~\"ALERTS.*|up|scrape_.*\"}}",
        chart::NAMESPACE
    );
    let series = monitored.prometheus.query(&selector).await.unwrap();
    assert!(series.len() > 100, "{}", series.len());
    for one in series {
        let labels = one["metric"].as_object().unwrap();
        let name = labels["__name__"].as_str().unwrap();
        let bare = ["_bucket", "_sum", "_count"]
            .iter()
            .fold(name, |name, end| name.trim_end_matches(end));
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{bare}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
        let documented = row.split('|').nth(3).unwrap();
        let documented: BTreeSet<_> = documented
            .split(',')
            .map(|label| label.trim().trim_matches('`'))
            .collect();
        let words: Vec<&str> = row.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for (label, value) in labels {
            let value = value.as_str().unwrap();
            assert!(
                !LISTED.contains(&label.as_str()) || words.contains(&value),
                "{name}: {label}={value} is not documented"
            );
        }
        let used = labels.keys().filter(|label| !OTHERS.contains(&label.as_str()));
        for label in used {
            assert!(
                documented.contains(label.as_str()),
                "{name}: the label {label} is not documented"
            );
        }
    }
}

/// promtool reads Prometheus' older text format, in which the metadata of a counter has its whole name.
pub(crate) async fn metrics_pass_promtool(monitored: &Monitored) {
    let ports = [
        monitored.env.operator().url().port().unwrap(),
        monitored.metrics_port.number(),
    ];
    for port in ports {
        let url = format!("http://127.0.0.1:{port}/metrics").parse().unwrap();
        let (_, text) = http_get(url).await.unwrap();
        let counters: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
            .collect();
        let older: Vec<String> = text
            .lines()
            .filter(|line| *line != "# EOF")
            .map(|line| match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
                ["#", kind, name, rest] if counters.contains(name) => {
                    format!("# {kind} {name}_total {rest}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let older = older.concat();
        let mut check = Command::new(promtool().unwrap())
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        check.stdin.take().unwrap().write_all(older.as_bytes()).unwrap();
        let output = check.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{older}");
    }
}
