//! How sessions begin: where the database is and who logs in is read for each of them, so that a password can be changed while
//! processes run.

use std::{
    error, fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sqlx::{PgConnection, postgres::PgConnectOptions};

use super::pool::{connect, options, set};
use crate::{StorageError, error::sqlstate};

/// The address of a database: a normalised `postgresql://` URL with its credentials.
#[derive(Clone)]
pub enum Address {
    /// It never changes.
    Fixed(Arc<str>),
    /// It is read for each new connection, such as from files. It may block, but not for long.
    Read(Arc<Read>),
}

/// How an address is read. An error is for the log and repeats no secret.
type Read = dyn Fn() -> Result<String, Box<dyn error::Error + Send + Sync>> + Send + Sync;

impl Address {
    async fn now(&self) -> Result<String, sqlx::Error> {
        let read = match self {
            Self::Fixed(url) => return Ok((**url).to_owned()),
            Self::Read(read) => Arc::clone(read),
        };
        let read = tokio::task::spawn_blocking(move || read()).await;
        read.map_err(|_| sqlx::Error::WorkerCrashed)?
            .map_err(sqlx::Error::Configuration)
    }
}

impl fmt::Debug for Address {
    /// Without the URL, which has the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

impl From<&str> for Address {
    fn from(url: &str) -> Self {
        Self::Fixed(url.into())
    }
}

impl From<&String> for Address {
    fn from(url: &String) -> Self {
        Self::Fixed(url.as_str().into())
    }
}

impl From<String> for Address {
    fn from(url: String) -> Self {
        Self::Fixed(url.into())
    }
}

/// Makes sessions of one kind.
pub(crate) struct Connector {
    address: Address,
    application_name: String,
    statement_cache: bool,
    /// Statements at the start of each session.
    settings: String,
    logins: Mutex<Logins>,
}

/// What is remembered of the logins: URLs with passwords.
#[derive(Default)]
struct Logins {
    /// The last one that succeeded.
    succeeded: Option<String>,
    /// The one that was read last, if its password was refused and not accepted since.
    refused: Option<String>,
    /// The last one of which this was logged.
    reported: Option<String>,
}

impl Connector {
    /// Fails if the URL cannot be used. What is read later is checked then.
    pub(crate) fn new(
        address: Address,
        application_name: &str,
        statement_cache: bool,
        settings: &[(&str, String)],
    ) -> Result<Self, StorageError> {
        if let Address::Fixed(url) = &address {
            options(url)?;
        }
        Ok(Self {
            address,
            application_name: application_name.to_owned(),
            statement_cache,
            settings: set(settings),
            logins: Mutex::default(),
        })
    }

    /// A new session. While the password that is read is refused, the one of the last login is tried too, and before it once
    /// that is known: a new password is in its file before the database knows it, or after.
    pub(crate) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let url = self.address.now().await?;
        let mut logins: Vec<String> = self.earlier(&url).into_iter().collect();
        let is_refused = self.logins().refused.as_deref() == Some(&*url);
        logins.insert(if is_refused { logins.len() } else { 0 }, url.clone());
        let mut refused = None;
        for login in logins {
            match self.login(&login).await {
                Ok(connection) => {
                    self.accepted(&url, &login);
                    return Ok(connection);
                }
                Err(error) if is_wrong_password(&error) => {
                    if login == url {
                        self.logins().refused = Some(url.clone());
                    }
                    refused = refused.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(sqlx::Error::PoolClosed))
    }

    /// That a login succeeded when this URL was read.
    fn accepted(&self, url: &str, login: &str) {
        let mut logins = self.logins();
        if url == login {
            logins.refused = None;
        } else if logins.reported.as_deref() != Some(url) {
            logins.reported = Some(url.to_owned());
            tracing::warn!(
                "the database refuses the new password; the earlier one is used while it is accepted"
            );
        }
        if logins.succeeded.as_deref() != Some(login) {
            logins.succeeded = Some(login.to_owned());
        }
    }

    /// Whether the password was refused at the last login: sessions that exist are worth keeping.
    pub(super) fn is_refused(&self) -> bool {
        self.logins().refused.is_some()
    }

    async fn login(&self, url: &str) -> Result<PgConnection, sqlx::Error> {
        connect(self.options(url)?, &self.settings).await
    }

    fn options(&self, url: &str) -> Result<PgConnectOptions, sqlx::Error> {
        let options = options(url).map_err(|error| sqlx::Error::Configuration(error.into()))?;
        let options = options.application_name(&self.application_name);
        if self.statement_cache {
            return Ok(options);
        }
        // A transaction pooler gives each transaction another session.
        Ok(options.statement_cache_capacity(0))
    }

    /// The last login to the same database, if it was another one.
    fn earlier(&self, url: &str) -> Option<String> {
        let earlier = self.logins().succeeded.clone()?;
        let database = |url: &str| {
            let options = options(url).ok()?;
            let database = options.get_database()?.to_owned();
            Some((options.get_host().to_owned(), options.get_port(), database))
        };
        (earlier != url && database(&earlier) == database(url)).then_some(earlier)
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a login failed because of its password (SQLSTATE 28P01).
pub(super) fn is_wrong_password(error: &sqlx::Error) -> bool {
    sqlstate(error).as_deref() == Some("28P01")
}
