//! A real Prometheus next to a running system: it scrapes all processes, evaluates rules, and sends alerts to a receiver.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use url::Url;

use super::Stack;
use super::alert_receiver::AlertReceiver;
use crate::net::{Port, http_get};
use crate::process::{Child, Spec};
use crate::{TempDir, tools, wait};

const READY_LIMIT: Duration = Duration::from_mins(1);

/// What is scraped, and with which labels, as the chart's `ServiceMonitors` would.
#[derive(Clone, Debug)]
pub struct Target {
    /// The label `job`: the name of the Service.
    pub job: String,
    /// The label `pod`.
    pub pod: String,
    /// Where /metrics is, as `HOST:PORT`.
    pub address: String,
}

/// A running Prometheus. Ends when dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    port: Port,
    receiver: AlertReceiver,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these targets of `namespace` in this interval. `rules`: the `spec` of a `PrometheusRule`.
    pub async fn start(
        namespace: &str,
        targets: &[Target],
        rules: &Value,
        interval: Duration,
    ) -> Result<Self> {
        let program = tokio::task::spawn_blocking(tools::prometheus).await??;
        let folder = TempDir::new("prometheus")?;
        let receiver = AlertReceiver::start()?;
        let every = format!("{}ms", interval.as_millis());
        let scrape = targets.iter().map(|target| {
            let labels = json!({"namespace": namespace, "job": target.job, "pod": target.pod});
            json!({
                "job_name": target.pod,
                "static_configs": [{"targets": [target.address], "labels": labels}],
            })
        });
        let configuration = json!({
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": ["rules.yml"],
            "scrape_configs": scrape.collect::<Vec<_>>(),
            "alerting": {"alertmanagers": [{
                "api_version": "v2",
                "static_configs": [{"targets": [format!("127.0.0.1:{}", receiver.port())]}],
            }]},
        });
        // JSON is YAML.
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, configuration.to_string())?;
        fs::write(folder.path().join("rules.yml"), rules.to_string())?;
        let port = Port::reserve()?;
        let option = |name: &str, value: &str| format!("--{name}={value}");
        let spec = Spec::new(program, folder.path().join("prometheus.log")).args([
            option("config.file", &file.display().to_string()),
            option(
                "storage.tsdb.path",
                &folder.path().join("data").display().to_string(),
            ),
            option("web.listen-address", &format!("127.0.0.1:{}", port.number())),
            // An alert that still fires is sent again soon, so that the receiver knows what has ended.
            option("rules.alert.resend-delay", &every),
        ]);
        let child = Child::spawn(spec)?;
        let prometheus = Self {
            child,
            port,
            receiver,
            _folder: folder,
        };
        let ready = prometheus.url().join("-/ready")?;
        let outcome = wait::until("Prometheus ready", READY_LIMIT, async || {
            ensure!(prometheus.child.is_running(), "Prometheus ended");
            let answer = http_get(ready.clone()).await;
            Ok(answer.ok().filter(|(status, _)| *status == 200).map(|_| ()))
        });
        outcome.await.with_context(|| prometheus.child.log_tail())?;
        Ok(prometheus)
    }

    /// The root of its web pages.
    pub fn url(&self) -> Url {
        let mut url = Url::parse("http://127.0.0.1").unwrap_or_else(|_| unreachable!("a constant"));
        let _ = url.set_port(Some(self.port.number()));
        url
    }

    /// The result of an expression now: a list of series.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut url = self.url().join("api/v1/query")?;
        url.query_pairs_mut().append_pair("query", expression);
        let (status, body) = http_get(url).await?;
        let answer: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        ensure!(status == 200, "{expression}: {status}: {answer}");
        let series = answer["data"]["result"].as_array();
        Ok(series.with_context(|| format!("{expression}: {answer}"))?.clone())
    }

    /// The names of the alerts that fire, as the receiver got them.
    pub fn firing(&self) -> Vec<String> {
        self.receiver.firing()
    }

    /// Every alert that the receiver has got since it was last asked, by name.
    pub fn received(&self) -> Vec<String> {
        self.receiver.received()
    }
}

impl Stack {
    /// The targets in this system, as of a release of this full name. `metrics_port`: where the first API server has its
    /// metrics, if not with the API.
    pub fn targets(&self, fullname: &str, metrics_port: Option<u16>) -> Vec<Target> {
        let target = |job: &str, pod: &str, port: Option<u16>| Target {
            job: format!("{fullname}-{job}"),
            pod: pod.to_owned(),
            address: format!("{}:{}", Ipv4Addr::LOCALHOST, port.unwrap_or_default()),
        };
        let operators = self
            .operators
            .iter()
            .map(|service| target("operator", service.name(), service.url().port()));
        let api_servers = self.api_servers.iter().enumerate().map(|(number, service)| {
            let own = metrics_port.filter(|_| number == 0);
            target("api", service.name(), own.or(service.url().port()))
        });
        operators.chain(api_servers).collect()
    }
}
