//! Traces of OpenTelemetry, sent to a collector by OTLP over HTTP. Off unless an endpoint is configured.
//!
//! All spans of this project are those of `tracing`, at the most urgent level, so that no log level removes them. Events
//! are not part of traces: their texts stay in the logs.

mod export;
mod settings;
mod spans;

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SdkTracerProvider},
};
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use self::{export::CollectorClient, settings::TraceSettings};
pub use self::{
    settings::HELP,
    spans::{are_on, failed, link, place_of, set, set_parent},
};
use crate::settings::{Environment, SettingError};

/// How long the end of a process waits for its last spans.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Spans that are only for the log.
const NOT_TRACED: [&str; 2] = ["probe", "retry"];

/// The traces of this process.
pub struct Traces {
    /// None while they are off.
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// Starts sending, if the environment names an endpoint. `service` is the name of this process, unless the environment
    /// has another one. Must be called within the runtime, which sends the spans.
    pub fn start(service: &'static str, environment: &Environment) -> Result<Self, SettingError> {
        let Some(settings) = TraceSettings::read(environment)? else {
            return Ok(Self::off());
        };
        let client = CollectorClient::new(
            tokio::runtime::Handle::current(),
            settings.certificates,
            settings.timeout,
        );
        let exporter = export::exporter(client)
            .map_err(|error| SettingError::invalid("OTEL_EXPORTER_OTLP_ENDPOINT", error))?;
        let name = settings.service_name.unwrap_or_else(|| service.to_owned());
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name(name).build())
            .with_sampler(settings.sampler)
            // A queue of limited length before a thread of its own: what does not fit is dropped.
            .with_span_processor(BatchSpanProcessor::builder(exporter).build())
            .build();
        spans::turn_on();
        Ok(Self {
            provider: Some(provider),
        })
    }

    /// No traces.
    pub fn off() -> Self {
        Self { provider: None }
    }

    /// The layer that makes spans parts of traces.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + Send + Sync + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let provider = self.provider.as_ref()?;
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("arxiv-operator"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && !NOT_TRACED.contains(&metadata.name())
            }));
        Some(layer)
    }

    /// Sends what is left, for a short time.
    pub async fn end(self) {
        let Some(provider) = self.provider else { return };
        // It waits for the thread of the exporter. A failure was logged there.
        let ended = move || provider.shutdown_with_timeout(LAST_EXPORT);
        let _ = tokio::task::spawn_blocking(ended).await;
    }
}
