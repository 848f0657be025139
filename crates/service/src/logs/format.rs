//! The two formats of a log line, for `tracing_subscriber`'s `fmt` layer.

use std::fmt;

use jiff::Zoned;
use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, format::Writer},
    registry::{LookupSpan, Scope},
};

use super::{
    ACCESS_TARGET, Format, NOTICE_TARGET,
    fields::{Fields, Unformatted},
};

/// Writes an event, with the fields of the spans around it, as one line.
pub(super) struct LineFormat {
    /// The component of events that do not name their own.
    pub(super) component: &'static str,
    pub(super) format: Format,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, Unformatted> for LineFormat {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Unformatted>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend_from_slice(&of_span.0);
            }
        }
        event.record(&mut fields);
        let component = fields.take("component").unwrap_or(self.component.into());
        let origin = fields.take("origin").unwrap_or_else(|| module_of(event));
        let message = fields.take("message").unwrap_or_default();
        let (level, now) = (level_of(event), Zoned::now());
        if self.format == Format::Json {
            let time = format!("{:.3}", now.timestamp());
            let mut object = Map::from_iter(
                [
                    ("time", time.as_str()),
                    ("level", level),
                    ("component", &component),
                    ("origin", &origin),
                    ("message", &message),
                ]
                .map(|(name, text)| (name.to_owned(), text.into())),
            );
            object.extend(fields.0.into_iter().map(|(name, value)| (name.to_owned(), value)));
            return writeln!(writer, "{}", Value::Object(object));
        }
        let (time, millis) = (now.strftime("%Y-%m-%d %H:%M:%S"), now.millisecond());
        let message = escaped(&message);
        write!(
            writer,
            "{time},{millis:03} {level} {component} - {origin} - {message}"
        )?;
        for (name, value) in &fields.0 {
            match value {
                Value::String(text) if text.contains([' ', '"', '\n']) => {
                    write!(writer, " {name}={}", escaped(&format!("{text:?}")))?;
                }
                Value::String(text) => write!(writer, " {name}={}", escaped(text))?,
                other => write!(writer, " {name}={other}")?,
            }
        }
        writeln!(writer)
    }
}

fn level_of(event: &Event<'_>) -> &'static str {
    let metadata = event.metadata();
    match *metadata.level() {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO if matches!(metadata.target(), NOTICE_TARGET | ACCESS_TARGET) => "NOTICE",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

/// Text with line breaks, other control characters and backslash escapes made visible, so that no value can start a line
/// of its own or control a terminal.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => escaped.extend(character.escape_default()),
            // Line and paragraph separators break lines for some readers of logs.
            control if control.is_control() || matches!(control, '\u{2028}' | '\u{2029}') => {
                escaped.extend(control.escape_unicode());
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// The module that logs, without its crate: `steps.record`.
fn module_of(event: &Event<'_>) -> String {
    let path = event.metadata().module_path().unwrap_or("unknown");
    let module = path.split_once("::").map_or(path, |(_, module)| module);
    module.replace("::", ".")
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt, layer::SubscriberExt};

    use super::{super::fields::KeepSpanFields, *};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let to = sink.clone();
        let component = "operator";
        let layer = fmt::layer()
            .fmt_fields(Unformatted)
            .event_format(LineFormat { component, format })
            .with_writer(move || to.clone());
        let subscriber = tracing_subscriber::registry().with(KeepSpanFields).with(layer);
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_line_has_the_format_of_the_existing_service() {
        let line = logged(Format::Text, || {
            let _span = tracing::info_span!("request", request_id = "r-1").entered();
            crate::notice!(
                component = "frontend",
                origin = "arxiv.search",
                "search(author=None, title=\"Buda\npest\"): called"
            );
        });
        let (time, rest) = line.split_at("2024-05-06 18:58:09,788".len());
        assert!(
            time.as_bytes()[10] == b' ' && time.as_bytes()[19] == b',',
            "{time}"
        );
        assert_eq!(
            rest,
            " NOTICE frontend - arxiv.search - search(author=None, title=\"Buda\\npest\"): called request_id=r-1\n"
        );
    }

    #[test]
    fn value_with_line_breaks_stays_on_one_line() {
        let line = logged(Format::Text, || {
            tracing::warn!(value = "a\r\nb\u{1b}[2J\u{2028}", "broken");
        });
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains(['\r', '\u{1b}', '\u{2028}']), "{line}");
        assert!(
            line.contains(" WARN operator - logs.format.tests - broken value="),
            "{line}"
        );
    }

    #[test]
    fn json_line_is_one_object() {
        let line = logged(Format::Json, || {
            let span = tracing::info_span!("request", request_id = "r-1", user = tracing::field::Empty);
            span.record("user", "u");
            let _entered = span.entered();
            tracing::info!(rows = 3, "two\nlines");
        });
        assert_eq!(line.lines().count(), 1);
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["level"], "INFO");
        assert_eq!(object["message"], "two\nlines");
        assert_eq!(object["rows"], 3);
        assert_eq!(object["component"], "operator");
        assert_eq!(object["request_id"], "r-1");
        assert_eq!(object["user"], "u");
    }

    #[test]
    fn error_field_shows_all_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("the database is not available")]
        struct Outer(#[source] Middle);
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect: {0}")]
        struct Middle(#[source] io::Error);

        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "Connection\nrefused");
        let error = Outer(Middle(refused));
        let line = logged(Format::Text, || {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed");
        });
        let shown = r#" - failed error="the database is not available: cannot connect: Connection\nrefused""#;
        assert!(line.trim_end().ends_with(shown), "{line}");
    }
}
