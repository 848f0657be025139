//! Settings that come from the environment in several forms: database addresses and secrets.

mod command_line;
mod database;
mod environment;
mod keywords;

pub use command_line::command_line;
pub use database::{DatabaseUrl, database_url};
pub use environment::{Environment, secret};

/// A setting that cannot be used. Names the setting, never its value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingError {
    /// The setting is set and cannot be read.
    #[error("{name}: {problem}")]
    Invalid {
        /// The environment variable.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two forms of one setting are set.
    #[error("{first} and {second} are both set; keep one of them")]
    Ambiguous {
        /// One environment variable.
        first: String,
        /// The other one.
        second: String,
    },
    /// A setting that is needed is not set.
    #[error("{name} is not set; {purpose}")]
    Missing {
        /// The environment variable.
        name: String,
        /// What it is needed for.
        purpose: String,
    },
}

impl SettingError {
    /// That `name` cannot be used: `problem` completes "NAME: …".
    pub fn invalid(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid {
            name: name.into(),
            problem: problem.into(),
        }
    }

    /// That `name` is needed: `purpose` completes "… is not set; ".
    pub fn missing(name: impl Into<String>, purpose: impl Into<String>) -> Self {
        Self::Missing {
            name: name.into(),
            purpose: purpose.into(),
        }
    }
}
