//! The HTTP client: one connection for one request, closed when the request is over.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Proxy, redirect, retry};
use tokio::runtime;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{FetchError, Fetched, PageRequest, PendingRequest};

/// The settings of the client.
pub struct ClientSettings {
    /// The search endpoint.
    pub base: Url,
    /// The address of the people who run this client, which arXiv asks for. Sent in the User-Agent.
    pub contact: Option<String>,
    /// The time limit for all requests of one page: connections, redirects and bodies.
    pub timeout: Duration,
    /// The proxy for all requests; its URL may hold a user and password.
    pub proxy: Option<Url>,
    /// A PEM file of certificates to trust, in addition to those of the system.
    pub ca_bundle: Option<PathBuf>,
    /// The largest body that is read, in bytes.
    pub max_body: usize,
}

impl ClientSettings {
    /// The default of [`Self::max_body`]: a page of 2000 entries has about 5 MiB, with thousands of authors
    /// more.
    pub const DEFAULT_MAX_BODY: usize = 32 * 1024 * 1024;
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The contact cannot be sent in a header.
    #[error("the contact has characters that cannot be sent in a User-Agent")]
    Contact,
    /// The CA bundle cannot be read.
    #[error("the CA bundle cannot be read")]
    ReadCaBundle(#[source] io::Error),
    /// The CA bundle has no certificates in it, or broken ones.
    #[error("the CA bundle has no readable certificates")]
    CaBundle(#[source] Option<reqwest::Error>),
    /// The proxy cannot be used.
    #[error("the proxy's URL cannot be used")]
    Proxy(#[source] reqwest::Error),
    /// No provider of cryptography is installed in this process.
    #[error("no TLS crypto provider is installed")]
    NoCrypto,
    /// The client cannot be built, for example because the system has no certificates.
    #[error("the HTTP client cannot be built")]
    Build(#[source] reqwest::Error),
}

/// arXiv's API.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    timeout: Duration,
    max_body: usize,
}

impl Client {
    /// Builds a client; reads the CA bundle, connects to nothing.
    ///
    /// The process must have installed its rustls crypto provider before.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ClientError::NoCrypto);
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/atom+xml, application/xml;q=0.9"),
        );
        // A page of 2000 entries has 5 MiB, compressed a fifth of that.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let mut builder = reqwest::Client::builder()
            .user_agent(user_agent(settings.contact.as_deref())?)
            .default_headers(headers)
            .http1_only()
            // One connection at a time, and none of them idle.
            .pool_max_idle_per_host(0)
            // Every request needs its turn, so the client sends none by itself.
            .retry(retry::never())
            .redirect(redirect::Policy::none())
            .referer(false)
            // Only the proxy of the settings, not one of the environment.
            .no_proxy();
        if let Some(proxy) = settings.proxy {
            builder =
                builder.proxy(Proxy::all(proxy).map_err(|error| ClientError::Proxy(error.without_url()))?);
        }
        if let Some(path) = settings.ca_bundle {
            let pem = std::fs::read(path).map_err(ClientError::ReadCaBundle)?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| ClientError::CaBundle(Some(error)))?;
            if certificates.is_empty() {
                return Err(ClientError::CaBundle(None));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(Self {
            http: builder.build().map_err(ClientError::Build)?,
            base: settings.base,
            timeout: settings.timeout,
            max_body: settings.max_body,
        })
    }

    /// The first request for a page.
    pub fn pending(&self, request: &PageRequest) -> PendingRequest {
        PendingRequest::new(request.url(&self.base), request.count, self.timeout)
    }

    /// Makes one request. When this returns, its connection is closed, whatever the outcome.
    ///
    /// After `cancel` is cancelled it returns soon, with [`FetchError::Cancelled`] unless the request was
    /// over already. If the future is dropped, the connection is closed soon after; to know when, cancel and
    /// wait instead.
    ///
    /// Each request runs on its own runtime and thread, because a background task drives an HTTP connection:
    /// on a shared runtime there is no way to know when that task has dropped its socket, and arXiv wants no
    /// second connection before. A runtime that is shut down has no tasks left.
    pub async fn fetch(
        &self,
        pending: PendingRequest,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let cancel = cancel.child_token();
        let _cancel_when_dropped = cancel.clone().drop_guard();
        let http = self.http.clone();
        let max_body = self.max_body;
        let request = tokio::task::spawn_blocking(move || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(FetchError::NotSent)?;
            let outcome = runtime.block_on(cancel.run_until_cancelled_owned(pending.make(&http, max_body)));
            // Unlike a plain drop, this does not wait for a hanging name lookup; the tasks are dropped all
            // the same.
            runtime.shutdown_background();
            outcome.unwrap_or(Err(FetchError::Cancelled))
        });
        request
            .await
            .unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process is ending, and the request was never sent.
                Err(_) => Err(FetchError::Cancelled),
            })
    }
}

fn user_agent(contact: Option<&str>) -> Result<HeaderValue, ClientError> {
    let product = concat!("arxiv-operator/", env!("CARGO_PKG_VERSION"));
    let contact = contact.map(str::trim).filter(|contact| !contact.is_empty());
    let value = contact.map_or_else(|| product.to_owned(), |contact| format!("{product} (+{contact})"));
    // A comment ends at its parenthesis.
    if contact.is_some_and(|contact| contact.contains(['(', ')'])) {
        return Err(ClientError::Contact);
    }
    HeaderValue::from_str(&value).map_err(|_| ClientError::Contact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agent_has_the_contact() {
        let product = concat!("arxiv-operator/", env!("CARGO_PKG_VERSION"));
        let agent = |contact| {
            user_agent(contact)
                .map(|value| value.to_str().unwrap().to_owned())
                .ok()
        };
        assert_eq!(agent(None).as_deref(), Some(product));
        assert_eq!(agent(Some(" ")).as_deref(), Some(product));
        assert_eq!(
            agent(Some("mailto:a@b.org")),
            Some(format!("{product} (+mailto:a@b.org)"))
        );
        assert_eq!(agent(Some("a\r\nHost: evil")), None);
        assert_eq!(agent(Some("a) evil/1.0 (b")), None);
    }
}
