//! Turns events, with the fields of the spans around them, into lines.

use std::io::Write;

use jiff::Zoned;
use tracing::{
    Event, Level, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    Format, NOTICE_TARGET,
    line::{Fields, Line},
};

pub(super) struct LineLayer<M> {
    component: &'static str,
    format: Format,
    writer: M,
}

impl<M> LineLayer<M> {
    pub(super) fn new(component: &'static str, format: Format, writer: M) -> Self {
        Self {
            component,
            format,
            writer,
        }
    }
}

impl<S, M, W> Layer<S> for LineLayer<M>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    M: Fn() -> W + 'static,
    W: Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.extend(of_span.clone());
            }
        }
        event.record(&mut fields);
        let line = Line {
            time: Zoned::now(),
            level: level_name(event),
            component: self.component,
            module: module_name(event),
            fields,
        };
        let line = match self.format {
            Format::Text => line.text(),
            Format::Json => line.json(),
        };
        // There is nowhere to report a log that cannot be written.
        let _ = (self.writer)().write_all(line.as_bytes());
    }
}

fn level_name(event: &Event<'_>) -> &'static str {
    let metadata = event.metadata();
    match *metadata.level() {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO if metadata.target() == NOTICE_TARGET => "NOTICE",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

/// The module that logs, without its crate: `steps.record`.
fn module_name(event: &Event<'_>) -> String {
    let path = event.metadata().module_path().unwrap_or("unknown");
    path.split_once("::")
        .map_or(path, |(_, module)| module)
        .replace("::", ".")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let to = sink.clone();
        let layer = LineLayer::new("operator", format, move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_text_line_looks_as_users_know_it() {
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
    fn a_value_cannot_start_a_line() {
        let line = logged(Format::Text, || {
            tracing::warn!(value = "a\r\nb\u{1b}[2J\u{2028}", "broken");
        });
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains(['\r', '\u{1b}', '\u{2028}']), "{line}");
        assert!(
            line.contains(" WARN operator - logs.layer.tests - broken value="),
            "{line}"
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = logged(Format::Json, || tracing::info!(rows = 3, "two\nlines"));
        assert_eq!(line.lines().count(), 1);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["level"], "INFO");
        assert_eq!(object["message"], "two\nlines");
        assert_eq!(object["rows"], 3);
        assert_eq!(object["component"], "operator");
    }
}
