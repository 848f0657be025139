//! The environment of integration tests: the whole system, clients of its API and of Kubernetes, and the checks that
//! tests of several crates need.
//!
//! Like a test itself, everything here panics when an expectation does not hold ([`TestEnv::try_start`] does not).
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod admission;
mod api;
mod metrics;
mod queries;
mod rows;
mod server_only;
mod waiting;
mod webhooks;

use anyhow::Result;
use crd::ArxivQuery;
use kube::Api;

pub use admission::Policy;
pub use api::{error_of, http_client, json_body, problems};
pub use queries::search;
pub use rows::{EMPTY, SEED};
pub use server_only::ServerOnly;
pub use waiting::{LIMIT, eventually, within, within_one_arxiv_day};
pub use webhooks::WEBHOOK_SECRET;

use crate::Postgres;
use crate::stack::{Options, Service, Stack};

/// A running system, with an HTTP client and the admin's Kubernetes client.
#[allow(missing_debug_implementations, reason = "a Kubernetes client has none")]
pub struct TestEnv {
    /// The processes.
    pub stack: Stack,
    /// Follows no redirect and uses no proxy.
    pub http: reqwest::Client,
    /// A client with the rights of a cluster administrator.
    pub kube: kube::Client,
    /// The `ArxivQuery` objects of the stack's namespace.
    pub queries: Api<ArxivQuery>,
}

impl TestEnv {
    /// Starts the system and waits until it is ready.
    pub async fn start(options: Options) -> Self {
        Self::try_start(options).await.expect("the system starts")
    }

    /// [`TestEnv::start`] for programs that report errors.
    pub async fn try_start(options: Options) -> Result<Self> {
        let http = http_client();
        let stack = Stack::start(options).await?;
        let kube = stack.control_plane().client().await?;
        let queries = Api::namespaced(kube.clone(), stack.namespace());
        Ok(Self {
            stack,
            http,
            kube,
            queries,
        })
    }

    /// Starts the system for tests of the API server, with these environment variables added.
    pub async fn for_api(environment: &[(&str, &str)]) -> Self {
        Self::for_api_with(Options::default(), environment).await
    }

    /// [`TestEnv::for_api`] with other options (their environment variables are replaced). The cool-down is so short that
    /// a throttled test does not delay the next one, and a search waits almost as long as the HTTP client does.
    pub async fn for_api_with(options: Options, environment: &[(&str, &str)]) -> Self {
        let environment = [("COOLDOWN_BASE_MS", "1"), ("ARXIV_WAIT_MS", "50000")]
            .iter()
            .chain(environment)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::start(Options {
            environment,
            ..options
        })
        .await
    }

    /// The first operator.
    pub fn operator(&self) -> &Service {
        &self.stack.operators[0]
    }

    /// The primary of the database.
    pub fn primary(&self) -> &Postgres {
        &self.stack.databases.primary
    }

    /// The last log lines of all operators, for messages of failed tests.
    pub fn operator_logs(&self) -> String {
        self.stack
            .operators
            .iter()
            .map(|operator| operator.child().log_tail())
            .collect()
    }

    /// The whole log of the first API server.
    pub fn api_server_log(&self) -> String {
        std::fs::read_to_string(self.stack.api_servers[0].child().log()).expect("a log")
    }
}
