//! Traces of OpenTelemetry: received by a real collector, and without any effect on requests where there is none.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use testbed::{
    TestEnv,
    test_env::{LIMIT, ServerOnly, eventually, http_client},
    tools::Collector,
};

use crate::NOWHERE;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// The spans of a query, and the span to which each belongs.
const SPANS: [(&str, &str); 8] = [
    ("create object", "POST /arxiv"),
    ("reconcile", "POST /arxiv"),
    ("fetch", "POST /arxiv"),
    ("wait for gate", "fetch"),
    ("request to arXiv", "fetch"),
    ("take number", "reconcile"),
    ("record", "reconcile"),
    ("write status", "reconcile"),
];

/// The spans of the trace, by id.
fn trace(collector: &Collector) -> BTreeMap<String, Value> {
    let spans = collector.spans().unwrap().into_iter();
    let spans = spans.filter(|span| span["traceId"] == TRACE);
    spans
        .map(|span| (span["spanId"].as_str().unwrap().to_owned(), span))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn request_object_and_record_are_one_trace_with_the_right_parents() {
    let collector = Collector::start().await.unwrap();
    let endpoint = collector.endpoint();
    let env = TestEnv::for_api(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ])
    .await;
    let response = env
        .http
        .post(env.url("/arxiv"))
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .json(&json!({"search": {"title": "traced"}}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    let spans = eventually("all spans are there", async || {
        let spans = trace(&collector);
        let has = |name: &str| spans.values().any(|span| span["name"] == name);
        // A span is sent when it has ended, so often after those below it.
        let is_complete = spans.values().all(|span| {
            let parent = span["parentSpanId"].as_str().unwrap_or_default();
            parent == CALLER || spans.contains_key(parent)
        });
        let has_all = has("POST /arxiv") && SPANS.iter().all(|(name, _)| has(name));
        (has_all && is_complete).then_some(spans)
    })
    .await;
    for (name, parent) in SPANS {
        let of_name = spans.values().filter(|span| span["name"] == name);
        for span in of_name {
            let above = &spans[span["parentSpanId"].as_str().unwrap()];
            assert_eq!(above["name"], parent, "{name}: {spans:#?}");
        }
    }
    let request = spans.values().find(|span| span["name"] == "POST /arxiv").unwrap();
    assert_eq!(request["parentSpanId"], CALLER);
    assert_eq!(request["service"], "arxiv-api-server");
    assert_eq!(request["kind"], 2, "a server: {request}");
    let recorded = spans.values().find(|span| span["name"] == "record").unwrap();
    assert_eq!(recorded["service"], "arxiv-operator");
    // The texts of events stay in the logs.
    assert!(spans.values().all(|span| span["events"].is_null()), "{spans:#?}");
}

async fn server(environment: &[(&str, &str)]) -> ServerOnly {
    let usual = [
        ("SERVE", "read-results"),
        ("DATABASE_RO_URL", NOWHERE),
        ("LOG_LEVEL", "NOTICE"),
    ];
    ServerOnly::start(&[&usual, environment].concat())
        .listening()
        .await
}

/// More requests than the queue of spans holds.
async fn many_requests(server: &ServerOnly) {
    for _ in 0..3000 {
        let began = Instant::now();
        let response = http_client_of(server).await;
        assert_eq!(response, 200);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "a request waited for the collector"
        );
    }
}

async fn http_client_of(server: &ServerOnly) -> u16 {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    let client = CLIENT.get_or_init(http_client);
    let response = client.get(server.url("/docs")).send().await.unwrap();
    response.status().as_u16()
}

fn log(server: &ServerOnly) -> String {
    std::fs::read_to_string(server.child.log()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_that_is_away_or_silent_delays_nothing_and_is_logged_once() {
    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:1", &silent] {
        let server = server(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ])
        .await;
        many_requests(&server).await;
        let failures = || {
            log(&server)
                .matches("spans cannot be sent to the collector")
                .count()
        };
        eventually("the failure is logged", async || (failures() > 0).then_some(())).await;
        many_requests(&server).await;
        assert_eq!(failures(), 1, "{endpoint}");
        assert!(server.child.memory().unwrap().resident < 200 * crate::MEBIBYTE);
        let began = Instant::now();
        server.child.signal(Signal::TERM);
        assert!(server.child.wait(LIMIT).await.unwrap().success());
        assert!(began.elapsed() < Duration::from_secs(15), "{endpoint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_traces_that_are_invalid_are_refused_by_name() {
    for (name, value) in [
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "no address"),
    ] {
        let mut environment = BTreeMap::from([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
        environment.insert(name, value);
        let environment: Vec<_> = environment.into_iter().collect();
        let server = ServerOnly::start(&environment);
        assert!(!server.child.wait(LIMIT).await.unwrap().success(), "{name}");
        assert!(
            server.child.log_tail().contains(name),
            "{}",
            server.child.log_tail()
        );
    }
}
