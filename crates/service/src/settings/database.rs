//! A database address in any of its usual forms, as one `postgresql://` URL.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{Environment, SettingError, environment::secret, keywords};

/// The characters that are percent-encoded in the parts of a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The port of PostgreSQL.
pub(super) const DEFAULT_PORT: &str = "5432";

/// A `postgresql://` URL with its credentials. `Debug` shows neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Url);

impl DatabaseUrl {
    /// Reads a URL; the schemes `postgres`, `postgresql` and `postgresql+DRIVER` (as `SQLAlchemy` writes it) mean the same.
    pub fn parse(name: &str, text: &str) -> Result<Self, SettingError> {
        let invalid = |problem: &str| SettingError::invalid(name, problem);
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or_else(|| invalid("is not a URL like postgresql://user:password@host/database"))?;
        if !matches!(scheme.split('+').next(), Some("postgres" | "postgresql")) {
            return Err(invalid("must start with postgresql://"));
        }
        let url = Url::parse(&format!("postgresql://{rest}"))
            .map_err(|error| invalid(&format!("is not a URL: {error}")))?;
        let socket = url.query_pairs().any(|(key, _)| key == "host");
        if url.host_str().is_none_or(str::is_empty) && !socket {
            return Err(invalid("names no host"));
        }
        Ok(Self(url))
    }

    /// The whole URL, with its password: for the connection only, never for a log.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether both name the same database of the same server (host and port), so that one transaction can span them.
    pub fn same_database(&self, other: &Self) -> bool {
        self.0.host_str() == other.0.host_str()
            && self.0.port() == other.0.port()
            && self.0.path() == other.0.path()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, path) = (self.0.host_str().unwrap_or_default(), self.0.path());
        write!(f, "DatabaseUrl({host}{path})")
    }
}

/// The database that the variables with this prefix (such as `DATABASE_RW`) describe, or none.
///
/// Forms, of which at most one may be set: `PREFIX_URL`; `PREFIX_STRING` (libpq's `host=… dbname=…`); or parts:
/// `PREFIX_HOST`, `PREFIX_NAME`, `PREFIX_USER`, and optionally `PREFIX_PORT`, `PREFIX_PASSWORD` or
/// `PREFIX_PASSWORD_FILE`. A password that is set in addition to a URL or string without one is put into it.
pub fn database_url(environment: &Environment, prefix: &str) -> Result<Option<DatabaseUrl>, SettingError> {
    let name = |part: &str| format!("{prefix}_{part}");
    let forms = ["URL", "STRING", "HOST"].map(|form| (name(form), environment.get(&name(form))));
    let mut set = forms.into_iter().filter_map(|(form, value)| Some((form, value?)));
    let Some((form, value)) = set.next() else {
        return Ok(None);
    };
    if let Some((second, _)) = set.next() {
        return Err(SettingError::ambiguous(&form, &second));
    }
    let password = secret(environment, &name("PASSWORD"))?;
    let text = if form == name("URL") {
        value
    } else if form == name("STRING") {
        keywords::to_url(&value).map_err(|problem| SettingError::invalid(&form, problem))?
    } else {
        let needed = |part: &str| {
            let purpose = format!("it goes with {form}");
            let missing = || SettingError::missing(&name(part), &purpose);
            environment.get(&name(part)).ok_or_else(missing)
        };
        let port = environment.get(&name("PORT"));
        let port = port.as_deref().unwrap_or(DEFAULT_PORT);
        join(&value, port, &needed("USER")?, None, &needed("NAME")?, &[])
    };
    let mut url = DatabaseUrl::parse(&form, &text)?;
    if let Some(password) = password {
        if url.0.password().is_some() {
            return Err(SettingError::ambiguous(&form, &name("PASSWORD")));
        }
        let encoded = utf8_percent_encode(&password, ENCODED).to_string();
        let put = url.0.set_password(Some(&encoded));
        put.map_err(|()| SettingError::invalid(&form, "names no host that a password could go with"))?;
    }
    Ok(Some(url))
}

