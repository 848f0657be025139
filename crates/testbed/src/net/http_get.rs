//! One GET request.

use std::{sync::OnceLock, time::Duration};

use anyhow::Result;
use url::Url;

/// Longer than any endpoint waits.
const LIMIT: Duration = Duration::from_secs(45);

/// Status and body of the response.
pub async fn http_get(url: Url) -> Result<(u16, String)> {
    let answer = client()?.get(url).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// One for the process: each reads the certificates of the system. It keeps no connection, which would be of the runtime of one test.
fn client() -> Result<&'static reqwest::Client> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Tests must not use the developer's proxy.
    let builder = reqwest::Client::builder().timeout(LIMIT).no_proxy();
    let client = builder.pool_max_idle_per_host(0).build()?;
    Ok(CLIENT.get_or_init(|| client))
}
