//! The source of settings.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs,
};

use super::SettingError;

/// The longest file with a secret.
const MAX_SECRET_BYTES: usize = 64 * 1024;

/// The environment variables of this process, or those of a test.
pub struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Exactly these.
    pub fn given<K: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs = pairs.into_iter();
        Self(pairs.map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// The value of a variable. An empty one counts as not set, since that is how compose files and charts unset.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = self.0.get(OsStr::new(name))?.to_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    }
}

/// A secret from `NAME`, or from the file that `NAME_FILE` names (a trailing line break is not part of it).
pub fn secret(environment: &Environment, name: &str) -> Result<Option<String>, SettingError> {
    let file_name = format!("{name}_FILE");
    let (value, file) = (environment.get(name), environment.get(&file_name));
    if value.is_some() && file.is_some() {
        return Err(SettingError::ambiguous(name, &file_name));
    }
    let Some(path) = file else {
        return Ok(value);
    };
    let text = fs::read_to_string(path).map_err(|error| {
        let problem = format!("cannot be read: {}", error.kind());
        SettingError::invalid(&file_name, problem)
    })?;
    if text.len() > MAX_SECRET_BYTES {
        return Err(SettingError::invalid(&file_name, "is too long for a secret"));
    }
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}
