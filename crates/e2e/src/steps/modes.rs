//! The API server as one Deployment, as two, and as one for each endpoint.

use anyhow::{Result, ensure};

use super::install::{FIXED, search};
use crate::site::{RELEASE, Site};

/// Component, and what is asked of it.
const PER_ENDPOINT: [(&str, &str); 6] = [
    ("arxiv", "/arxiv?title=per+endpoint"),
    ("queries", "/queries?start_timestamp=2024-01-01"),
    ("results", "/results"),
    ("get-sequence", "/get-sequence"),
    ("read-results", "/read-results"),
    ("arxiv-api", "/arxiv-api?title=per+endpoint"),
];

pub(super) async fn modes(site: &Site) -> Result<String> {
    site.release(FIXED).await?;
    let together = site.service(&format!("{RELEASE}-api")).await?;
    search(&together, "title=together").await?;

    site.release("apiServer: {mode: frontendBackend, autoscaling: {enabled: false}, replicas: 1}")
        .await?;
    let frontend = site.service(&format!("{RELEASE}-frontend")).await?;
    search(&frontend, "title=frontend").await?;
    let backend = site.service(&format!("{RELEASE}-backend")).await?;
    let token = site.token().await?;
    for (path, token, expected) in [
        ("/get-sequence", None, 401),
        ("/get-sequence", Some(token.as_str()), 200),
        ("/results", Some(token.as_str()), 404),
    ] {
        let status = get(&format!("{backend}{path}"), token).await?;
        ensure!(
            status == expected,
            "the backend answers {path} with {status}, not {expected}"
        );
    }

    site.release("apiServer: {mode: perEndpoint, autoscaling: {enabled: false}, replicas: 1}")
        .await?;
    for (component, path) in PER_ENDPOINT {
        let service = site.service(&format!("{RELEASE}-{component}")).await?;
        let status = get(&format!("{service}{path}"), Some(&token)).await?;
        ensure!(status == 200, "{component} answers {path} with {status}");
    }
    let pods = site
        .kubectl(&["-n", crate::site::NAMESPACE, "get", "deployments", "-o", "name"])
        .await?;
    site.release(FIXED).await?;
    Ok(format!(
        "together; frontendBackend (/get-sequence: 401, with a token 200); perEndpoint ({} Deployments with the operator's)",
        pods.lines().count()
    ))
}

async fn get(url: &str, token: Option<&str>) -> Result<u16> {
    let mut request = reqwest::Client::new().get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Ok(request.send().await?.status().as_u16())
}
