//! One GET request.

use std::time::Duration;

use anyhow::Result;
use url::Url;

/// Longer than any endpoint waits.
const LIMIT: Duration = Duration::from_secs(45);

/// Status and body of the response.
pub async fn http_get(url: Url) -> Result<(u16, String)> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Tests must not use the developer's proxy.
    let client = reqwest::Client::builder().timeout(LIMIT).no_proxy().build()?;
    let answer = client.get(url).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}
