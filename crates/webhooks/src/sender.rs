//! Sending: one request for one attempt, to an address that was resolved once and may be reached.

use std::{
    error::Error,
    io,
    iter::successors,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::{
    Certificate, Client, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect, retry,
};
use sha2::{Digest, Sha256};
use url::{Host, Url};

use crate::{Networks, event::MEDIA_TYPE, is_public, secrets::Secrets};

/// For one attempt: name, connection, request and answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many bytes of an answer are read.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest pause that is read from an answer.
const LONGEST_PAUSE: Duration = Duration::from_hours(24);
/// The longest address.
const MAX_URL: usize = 2_048;

/// Why there is no sender.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The CA bundle cannot be read.
    #[error("the CA bundle for webhooks cannot be read")]
    ReadCaBundle(#[source] io::Error),
    /// The CA bundle has no certificates in it, or broken ones.
    #[error("the CA bundle for webhooks has no readable certificates")]
    CaBundle(#[source] Option<reqwest::Error>),
    /// No provider of cryptography is installed in this process.
    #[error("no TLS crypto provider is installed")]
    NoCrypto,
    /// The client cannot be built, for example because the system has no certificates.
    #[error("the HTTP client for webhooks cannot be built")]
    Build(#[source] reqwest::Error),
}

/// An address that is no webhook's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL.
    #[error("its url cannot be read")]
    Url,
    /// Another scheme.
    #[error("its url must begin with https://")]
    Scheme,
    /// A user or a password.
    #[error("its url must have no user and no password")]
    User,
}

/// Where events are sent. Its path may be known to the receiver alone, so it is never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Target(Url);

impl Target {
    /// The target of this address.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        if url.len() > MAX_URL {
            return Err(TargetError::Url);
        }
        let mut url = Url::parse(url).map_err(|_| TargetError::Url)?;
        if !["https", "http"].contains(&url.scheme()) || url.host().is_none() {
            return Err(TargetError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::User);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

/// What tells one receiver from another, in place of its address, which may be a secret.
pub fn address_hash(url: &str) -> String {
    BASE64_STANDARD_NO_PAD.encode(Sha256::digest(url))
}

/// A receiver's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the receiver wants to get nothing.
    pub pause: Option<Duration>,
}

impl Answer {
    /// Whether the event was accepted.
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the receiver wants no event any more.
    pub fn is_gone(&self) -> bool {
        self.status == StatusCode::GONE.as_u16()
    }
}

/// Why there is no answer. For people who wrote the feed: it tells nothing of networks inside.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// An address that may not be reached.
    #[error(
        "its host has an address that is not public; the people who run the system can allow networks (WEBHOOK_NETWORKS)"
    )]
    Address,
    /// No TLS, outside of the networks that are allowed.
    #[error(
        "its url must begin with https://; http is only for networks that the people who run the system allow (WEBHOOK_NETWORKS)"
    )]
    Insecure,
    /// The time is over.
    #[error("no answer in {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// No connection, with TLS where it is asked for.
    #[error("it cannot be reached")]
    Connect(#[source] reqwest::Error),
    /// The connection broke.
    #[error("the connection ended without an answer")]
    Dropped(#[source] reqwest::Error),
}

/// Sends events. It uses no proxy of the environment and follows no redirect.
#[derive(Clone, Debug)]
pub struct Sender {
    with_tls: Client,
    without_tls: Client,
    networks: Arc<Networks>,
}

impl Sender {
    /// Builds a sender; reads the file of certificates to trust in addition to those of the system, connects to nothing.
    ///
    /// The process must have installed its rustls crypto provider before.
    pub fn new(networks: Networks, ca_bundle: Option<&Path>) -> Result<Self, SenderError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SenderError::NoCrypto);
        }
        let networks = Arc::new(networks);
        let certificates = ca_bundle.map(certificates).transpose()?.unwrap_or_default();
        let client = |is_secure| {
            let resolver = Resolver(Reachable {
                networks: Arc::clone(&networks),
                is_secure,
            });
            Client::builder()
                .user_agent(concat!("arxiv-operator/", env!("CARGO_PKG_VERSION")))
                .http1_only()
                // Each attempt resolves the name and checks the addresses, and connects to these.
                .pool_max_idle_per_host(0)
                .retry(retry::never())
                .redirect(redirect::Policy::none())
                .referer(false)
                .no_proxy()
                .https_only(is_secure)
                .dns_resolver(resolver)
                .tls_certs_merge(certificates.clone())
                .timeout(TIMEOUT)
                .build()
                .map_err(SenderError::Build)
        };
        Ok(Self {
            with_tls: client(true)?,
            without_tls: client(false)?,
            networks,
        })
    }

    /// Sends an event, once. `id` is the event's.
    pub async fn send(
        &self,
        target: &Target,
        secrets: &Secrets,
        id: &str,
        body: Vec<u8>,
    ) -> Result<Answer, SendError> {
        let Target(url) = target;
        let is_secure = url.scheme() == "https";
        // A host that is written as an address is not resolved.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        let reachable = Reachable {
            networks: Arc::clone(&self.networks),
            is_secure,
        };
        literal.map_or(Ok(()), |address| reachable.check(address))?;
        let client = if is_secure {
            &self.with_tls
        } else {
            &self.without_tls
        };
        let timestamp = Timestamp::now().as_second();
        let request = client
            .post(url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", secrets.sign(id, timestamp, &body))
            .body(body);
        let response = request.send().await.map_err(failure)?;
        let answer = Answer {
            status: response.status().as_u16(),
            pause: pause(response.headers(), Timestamp::now()),
        };
        discard(response).await;
        Ok(answer)
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, SenderError> {
    let pem = std::fs::read(path).map_err(SenderError::ReadCaBundle)?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| SenderError::CaBundle(Some(error)))?;
    if found.is_empty() {
        return Err(SenderError::CaBundle(None));
    }
    Ok(found)
}

