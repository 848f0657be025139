//! A collector of OpenTelemetry, which writes what it receives to a file.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::GoTools;
use crate::TempDir;
use crate::net::Port;
use crate::process::{Child, Spec};

const COLLECTOR: GoTools = GoTools {
    name: "opentelemetry-collector",
    build_time: "about two minutes",
    go_mod: include_str!("../../collector/go.mod"),
    go_sum: include_str!("../../collector/go.sum"),
    main_go: include_str!("../../collector/main.go"),
    programs: &[("collector", "collector")],
    ..GoTools::DEFAULT
};

/// A running collector. Ends when dropped.
#[derive(Debug)]
pub struct Collector {
    child: Child,
    port: Port,
    spans: PathBuf,
    _folder: TempDir,
}

impl Collector {
    /// Starts one, which is built on first use.
    pub async fn start() -> Result<Self> {
        let built = tokio::task::spawn_blocking(|| COLLECTOR.ready()).await??;
        let folder = TempDir::new("collector")?;
        let port = Port::reserve()?;
        let spans = folder.path().join("spans.json");
        let config = folder.path().join("config.yaml");
        // Written as JSON, which is YAML too.
        let settings = serde_json::json!({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": format!("127.0.0.1:{}", port.number())}}}},
            "exporters": {"file": {"path": spans, "flush_interval": "100ms"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
            },
        });
        fs::write(&config, settings.to_string())?;
        let spec = Spec::new(built.join("collector"), folder.path().join("collector.log"));
        let child = Child::spawn(spec.arg("--config").arg(config.as_os_str()))?;
        Ok(Self {
            child,
            port,
            spans,
            _folder: folder,
        })
    }

    /// Where it receives OTLP over HTTP.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Its process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// All spans that it has received, each with the name of its service as `service`.
    pub fn spans(&self) -> Result<Vec<Value>> {
        let text = match fs::read_to_string(&self.spans) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        // The last line may be written at this moment.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut spans = Vec::new();
        for line in complete.lines() {
            let batch: Value = serde_json::from_str(line).context("a line of the collector")?;
            for of_resource in list(&batch, "resourceSpans") {
                let attributes = list(&of_resource["resource"], "attributes");
                let mut attributes = attributes.iter();
                let service = attributes.find(|attribute| attribute["key"] == "service.name");
                let service = service.map(|service| service["value"]["stringValue"].clone());
                for span in list(of_resource, "scopeSpans")
                    .iter()
                    .flat_map(|scope| list(scope, "spans"))
                {
                    let mut span = span.clone();
                    span["service"] = service.clone().unwrap_or_default();
                    spans.push(span);
                }
            }
        }
        Ok(spans)
    }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
