//! `arxiv-operator check`: whether API servers are ready, for `helm test`.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, StatusCode};
use tokio::time::{Instant, sleep};

/// One request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two requests to the same URL.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked, and for how long.
#[derive(clap::Args)]
pub(crate) struct CheckArgs {
    /// A URL that has to answer with status 200, such as `http://HOST/readyz`. May be repeated.
    #[arg(long, value_name = "URL")]
    ready: Vec<String>,
    /// A URL that has to refuse a request without a token (status 401). May be repeated.
    #[arg(long, value_name = "URL")]
    unauthorized: Vec<String>,
    /// Accepts any certificate of an HTTPS server: callers check who answers, this checks that it does.
    #[arg(long)]
    any_certificate: bool,
    /// How long it may take until all of them answer so.
    #[arg(long, default_value_t = 60)]
    within_seconds: u64,
}

/// Asks each URL until it answers as it should; fails when the time has passed.
pub(crate) async fn check(args: &CheckArgs) -> anyhow::Result<()> {
    if args.ready.is_empty() && args.unauthorized.is_empty() {
        bail!("there is nothing to check: give --ready URL");
    }
    // The addresses are those of Services, which no proxy reaches.
    let client = Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .tls_danger_accept_invalid_certs(args.any_certificate)
        .build();
    let client = client.context("the HTTP client cannot be made")?;
    let deadline = Instant::now() + Duration::from_secs(args.within_seconds);
    let expected = (args.ready.iter().map(|url| (url, StatusCode::OK))).chain(
        args.unauthorized
            .iter()
            .map(|url| (url, StatusCode::UNAUTHORIZED)),
    );
    for (url, status) in expected {
        until(&client, url, status, deadline).await?;
        service::notice!("{url}: {status}");
    }
    Ok(())
}

async fn until(client: &Client, url: &str, status: StatusCode, deadline: Instant) -> anyhow::Result<()> {
    loop {
        let problem = match client.get(url).send().await {
            Ok(answer) if answer.status() == status => return Ok(()),
            Ok(answer) => {
                let found = answer.status();
                let text = answer.text().await.unwrap_or_default();
                anyhow::anyhow!("{url} answers {found} in place of {status}: {text}")
            }
            Err(error) => error.into(),
        };
        if Instant::now() + PAUSE > deadline {
            return Err(problem);
        }
        tracing::warn!("{problem:#}; asking again");
        sleep(PAUSE).await;
    }
}
