//! Readiness and metrics of a process.

use serde_json::Value;

use super::{LIMIT, TestEnv, within};
use crate::stack::Service;

impl TestEnv {
    /// Status and body of a service's answer at a path; nothing when it does not answer.
    pub async fn get_from(&self, service: &Service, path: &str) -> Option<(u16, String)> {
        let url = service.url().join(path).expect("a path");
        let response = self.http.get(url).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// Waits until the first operator is not ready because of `need`, for a reason that contains this text.
    pub async fn until_missing(&self, need: &str, text: &str) {
        let mut last = None;
        let found = within(LIMIT, async || {
            last = self.get_from(self.operator(), "/readyz").await;
            let (status, body) = last.as_ref()?;
            let body: Value = serde_json::from_str(body).ok()?;
            let reason = body["reasons"][need].as_str()?;
            (*status == 503 && reason.contains(text)).then_some(())
        })
        .await;
        assert!(
            found.is_some(),
            "not ready because of {need}: {text}; last answer {last:?}\n{}",
            self.operator_logs()
        );
    }

    /// The value of a metric of the first operator, named as it is exposed (`name{labels}`).
    pub async fn metric(&self, name: &str) -> f64 {
        self.metric_of(self.operator(), name).await.expect("metrics")
    }

    /// Waits until a counter of the first operator has this value: it may be counted later than its cause can be seen.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let mut last = None;
        let reached = within(LIMIT, async || {
            last = self.metric_of(self.operator(), name).await;
            last.filter(|last| *last > value - 0.5)
        })
        .await;
        assert!(
            reached.is_some_and(|reached| reached < value + 0.5),
            "{name} is {last:?}, not {value}\n{}",
            self.operator_logs()
        );
    }

    /// The value of a metric of a service; 0 if the metric does not exist yet, nothing when the service does not answer.
    pub async fn metric_of(&self, service: &Service, name: &str) -> Option<f64> {
        let (_, text) = self.get_from(service, "/metrics").await?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(line.map_or(0.0, |value| value.parse().expect("a number")))
    }

    /// Requests for `ArxivQueries` that Kubernetes has answered, of one verb (`LIST`) or of all. Watches count when they end. Other
    /// tests are counted, too, unless the control plane is this one's own.
    pub async fn kubernetes_requests(&self, verb: Option<&str>) -> f64 {
        let request = http::Request::get("/metrics")
            .body(Vec::new())
            .expect("a request");
        let text = self.kube.request_text(request).await.expect("metrics");
        let of_verb = verb.map(|verb| format!("verb=\"{verb}\"")).unwrap_or_default();
        text.lines()
            .filter(|line| {
                line.starts_with("apiserver_request_total{") && line.contains("resource=\"arxivqueries\"")
            })
            .filter(|line| line.contains(&of_verb))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }
}
