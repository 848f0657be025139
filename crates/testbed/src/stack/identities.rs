//! The Kubernetes identities of the processes: service accounts with the rights that the chart grants.

use std::path::PathBuf;

use anyhow::Result;

use super::Options;
use crate::control_plane::{ControlPlane, chart_rules};

/// Kubeconfig files.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) operator: PathBuf,
    pub(super) api_server: PathBuf,
}

impl Accounts {
    pub(super) async fn create(plane: &ControlPlane, namespace: &str, options: &Options) -> Result<Self> {
        let operator = chart_rules("operator");
        let lease = chart_rules("operator-lease");
        let api_server = chart_rules("api-server");
        if options.checks_access() {
            let access = chart_rules("access");
            plane
                .service_account(namespace, "arxiv-api-server", &access, true)
                .await?;
        }
        // In one namespace, whatever is watched.
        plane
            .service_account(namespace, "arxiv-operator", &lease, false)
            .await?;
        Ok(Self {
            operator: plane
                .service_account(namespace, "arxiv-operator", &operator, options.cluster_wide)
                .await?,
            api_server: plane
                .service_account(namespace, "arxiv-api-server", &api_server, false)
                .await?,
        })
    }
}
