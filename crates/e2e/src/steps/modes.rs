//! The API server as one Deployment, as two, and as one for each endpoint.

use anyhow::Result;
use sqlx::{Connection, PgConnection};

use super::endpoints::{self, ALL};
use super::install::FIXED;
use crate::environment::{Environment, NAMESPACE, RELEASE};

/// In each mode, calls every endpoint at the Service that serves it, and checks that the others answer 404.
pub(super) async fn modes(env: &Environment) -> Result<String> {
    let token = env.token().await?;
    let token = token.as_str();
    let mut written = Vec::new();

    env.release(FIXED).await?;
    let together = env.service(&format!("{RELEASE}-api")).await?;
    let number = endpoints::number(&together, token).await?;
    for endpoint in ALL {
        endpoint
            .expect(endpoint.good(), &together, number, Some(token))
            .await?;
    }
    written.push(number);

    env.release("apiServer: {mode: frontendBackend, autoscaling: {enabled: false}, replicas: 1}")
        .await?;
    let mut number = None;
    for (side, is_backend) in [("backend", true), ("frontend", false)] {
        let service = env.service(&format!("{RELEASE}-{side}")).await?;
        let number = match number {
            Some(number) => number,
            None => *number.insert(endpoints::number(&service, token).await?),
        };
        for endpoint in ALL {
            if endpoint.backend != is_backend {
                endpoint.expect(404, &service, number, Some(token)).await?;
                continue;
            }
            if is_backend {
                endpoint.expect(401, &service, number, None).await?;
            }
            let token = is_backend.then_some(token);
            endpoint.expect(endpoint.good(), &service, number, token).await?;
        }
    }
    written.extend(number);

    env.release("apiServer: {mode: perEndpoint, autoscaling: {enabled: false}, replicas: 1}")
        .await?;
    let sequence = env.service(&format!("{RELEASE}-get-sequence")).await?;
    let number = endpoints::number(&sequence, token).await?;
    for served in ALL {
        let service = env.service(&format!("{RELEASE}-{}", served.component)).await?;
        for endpoint in ALL {
            let here = endpoint.path == served.path;
            let expected = if here { endpoint.good() } else { 404 };
            endpoint.expect(expected, &service, number, Some(token)).await?;
        }
    }
    written.push(number);
    let deployments = env
        .kubectl(&["-n", NAMESPACE, "get", "deployments", "-o", "name"])
        .await?;

    let mut connection = PgConnection::connect(&env.databases.admin_url()).await?;
    for number in &written {
        endpoints::check_written(&mut connection, *number).await?;
    }
    env.release(FIXED).await?;
    Ok(format!(
        "together; frontendBackend; perEndpoint ({} Deployments with the operator's): the {} endpoints each answered where it is served, with 404 elsewhere, \
         the backend's with 401 without a token; rows are stored as recorded, with {} numbers",
        deployments.lines().count(),
        ALL.len(),
        written.len(),
    ))
}
