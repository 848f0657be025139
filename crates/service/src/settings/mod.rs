//! Settings that come from the environment in several forms: database addresses and secrets.

mod command_line;
mod database;
mod environment;
mod keywords;
mod tls;

pub use command_line::command_line;
pub use database::{DatabaseUrl, database_url};
pub use environment::{Environment, secret};

/// A setting that cannot be used. Names the setting, never its value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingError {
    /// The setting cannot be read, or is set in two forms.
    #[error("{0}")]
    Invalid(String),
    /// The file with the setting cannot be read now, or is empty: it may come later.
    #[error("{0}")]
    Unreadable(String),
    /// A setting that is needed is not set.
    #[error("{0}")]
    Missing(String),
}

impl SettingError {
    /// That `name` cannot be used: `problem` completes "NAME: …".
    pub fn invalid(name: &str, problem: impl std::fmt::Display) -> Self {
        Self::Invalid(format!("{name}: {problem}"))
    }

    /// The same, because of its file.
    fn unreadable(name: &str, problem: impl std::fmt::Display) -> Self {
        Self::Unreadable(format!("{name}: {problem}"))
    }

    /// That two forms of one setting are set.
    fn ambiguous(first: &str, second: &str) -> Self {
        Self::Invalid(format!("{first} and {second} are both set; keep one of them"))
    }

    /// That `name` is needed: `purpose` completes "… is not set; ".
    pub fn missing(name: &str, purpose: &str) -> Self {
        Self::Missing(format!("{name} is not set; {purpose}"))
    }
}
