//! Pods of the release.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use testbed::wait;

use super::{Environment, NAMESPACE};
use crate::node;

const LIMIT: Duration = Duration::from_mins(3);

impl Environment {
    /// Names of the pods of the operator, or of one Deployment of the API server, that are ready and not terminating.
    pub(crate) async fn ready(&self, component: &str) -> Result<Vec<String>> {
        let pods = self
            .pods()
            .await?
            .list(&ListParams::default().labels(&selector(component)))
            .await?;
        Ok(pods
            .into_iter()
            .filter(is_ready)
            .map(|pod| pod.name_any())
            .collect())
    }

    /// Waits until exactly this many pods of a component are ready.
    pub(crate) async fn until_ready(&self, component: &str, count: usize) -> Result<()> {
        let what = format!("{count} pods of {component}");
        wait::until(&what, LIMIT, async || {
            Ok((self.ready(component).await?.len() == count).then_some(()))
        })
        .await
    }

    /// Kills the processes of a pod.
    pub(crate) async fn crash(&self, name: &str) -> Result<()> {
        let status = self.pods().await?.get(name).await?.status.unwrap_or_default();
        for container in status.container_statuses.unwrap_or_default() {
            let id = container.container_id.unwrap_or_default();
            self.node.crash(&id).await?;
        }
        Ok(())
    }

    /// How often the containers of a pod were restarted.
    pub(crate) async fn restarts(&self, name: &str) -> Result<i32> {
        let status = self.pods().await?.get(name).await?.status.unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        Ok(containers.iter().map(|container| container.restart_count).sum())
    }

    /// Drains the node of the pods of a component, as an administrator does, with a timeout. Returns kubectl's refusal; a drain
    /// that succeeds is an error.
    pub(crate) async fn refused_drain(&self, component: &str) -> Result<String> {
        let selector = format!("--pod-selector={}", selector(component));
        let drained = self
            .kubectl(&["drain", node::NAME, &selector, "--timeout=20s"])
            .await;
        match drained {
            Ok(output) => bail!("all pods of {component} were evicted: {output}"),
            Err(refused) => Ok(format!("{refused:#}")),
        }
    }

    /// The address of a pod that is ready and not terminating.
    pub(crate) async fn address(&self, namespace: &str, selector: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client().await?, namespace);
        let pods = pods.list(&ListParams::default().labels(selector)).await?;
        let ready = pods.into_iter().find(is_ready);
        let address = ready.and_then(|pod| pod.status?.pod_ip);
        address.with_context(|| format!("no pod of {selector} is ready"))
    }

    async fn pods(&self) -> Result<Api<Pod>> {
        Ok(Api::namespaced(self.client().await?, NAMESPACE))
    }
}

/// The labels of the pods of a component.
pub(crate) fn selector(component: &str) -> String {
    if component == "operator" {
        "app.kubernetes.io/component=operator".to_owned()
    } else {
        format!("arxiv-operator.dev/group={component}")
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}
