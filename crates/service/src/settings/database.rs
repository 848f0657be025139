//! A database address in any of its usual forms, as one `postgresql://` URL.

use std::{collections::BTreeMap, fmt, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{Environment, SettingError, environment::secret, keywords, tls};

/// The characters that are percent-encoded in the parts of a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The port of PostgreSQL.
pub(super) const DEFAULT_PORT: &str = "5432";

/// A `postgresql://` URL with its credentials, and the files that it was read from. `Debug` shows neither user nor password.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: Url,
    /// The settings, where some are in files.
    origin: Option<Arc<Origin>>,
}

struct Origin {
    environment: Environment,
    prefix: String,
    /// The files by what is in them.
    files: BTreeMap<String, String>,
}

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
        Ok(Self { url, origin: None })
    }

    /// The whole URL as it was at the start, with its password if that could be read: for the connection only, never for a log.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Whether a part of it is in a file, so that it may change.
    pub fn is_in_files(&self) -> bool {
        self.origin.is_some()
    }

    /// The whole URL as it is now: its files are read again.
    pub fn current(&self) -> Result<String, SettingError> {
        let Some(origin) = &self.origin else {
            return Ok(self.url.to_string());
        };
        let (environment, prefix) = (&origin.environment, &origin.prefix);
        let password = secret(environment, &format!("{prefix}_PASSWORD"))?;
        let url = read(environment, prefix, password.as_deref())?;
        Ok(url.as_ref().unwrap_or(&self.url).to_string())
    }

    /// Whether both name the same database of the same server (host and port), so that one transaction can span them.
    pub fn same_database(&self, other: &Self) -> bool {
        self.url.host_str() == other.url.host_str()
            && self.url.port() == other.url.port()
            && self.url.path() == other.url.path()
    }
}

impl PartialEq for DatabaseUrl {
    /// Whether they are the same now, and will be when a file changes.
    fn eq(&self, other: &Self) -> bool {
        let files = |url: &Self| url.origin.as_ref().map(|origin| origin.files.clone());
        self.url == other.url && files(self) == files(other)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, path) = (self.url.host_str().unwrap_or_default(), self.url.path());
        write!(f, "DatabaseUrl({host}{path})")
    }
}

/// The database that the variables with this prefix (such as `DATABASE_RW`) describe, or none.
///
/// Forms, of which at most one may be set: `PREFIX_URL`; `PREFIX_STRING` (libpq's `host=… dbname=…`); or parts:
/// `PREFIX_HOST`, `PREFIX_NAME`, `PREFIX_USER`, and optionally `PREFIX_PORT` and `PREFIX_PASSWORD`. A password that is set in
/// addition to a URL or string without one is put into it. Each may be in a file, which `…_FILE` names. How the server is
/// verified: see the module `tls`.
///
/// A password whose file cannot be read yet is none; [`DatabaseUrl::current`] reads it again.
pub fn database_url(environment: &Environment, prefix: &str) -> Result<Option<DatabaseUrl>, SettingError> {
    let password = match secret(environment, &format!("{prefix}_PASSWORD")) {
        Err(SettingError::Unreadable(_)) => None,
        password => password?,
    };
    let Some(url) = read(environment, prefix, password.as_deref())? else {
        return Ok(None);
    };
    let beginning = format!("{prefix}_");
    let files = environment.files(&beginning);
    let origin = (!files.is_empty()).then(|| {
        Arc::new(Origin {
            environment: environment.beginning_with(&[
                &beginning,
                "PGSSL",
                "DATABASE_SSLMODE",
                "DATABASE_CA_FILE",
            ]),
            prefix: prefix.to_owned(),
            files,
        })
    });
    Ok(Some(DatabaseUrl { url, origin }))
}

