//! The settings of traces: the standard environment variables of OpenTelemetry.

use std::{path::PathBuf, time::Duration};

use opentelemetry_sdk::trace::Sampler;

use crate::settings::{Environment, SettingError};

/// The environment variables, for `--help`.
pub const HELP: &str = "\
Traces of OpenTelemetry (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables):
  OTEL_EXPORTER_OTLP_ENDPOINT   the collector, such as http://collector:4318; traces are off without it
  OTEL_EXPORTER_OTLP_HEADERS    headers for it, such as a token
  OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_EXPORTER_OTLP_TIMEOUT
                                a file with further certificate authorities; the time limit, in milliseconds
  OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_*";

const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const CERTIFICATES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
];
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
/// The standard's.
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_mins(1);

/// How spans are sampled and sent. The exporter itself reads endpoint and headers.
#[derive(Debug)]
pub(super) struct TraceSettings {
    pub(super) service_name: Option<String>,
    pub(super) sampler: Sampler,
    pub(super) certificates: Option<PathBuf>,
    pub(super) timeout: Duration,
}

impl TraceSettings {
    /// None if traces are off.
    pub(super) fn read(environment: &Environment) -> Result<Option<Self>, SettingError> {
        let first = |names: [&'static str; 2]| {
            let mut found = names.into_iter();
            found.find_map(|name| Some((name, environment.get(name)?)))
        };
        let is_off = environment
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || environment.get("OTEL_TRACES_EXPORTER").as_deref() == Some("none");
        if is_off || first(ENDPOINTS).is_none() {
            return Ok(None);
        }
        if let Some((name, protocol)) = first(PROTOCOLS)
            && protocol != "http/protobuf"
        {
            return Err(SettingError::invalid(name, "must be http/protobuf"));
        }
        let timeout = first(TIMEOUTS)
            .map(|(name, text)| timeout(name, &text))
            .transpose()?;
        Ok(Some(Self {
            service_name: environment.get("OTEL_SERVICE_NAME"),
            sampler: sampler(environment)?,
            certificates: first(CERTIFICATES).map(|(_, path)| path.into()),
            timeout: timeout.unwrap_or(TIMEOUT),
        }))
    }
}

fn timeout(name: &str, text: &str) -> Result<Duration, SettingError> {
    let millis = text.trim().parse().ok().map(Duration::from_millis);
    let millis = millis.filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST_TIMEOUT);
    millis.ok_or_else(|| SettingError::invalid(name, "must be milliseconds, at most 60000"))
}

/// Refuses what it does not know: the library would record every trace then.
fn sampler(environment: &Environment) -> Result<Sampler, SettingError> {
    let ratio = || match environment.get(SAMPLER_ARG) {
        None => Ok(1.0),
        Some(text) => {
            let ratio = text.trim().parse().ok();
            let ratio = ratio.filter(|ratio: &f64| (0.0..=1.0).contains(ratio));
            ratio.ok_or_else(|| SettingError::invalid(SAMPLER_ARG, "must be a number from 0 to 1"))
        }
    };
    let by_parent = |root| Ok(Sampler::ParentBased(Box::new(root)));
    match environment.get(SAMPLER).as_deref() {
        None | Some("parentbased_always_on") => by_parent(Sampler::AlwaysOn),
        Some("parentbased_always_off") => by_parent(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => by_parent(Sampler::TraceIdRatioBased(ratio()?)),
        Some("always_on") => Ok(Sampler::AlwaysOn),
        Some("always_off") => Ok(Sampler::AlwaysOff),
        Some("traceidratio") => Ok(Sampler::TraceIdRatioBased(ratio()?)),
        Some(_) => Err(SettingError::invalid(
            SAMPLER,
            "must be always_on, always_off, traceidratio, or one of these with parentbased_ before it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    fn read(pairs: &[(&str, &str)]) -> Result<Option<TraceSettings>, SettingError> {
        TraceSettings::read(&Environment::given(pairs.iter().copied()))
    }

    #[test]
    fn traces_are_off_without_an_endpoint_or_where_they_are_disabled() {
        for pairs in [
            &[][..],
            &[("OTEL_TRACES_SAMPLER", "nonsense")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "true")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(read(pairs).unwrap().is_none(), "{pairs:?}");
        }
    }

    #[test]
    fn sampler_is_that_of_the_standard_name() {
        for (name, argument, expected) in [
            ("", "", "ParentBased(AlwaysOn)"),
            ("always_off", "", "AlwaysOff"),
            ("traceidratio", "0.25", "TraceIdRatioBased(0.25)"),
            (
                "parentbased_traceidratio",
                "0.5",
                "ParentBased(TraceIdRatioBased(0.5))",
            ),
        ] {
            let settings = read(&[ENDPOINT, (SAMPLER, name), (SAMPLER_ARG, argument)]);
            assert_eq!(format!("{:?}", settings.unwrap().unwrap().sampler), expected);
        }
    }

    #[test]
    fn invalid_settings_are_refused_by_name() {
        for (name, value) in [
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ] {
            let error = read(&[ENDPOINT, (name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
        let error = read(&[ENDPOINT, (SAMPLER, "traceidratio"), (SAMPLER_ARG, "2")]);
        assert!(error.unwrap_err().to_string().starts_with(SAMPLER_ARG));
    }
}