/// Which addresses a client connects to.
#[derive(Clone, Debug)]
struct Reachable {
    networks: Arc<Networks>,
    is_secure: bool,
}

impl Reachable {
    fn check(&self, address: IpAddr) -> Result<(), Refused> {
        match (self.networks.contain(address), self.is_secure) {
            (true, _) => Ok(()),
            (false, true) if is_public(address) => Ok(()),
            (false, true) => Err(Refused::Address),
            (false, false) => Err(Refused::Insecure),
        }
    }
}

/// A refusal within the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Refused {
    #[error("an address that is not public")]
    Address,
    #[error("no TLS")]
    Insecure,
}

impl From<Refused> for SendError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Address => Self::Address,
            Refused::Insecure => Self::Insecure,
        }
    }
}

/// Resolves a name for one connection, which is made to the addresses that are returned. One that may not be reached spoils all of
/// them.
struct Resolver(Reachable);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reachable = self.0.clone();
        Box::pin(async move {
            // The client sets the port.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                reachable.check(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn failure(error: reqwest::Error) -> SendError {
    // The address may be a secret of the receiver.
    let error = error.without_url();
    let mut causes = successors(error.source(), |&cause| cause.source());
    if let Some(refused) = causes.find_map(|cause| cause.downcast_ref::<Refused>()) {
        return (*refused).into();
    }
    if error.is_timeout() {
        SendError::TimedOut
    } else if error.is_connect() {
        SendError::Connect(error)
    } else {
        SendError::Dropped(error)
    }
}

/// Reads so much of an answer that its sender is not cut off in most cases.
async fn discard(mut response: reqwest::Response) {
    let mut read = 0;
    while read < MAX_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            // The status says it all.
            Ok(None) | Err(_) => return,
        }
    }
}

/// The requested pause, in seconds or until a date (RFC 9110).
fn pause(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        until.duration_since(now).try_into().ok()?
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_an_address_of_the_web_without_a_user() {
        for (url, expected) in [
            ("https://example.org/hook?token=a#part", None),
            ("http://receiver.team.svc:8080", None),
            ("https://[2606:4700::1111]:8443/", None),
            ("", Some(TargetError::Url)),
            ("example.org/hook", Some(TargetError::Url)),
            ("https://", Some(TargetError::Url)),
            ("ftp://example.org", Some(TargetError::Scheme)),
            ("file:///etc/passwd", Some(TargetError::Scheme)),
            ("unix:/run/docker.sock", Some(TargetError::Scheme)),
            ("https://user@example.org", Some(TargetError::User)),
            ("https://:password@example.org", Some(TargetError::User)),
        ] {
            assert_eq!(Target::parse(url).err(), expected, "{url}");
        }
        let long = format!("https://example.org/{}", "a".repeat(MAX_URL));
        assert_eq!(Target::parse(&long).err(), Some(TargetError::Url));
    }

    #[test]
    fn pause_is_read_in_both_forms() {
        let now: Timestamp = "2026-03-02T06:17:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("99999999999999", Some(86_400)),
            ("Mon, 02 Mar 2026 06:18:00 GMT", Some(60)),
            ("Mon, 02 Mar 2026 06:16:00 GMT", None),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(pause(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
        assert_eq!(pause(&HeaderMap::new(), now), None);
    }
}