/// The URL of these settings as they are now.
fn read(
    environment: &Environment,
    prefix: &str,
    password: Option<&str>,
) -> Result<Option<Url>, SettingError> {
    let name = |part: &str| format!("{prefix}_{part}");
    let mut set = Vec::new();
    for form in ["URL", "STRING", "HOST"] {
        if let Some(value) = secret(environment, &name(form))? {
            set.push((name(form), value));
        }
    }
    let mut set = set.into_iter();
    let Some((form, value)) = set.next() else {
        return Ok(None);
    };
    if let Some((second, _)) = set.next() {
        return Err(SettingError::ambiguous(&form, &second));
    }
    let text = if form == name("URL") {
        value
    } else if form == name("STRING") {
        keywords::to_url(&value).map_err(|problem| SettingError::invalid(&form, problem))?
    } else {
        let needed = |part: &str| {
            let purpose = format!("it goes with {form}");
            let missing = || SettingError::missing(&name(part), &purpose);
            secret(environment, &name(part))?.ok_or_else(missing)
        };
        let port = secret(environment, &name("PORT"))?;
        let port = port.as_deref().unwrap_or(DEFAULT_PORT);
        join(&value, port, &needed("USER")?, None, &needed("NAME")?, &[])
    };
    let mut url = DatabaseUrl::parse(&form, &text)?.url;
    if let Some(password) = password {
        if url.password().is_some() {
            return Err(SettingError::ambiguous(&form, &name("PASSWORD")));
        }
        let encoded = utf8_percent_encode(password, ENCODED).to_string();
        let put = url.set_password(Some(&encoded));
        put.map_err(|()| SettingError::invalid(&form, "names no host that a password could go with"))?;
    }
    tls::complete(&mut url, environment, prefix)?;
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

    fn url_of(pairs: &[(&str, &str)]) -> Result<Option<String>, SettingError> {
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
                url_of(pairs).expect("readable").as_deref(),
                Some(*expected),
                "{pairs:?}"
            );
        }
        assert_eq!(url_of(&[]), Ok(None));
        assert_eq!(url_of(&[("DB_URL", "")]), Ok(None));
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
            &[("DB_URL_FILE", "/nowhere/hush")],
            &[
                ("DB_URL", "postgresql://u@h/d"),
                ("DB_PASSWORD", "hush"),
                ("DB_PASSWORD_FILE", "/nowhere/hush"),
            ],
        ];
        for pairs in cases {
            let error = url_of(pairs).expect_err("refused").to_string();
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

    #[test]
    fn files_are_read_again_whenever_the_url_is_asked_for() {
        let folder = std::env::temp_dir().join(format!("settings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (password, user) = (folder.join("password"), folder.join("user"));
        let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let environment = Environment::given([
            ("DB_HOST", "h".to_owned()),
            ("DB_NAME", "d".to_owned()),
            ("DB_USER_FILE", text(&user)),
            ("DB_PASSWORD_FILE", text(&password)),
        ]);
        // The address has to be known at the start.
        let error = database_url(&environment, "DB").unwrap_err();
        assert!(
            matches!(&error, SettingError::Unreadable(text) if text.starts_with("DB_USER_FILE: cannot be read")),
            "{error}"
        );
        std::fs::write(&user, "u\n").unwrap();
        // A password may come later.
        let url = database_url(&environment, "DB").unwrap().unwrap();
        assert_eq!(url.as_str(), "postgresql://u@h:5432/d");
        for (written, current) in [
            (None, Err("DB_PASSWORD_FILE: cannot be read: entity not found")),
            (Some("\n"), Err("DB_PASSWORD_FILE: is empty")),
            (Some("first\n"), Ok("postgresql://u:first@h:5432/d")),
            (Some(" a/b \r\n"), Ok("postgresql://u:%20a%2Fb%20@h:5432/d")),
        ] {
            if let Some(written) = written {
                std::fs::write(&password, written).unwrap();
            }
            let read = url.current().map_err(|error| error.to_string());
            assert_eq!(read, current.map(str::to_owned).map_err(str::to_owned));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
