//! The addresses of the release's Services, which can be reached from this machine.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use reqwest::Client;
use testbed::wait;

use super::{Environment, NAMESPACE};

const LIMIT: Duration = Duration::from_secs(30);
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);

impl Environment {
    /// `http://ADDRESS:PORT` of a Service of the release, once a pod answers there: the node's proxy learns of a pod a moment
    /// after the pod is ready.
    pub(crate) async fn service(&self, name: &str) -> Result<String> {
        let services: Api<Service> = Api::namespaced(self.client().await?, NAMESPACE);
        let spec = services.get(name).await?.spec.unwrap_or_default();
        let address = spec.cluster_ip.filter(|address| !address.is_empty());
        let port = spec.ports.and_then(|ports| Some(ports.first()?.port));
        let url = address
            .zip(port)
            .map(|(address, port)| format!("http://{address}:{port}"));
        let url = url.with_context(|| format!("{name} has no address"))?;
        let client = Client::builder().timeout(RESPONSE_LIMIT).build()?;
        wait::until(&format!("{name} answers"), LIMIT, async || {
            let response = client.get(format!("{url}/healthz")).send().await;
            Ok(response
                .is_ok_and(|response| response.status().is_success())
                .then_some(()))
        })
        .await?;
        Ok(url)
    }
}
