//! The measured API server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::net::Port;
use testbed::process::{Child, Spec};
use testbed::stack::Databases;
use testbed::{http_get, wait};
use url::Url;

const READY_LIMIT: Duration = Duration::from_mins(1);

/// An API server process, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: Url,
    _port: Port,
}

impl Server {
    /// Starts one with its default settings.
    pub(crate) async fn start(program: &Path, log: &Path, databases: &Databases) -> Result<Self> {
        let port = Port::reserve()?;
        let url = Url::parse(&format!("http://127.0.0.1:{}", port.number()))?;
        let spec = Spec::new(program, log)
            .env("LISTEN", format!("127.0.0.1:{}", port.number()))
            .env("SERVE", "queries,results,get-sequence")
            .env("TIMEZONE_OFFSET", "0")
            // Log lines for requests would slow it down.
            .env("LOG_LEVEL", "WARN")
            .env("DATABASE_RO_URL", databases.ro_url())
            .env("DATABASE_SEQUENCE_URL", databases.sequence_url());
        let server = Self {
            child: Child::spawn(spec)?,
            url,
            _port: port,
        };
        let ready = wait::until("API server ready", READY_LIMIT, async || {
            anyhow::ensure!(server.child.is_running(), "the API server ended");
            let answer = http_get(server.url.join("/readyz")?).await;
            Ok(matches!(answer, Ok((200, _))).then_some(()))
        });
        ready.await.with_context(|| server.child.log_tail())?;
        Ok(server)
    }

    /// Its root URL.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The peak of its resident memory so far, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        Ok(self.child.memory()?.peak)
    }
}
