//! Walking to deep pages by cursor, as a client does.

use std::time::Duration;

use anyhow::{Context, Result};
use url::Url;

const LIMIT: Duration = Duration::from_secs(30);

/// Cursors of the pages behind the first half of all results, a thousand results apart.
pub(crate) async fn deep_cursors(server: &Url) -> Result<Vec<String>> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(LIMIT).no_proxy().build()?;
    let mut cursors = Vec::new();
    let mut next = server.join("/results?after=&items_per_page=1000")?;
    loop {
        let answer = client.get(next.clone()).send().await?.error_for_status()?;
        let Some(link) = answer.headers().get(reqwest::header::LINK) else {
            break;
        };
        // Of the form `<?after=…>; rel="next"`.
        let reference = link.to_str()?.trim_start_matches('<').split('>').next();
        next = next.join(reference.context("a link without an address")?)?;
        let cursor = next.query_pairs().find(|(name, _)| name == "after");
        cursors.push(cursor.context("a link without a cursor")?.1.into_owned());
    }
    Ok(cursors.split_off(cursors.len() / 2))
}
