//! The source of settings.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fs,
};

use super::SettingError;

/// The longest file with a secret.
const MAX_SECRET_BYTES: usize = 64 * 1024;

/// The environment variables of this process, or those of a test.
#[derive(Clone)]
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

    /// The variables whose names begin with one of these.
    pub(super) fn beginning_with(&self, beginnings: &[&str]) -> Self {
        let is_one = |name: &str| beginnings.iter().any(|beginning| name.starts_with(beginning));
        let variables = self
            .0
            .iter()
            .filter(|(name, _)| name.to_str().is_some_and(is_one));
        Self(
            variables
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    /// The files that settings are in, by the names of their variables without this beginning.
    pub(super) fn files(&self, beginning: &str) -> BTreeMap<String, String> {
        let names = self.0.keys().filter_map(|name| name.to_str());
        let files = names.filter_map(|name| {
            let part = name.strip_prefix(beginning)?.strip_suffix("_FILE")?;
            // A certificate is read by the connection, from its file.
            (part != "CA").then(|| Some((part.to_owned(), self.get(name)?)))?
        });
        files.collect()
    }
}

/// A setting from `NAME`, or from the file that `NAME_FILE` names (trailing line breaks are not part of it).
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
        SettingError::unreadable(&file_name, problem)
    })?;
    if text.len() > MAX_SECRET_BYTES {
        return Err(SettingError::invalid(&file_name, "is too long for a secret"));
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(SettingError::unreadable(&file_name, "is empty"));
    }
    Ok(Some(text.to_owned()))
}
