//! A call with its parameters, written as the existing service's users know it:
//! `search(author=None, title="Budapest", max_results=1)`.

use std::fmt::{self, Write};

use serde::Serialize;
use serde_json::Value;

/// Characters of a text argument that are shown.
const SHOWN: usize = 600;

/// A call to be logged: its name and its parameters in order.
#[derive(Debug)]
pub struct Call {
    name: &'static str,
    text: String,
}

impl Call {
    /// A call of this name without parameters so far.
    pub fn new(name: &'static str) -> Self {
        // As long as most get.
        let mut text = String::with_capacity(96);
        text.push_str(name);
        text.push('(');
        Self { name, text }
    }

    /// The name of the called function.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs an internal call of `module`: logs it at INFO before, and at DEBUG after it what it returned, as `shown`
    /// writes it. An error is not logged here: its caller reports it.
    pub fn run<T, E, D: fmt::Display>(
        self,
        component: &'static str,
        module: &'static str,
        inner: impl Future<Output = Result<T, E>>,
        shown: impl FnOnce(&T) -> D,
    ) -> impl Future<Output = Result<T, E>> {
        // Boxed, as futures of database calls are large, and all futures that await this one would contain it.
        let inner = Box::pin(inner);
        async move {
            // Written only where the line is.
            let origin = || format!("{module}.{}", self.name);
            tracing::info!(component, origin = origin(), "{self}: called");
            let returned = inner.await?;
            tracing::debug!(
                component,
                origin = origin(),
                "{self}: returning {}",
                shown(&returned)
            );
            Ok(returned)
        }
    }

    /// Adds a parameter: a text, a number, or nothing.
    #[must_use]
    pub fn arg(mut self, name: &str, value: impl Serialize) -> Self {
        let separator = if self.text.ends_with('(') { "" } else { ", " };
        let value = match serde_json::to_value(value) {
            Ok(Value::String(text)) => quoted(&text),
            Ok(Value::Null) | Err(_) => "None".to_owned(),
            Ok(other) => other.to_string(),
        };
        // Writing into a String cannot fail.
        let _ = write!(self.text, "{separator}{name}={value}");
        self
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{})", self.text)
    }
}

fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    shown = shown.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{shown}{more}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_written_with_its_arguments() {
        let call = Call::new("search")
            .arg("author", None::<&str>)
            .arg("title", Some("Budapest \"a\" \\"))
            .arg("max_results", 1_u32);
        assert_eq!(
            call.to_string(),
            r#"search(author=None, title="Budapest \"a\" \\", max_results=1)"#
        );
        assert_eq!(Call::new("get_sequence").to_string(), "get_sequence()");
        let long = Call::new("f").arg("x", "y".repeat(5_000).as_str()).to_string();
        assert!(long.len() < 700 && long.ends_with("…\")"), "{long}");
    }
}
