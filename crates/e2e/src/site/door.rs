//! The way from this machine to a Service of the release.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use kube::Api;
use reqwest::Client;
use serde_json::json;
use testbed::wait;

use super::{NAMESPACE, Site};
use crate::cluster::DOOR;

const NAME: &str = "door";
const LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

impl Site {
    /// `http://ADDRESS:PORT` that leads to a Service of the release, once it leads to a pod: that is known on the node a moment
    /// after the pod is ready. Where there is one door for all Services, it no longer leads to the one before.
    pub(crate) async fn service(&self, name: &str) -> Result<String> {
        let services: Api<Service> = Api::namespaced(self.client().await?, NAMESPACE);
        let spec = services.get(name).await?.spec.unwrap_or_default();
        let url = match self.cluster.door() {
            Some(port) => {
                let url = format!("http://127.0.0.1:{port}");
                self.kubectl(&["-n", NAMESPACE, "delete", "service", NAME, "--ignore-not-found"])
                    .await?;
                // The node learns of it a moment later, and would lead to the old pods until then.
                wait::until("the door is closed", LIMIT, async || {
                    Ok((!leads_to_a_pod(&url).await?).then_some(()))
                })
                .await?;
                self.apply(&door(&spec)?).await?;
                url
            }
            None => direct(&spec).with_context(|| format!("{name} has no address"))?,
        };
        wait::until(&format!("{name} leads to a pod"), LIMIT, async || {
            Ok(leads_to_a_pod(&url).await?.then_some(()))
        })
        .await?;
        Ok(url)
    }
}

fn direct(spec: &ServiceSpec) -> Option<String> {
    let address = spec.cluster_ip.as_ref().filter(|address| !address.is_empty())?;
    let port = spec.ports.as_ref()?.first()?.port;
    Some(format!("http://{address}:{port}"))
}

/// A Service in front of the same pods, at the port that is open to the machine.
fn door(spec: &ServiceSpec) -> Result<String> {
    let port = spec.ports.as_ref().and_then(|ports| ports.first());
    let target = port
        .and_then(|port| port.target_port.as_ref())
        .context("a Service without a port")?;
    Ok(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "type": "NodePort",
            "selector": spec.selector,
            "ports": [{"port": 80, "targetPort": target, "nodePort": DOOR}],
        },
    })
    .to_string())
}

/// A connection says nothing where Docker takes it first.
async fn leads_to_a_pod(url: &str) -> Result<bool> {
    let client = Client::builder()
        .pool_max_idle_per_host(0)
        .timeout(ANSWER_LIMIT)
        .build()?;
    let answer = client.get(format!("{url}/healthz")).send().await;
    Ok(answer.is_ok_and(|answer| answer.status().is_success()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_door_leads_to_the_pods_of_the_service() {
        let spec: ServiceSpec = serde_json::from_value(json!({
            "clusterIP": "10.0.0.7",
            "selector": {"app": "api"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        }))
        .unwrap();
        assert_eq!(direct(&spec).as_deref(), Some("http://10.0.0.7:80"));
        let door: Value = serde_json::from_str(&door(&spec).unwrap()).unwrap();
        assert_eq!(door["spec"]["selector"], json!({"app": "api"}));
        assert_eq!(
            door["spec"]["ports"],
            json!([{"port": 80, "targetPort": "http", "nodePort": 30080}])
        );
    }
}
