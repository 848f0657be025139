//! One event as one line.

use std::fmt::{self, Write};

use jiff::Zoned;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

use super::escape::escaped;

/// The fields of an event or a span, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    pub(super) fn extend(&mut self, other: Fields) {
        self.0.extend(other.0);
    }

    /// Takes the last value of that name out; as text.
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().rposition(|(field, _)| *field == name)?;
        Some(match self.0.remove(at).1 {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), Value::String(format!("{value:?}"))));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.into()));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), value.into()));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }
}

/// What a line is made of.
pub(super) struct Line {
    pub(super) time: Zoned,
    pub(super) level: &'static str,
    pub(super) component: &'static str,
    pub(super) module: String,
    pub(super) fields: Fields,
}

impl Line {
    /// `2024-05-06 18:58:09,788 NOTICE frontend - arxiv.search - search(…): called request_id=…`, with a line break.
    pub(super) fn text(mut self) -> String {
        let time = self.time.strftime("%Y-%m-%d %H:%M:%S");
        let millis = self.time.subsec_nanosecond() / 1_000_000;
        let component = self.fields.take("component");
        let component = component.as_deref().unwrap_or(self.component);
        let origin = self.fields.take("origin").unwrap_or(self.module);
        let message = self.fields.take("message").unwrap_or_default();
        let mut line = format!(
            "{time},{millis:03} {} {component} - {origin} - {}",
            self.level,
            escaped(&message)
        );
        for (name, value) in &self.fields.0 {
            // Writing into a String cannot fail.
            let _ = match value {
                Value::String(text) if text.contains([' ', '"', '\n']) => {
                    write!(line, " {name}={}", escaped(&format!("{text:?}")))
                }
                Value::String(text) => write!(line, " {name}={}", escaped(text)),
                other => write!(line, " {name}={other}"),
            };
        }
        line.push('\n');
        line
    }

    /// One JSON object, with a line break.
    pub(super) fn json(mut self) -> String {
        let mut object = Map::new();
        let time = self.time.timestamp();
        object.insert("time".into(), format!("{time:.3}").into());
        object.insert("level".into(), self.level.into());
        object.insert(
            "component".into(),
            self.fields
                .take("component")
                .unwrap_or(self.component.into())
                .into(),
        );
        object.insert(
            "origin".into(),
            self.fields.take("origin").unwrap_or(self.module).into(),
        );
        object.insert(
            "message".into(),
            self.fields.take("message").unwrap_or_default().into(),
        );
        for (name, value) in self.fields.0 {
            object.insert(name.into(), value);
        }
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        line
    }
}
