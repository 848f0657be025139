//! A call with its parameters, written as the existing service's users know it:
//! `search(author=None, title="Budapest", max_results=1)`.

use std::fmt::{self, Write};

/// Characters of a text argument that are shown.
const SHOWN: usize = 600;

/// A call to be logged: its name and its parameters in order.
#[derive(Debug)]
pub struct Call {
    name: &'static str,
    text: String,
    any: bool,
}

impl Call {
    /// A call of this name without parameters so far.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            text: format!("{name}("),
            any: false,
        }
    }

    /// The name of what is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs an internal call of `module`: logs it at INFO before, and at DEBUG after it what it returned, as `shown`
    /// writes it. An error is not logged here: its caller reports it.
    pub async fn run<T, E, D: fmt::Display>(
        self,
        component: &'static str,
        module: &'static str,
        inner: impl Future<Output = Result<T, E>>,
        shown: impl FnOnce(&T) -> D,
    ) -> Result<T, E> {
        let origin = format!("{module}.{}", self.name);
        tracing::info!(component, origin, "{self}: called");
        let returned = inner.await?;
        tracing::debug!(component, origin, "{self}: returning {}", shown(&returned));
        Ok(returned)
    }

    /// Adds a parameter.
    #[must_use]
    pub fn arg(mut self, name: &str, value: impl Argument) -> Self {
        let separator = if self.any { ", " } else { "" };
        // Writing into a String cannot fail.
        let _ = write!(self.text, "{separator}{name}=");
        value.write(&mut self.text);
        self.any = true;
        self
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{})", self.text)
    }
}

/// A value that can be an argument of a [`Call`].
pub trait Argument {
    /// Appends the value as it is shown.
    fn write(self, text: &mut String);
}

impl Argument for &str {
    fn write(self, text: &mut String) {
        text.push('"');
        for character in self.chars().take(SHOWN) {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push_str(if self.chars().nth(SHOWN).is_some() {
            "…\""
        } else {
            "\""
        });
    }
}

impl Argument for &String {
    fn write(self, text: &mut String) {
        self.as_str().write(text);
    }
}

impl<T: Argument> Argument for Option<T> {
    fn write(self, text: &mut String) {
        match self {
            Some(value) => value.write(text),
            None => text.push_str("None"),
        }
    }
}

macro_rules! plain_arguments {
    ($($kind:ty),+) => { $(
        impl Argument for $kind {
            fn write(self, text: &mut String) {
                let _ = write!(text, "{self}");
            }
        }
    )+ };
}
plain_arguments!(i16, i32, i64, u16, u32, u64, usize);

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
