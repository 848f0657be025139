//! The source of settings.

use std::{collections::BTreeMap, fs};

use super::SettingError;

/// The longest file with a secret.
const MAX_SECRET_BYTES: usize = 64 * 1024;

/// The environment variables of this process, or those of a test.
pub struct Environment(Source);

enum Source {
    Process,
    Given(BTreeMap<String, String>),
}

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self(Source::Process)
    }

    /// Exactly these.
    pub fn given<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(Source::Given(
            pairs
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        ))
    }

    /// The value of a variable. An empty one counts as not set, since that is how compose files and charts unset.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match &self.0 {
            Source::Process => std::env::var(name).ok(),
            Source::Given(pairs) => pairs.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }
}

/// A secret from `NAME`, or from the file that `NAME_FILE` names (a trailing line break is not part of it).
///
/// # Errors
/// Both are set, or the file cannot be read.
pub fn secret(environment: &Environment, name: &str) -> Result<Option<String>, SettingError> {
    let file_name = format!("{name}_FILE");
    match (environment.get(name), environment.get(&file_name)) {
        (Some(_), Some(_)) => Err(SettingError::Ambiguous {
            first: name.into(),
            second: file_name,
        }),
        (Some(value), None) => Ok(Some(value)),
        (None, None) => Ok(None),
        (None, Some(path)) => {
            let text = fs::read_to_string(path).map_err(|error| {
                SettingError::invalid(&file_name, format!("cannot be read: {}", error.kind()))
            })?;
            if text.len() > MAX_SECRET_BYTES {
                return Err(SettingError::invalid(&file_name, "is too long for a secret"));
            }
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
    }
}