/// The URL of these parts, each encoded. A host with colons is an IPv6 address; one with a slash a socket's folder.
pub(super) fn join(
    host: &str,
    port: &str,
    user: &str,
    password: Option<&str>,
    database: &str,
    options: &[(String, String)],
) -> String {
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let options = options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let socket = Some(("host", host)).filter(|_| host.starts_with('/'));
    let parameters: Vec<_> = options
        .chain(socket)
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    let host = if socket.is_some() {
        "localhost"
    } else if host.contains(':') && !host.starts_with('[') {
        &format!("[{host}]")
    } else {
        host
    };
    let (user, database) = (encode(user), encode(database));
    let password = password.map(|password| format!(":{}", encode(password)));
    let password = password.unwrap_or_default();
    let mark = if parameters.is_empty() { "" } else { "?" };
    let query = parameters.join("&");
    format!("postgresql://{user}{password}@{host}:{port}/{database}{mark}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<String>, SettingError> {
        let environment = Environment::given(pairs.iter().copied());
        database_url(&environment, "DB").map(|url| url.map(|url| url.as_str().to_owned()))
    }

    #[test]
    fn each_form_is_read_as_url() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (
                &[("DB_URL", "postgresql+asyncpg://u:p@h/d")],
                "postgresql://u:p@h/d",
            ),
            (
                &[("DB_URL", "postgres://u:p%40x@h:6000/d?sslmode=require")],
                "postgresql://u:p%40x@h:6000/d?sslmode=require",
            ),
            (
                &[("DB_URL", "postgresql://u@h/d"), ("DB_PASSWORD", "a/b c")],
                "postgresql://u:a%2Fb%20c@h/d",
            ),
            (
                &[("DB_STRING", "host=h port=6000 dbname=d user=u password=p")],
                "postgresql://u:p@h:6000/d",
            ),
            (
                &[("DB_STRING", r"host=h dbname=d user=u password='it\'s a @'")],
                "postgresql://u:it%27s%20a%20%40@h:5432/d",
            ),
            (
                &[("DB_STRING", "dbname=d user=u host=h sslmode=require")],
                "postgresql://u@h:5432/d?sslmode=require",
            ),
            (
                &[
                    ("DB_HOST", "h"),
                    ("DB_USER", "u"),
                    ("DB_NAME", "d"),
                    ("DB_PASSWORD", "p"),
                ],
                "postgresql://u:p@h:5432/d",
            ),
            (
                &[
                    ("DB_HOST", "::1"),
                    ("DB_PORT", "6000"),
                    ("DB_USER", "u"),
                    ("DB_NAME", "d"),
                ],
                "postgresql://u@[::1]:6000/d",
            ),
            (
                &[("DB_HOST", "/run/pg"), ("DB_USER", "u"), ("DB_NAME", "d")],
                "postgresql://u@localhost:5432/d?host=%2Frun%2Fpg",
            ),
        ];
        for (pairs, expected) in cases {
            assert_eq!(
                read(pairs).expect("readable").as_deref(),
                Some(*expected),
                "{pairs:?}"
            );
        }
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("DB_URL", "")]), Ok(None));
    }

    #[test]
    fn error_names_the_setting_and_does_not_repeat_its_value() {
        let cases: &[&[(&str, &str)]] = &[
            &[("DB_URL", "mysql://u:hush@h/d")],
            &[("DB_URL", "hush")],
            &[("DB_URL", "postgresql://u:hush@/d")],
            &[("DB_URL", "postgresql://u:hush@h/d"), ("DB_STRING", "host=h")],
            &[("DB_URL", "postgresql://u:hush@h/d"), ("DB_PASSWORD", "hush")],
            &[("DB_STRING", "host=h password='hush")],
            &[("DB_STRING", "hush")],
            &[("DB_HOST", "h"), ("DB_PASSWORD", "hush")],
            &[
                ("DB_URL", "postgresql://u@h/d"),
                ("DB_PASSWORD_FILE", "/nowhere/hush"),
            ],
        ];
        for pairs in cases {
            let error = read(pairs).expect_err("refused").to_string();
            assert!(
                error.contains("DB_") && !error.contains("hush"),
                "{pairs:?}: {error}"
            );
        }
    }

    #[test]
    fn debug_shows_no_credentials() {
        let url = DatabaseUrl::parse("X", "postgresql://user:hush@h/d").expect("a URL");
        assert_eq!(format!("{url:?}"), "DatabaseUrl(h/d)");
    }
}
