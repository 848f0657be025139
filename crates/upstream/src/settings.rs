//! The settings of requests to arXiv, which are the same for every process at the gate.

use std::{path::PathBuf, time::Duration};

use arxiv::{Client, ClientError, ClientSettings};
use storage::{Address, Gate, GateSettings, Pages, StorageError};
use url::Url;

use crate::Upstream;

/// arXiv's public search endpoint.
const ARXIV: &str = "https://export.arxiv.org/api/query";

/// The settings of requests to arXiv.
#[derive(clap::Args, Clone)]
pub struct UpstreamArgs {
    /// arXiv's search endpoint.
    #[arg(long, env = "ARXIV_API_URL", default_value = ARXIV, value_parser = endpoint)]
    pub arxiv_api_url: Url,
    /// The address of the people who run this installation, which arXiv asks for. Sent in the User-Agent.
    #[arg(long, env = "ARXIV_CONTACT")]
    pub arxiv_contact: Option<String>,
    /// The proxy for requests to arXiv (http://…).
    // It may hold a password: it is read as text, so that no error repeats it, and its value is never shown.
    #[arg(long, env = "ARXIV_PROXY", hide_env_values = true)]
    pub arxiv_proxy: Option<String>,
    /// A PEM file of certificates to trust for arXiv, in addition to those of the system.
    #[arg(long, env = "ARXIV_CA_BUNDLE")]
    pub arxiv_ca_bundle: Option<PathBuf>,
    /// The time limit for one page of arXiv, in milliseconds.
    // Below the 30 s for which the gate's lock outlives a machine that was lost during a request.
    #[arg(long, env = "ARXIV_TIMEOUT_MS", default_value_t = 20_000,
        value_parser = clap::value_parser!(u64).range(1..=25_000))]
    pub arxiv_timeout_ms: u64,
    /// The minimum time between two requests to arXiv, over all machines, in milliseconds. arXiv's terms say
    /// 3000.
    #[arg(long, env = "MIN_INTERVAL_MS", default_value_t = GateSettings::INTERVAL_MS,
        value_parser = clap::value_parser!(u64).range(..=3_600_000))]
    pub min_interval_ms: u64,
    /// The pause of all processes after arXiv throttled, in milliseconds. It doubles while arXiv keeps
    /// throttling, up to 15 minutes, and is never shorter than arXiv's Retry-After.
    #[arg(long, env = "COOLDOWN_BASE_MS", default_value_t = GateSettings::COOLDOWN_BASE_MS,
        value_parser = clap::value_parser!(u64).range(1..=GateSettings::COOLDOWN_CAP_MS))]
    pub cooldown_base_ms: u64,
}

/// Why these settings are invalid. The text names the setting, and repeats no secret.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The proxy's URL cannot be read.
    #[error("ARXIV_PROXY is not a URL like http://user:password@host:port: {0}")]
    Proxy(url::ParseError),
    /// The client cannot be made.
    #[error("the client of arXiv cannot be made: {0}")]
    Client(#[from] ClientError),
    /// The gate cannot be made.
    #[error("the gate to arXiv cannot be made: {0}")]
    Gate(#[from] StorageError),
}

impl UpstreamArgs {
    /// The time limit for one page of arXiv.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.arxiv_timeout_ms)
    }

    /// The client with the gate's database at this address; connects to nothing yet.
    pub fn upstream(
        &self,
        address: Address,
        application_name: &str,
        pages: Pages,
    ) -> Result<Upstream, SettingsError> {
        let gate = Gate::new(GateSettings {
            interval: Duration::from_millis(self.min_interval_ms),
            cooldown_base: Duration::from_millis(self.cooldown_base_ms),
            ..GateSettings::new(address, format!("{application_name} gate"))
        })?;
        Ok(Upstream::new(Client::new(self.client()?)?, gate, pages))
    }

    fn client(&self) -> Result<ClientSettings, SettingsError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let proxy = given(&self.arxiv_proxy).map(|text| text.parse()).transpose();
        Ok(ClientSettings {
            base: self.arxiv_api_url.clone(),
            contact: given(&self.arxiv_contact),
            timeout: self.timeout(),
            proxy: proxy.map_err(SettingsError::Proxy)?,
            ca_bundle: self.arxiv_ca_bundle.clone(),
            max_body: ClientSettings::DEFAULT_MAX_BODY,
        })
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("is not a URL: {error}"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("must start with https:// or http://".into())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        upstream: UpstreamArgs,
    }

    fn parse(arguments: &[&str]) -> Result<UpstreamArgs, String> {
        let arguments = std::iter::once(&"program").chain(arguments);
        Program::try_parse_from(arguments)
            .map(|program| program.upstream)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn endpoint_must_be_a_url_of_http_or_https() {
        assert_eq!(parse(&[]).ok().unwrap().arxiv_api_url.as_str(), ARXIV);
        for url in ["ftp://x/y", "x", "file:///etc/passwd", ""] {
            let error = parse(&["--arxiv-api-url", url]).err().unwrap();
            assert!(error.contains("ARXIV_API_URL"), "{url}: {error}");
        }
    }

    #[test]
    fn error_of_a_wrong_proxy_names_the_setting_and_hides_the_password() {
        for proxy in ["http://u:hush@", "hush", "http://u:hush@h:port"] {
            let error = parse(&["--arxiv-proxy", proxy])
                .ok()
                .unwrap()
                .client()
                .err()
                .unwrap()
                .to_string();
            assert!(
                error.contains("ARXIV_PROXY") && !error.contains("hush"),
                "{error}"
            );
        }
        assert!(
            parse(&["--arxiv-proxy", ""])
                .ok()
                .unwrap()
                .client()
                .unwrap()
                .proxy
                .is_none()
        );
    }
}
