//! The Kubernetes identities of the processes: service accounts with the rights that the chart grants.

use std::fs;
use std::path::{Path, PathBuf};

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
    pub(super) async fn create(
        plane: &ControlPlane,
        namespace: &str,
        folder: &Path,
        options: &Options,
    ) -> Result<Self> {
        let operator = rules_of_class("operator", folder, options)?;
        let lease = rules_of_class("operator-lease", folder, options)?;
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

/// The rules, with the names of Leases as the chart makes them for a class.
fn rules_of_class(process: &str, folder: &Path, options: &Options) -> Result<PathBuf> {
    let rules = chart_rules(process);
    let Some(class) = options.class_name() else {
        return Ok(rules);
    };
    let mut text = fs::read_to_string(&rules)?;
    for lease in ["arxiv-operator", "arxiv-operator-class"] {
        text = text.replace(&format!("[{lease}]"), &format!("[{lease}-{class}]"));
    }
    let copy = folder.join(format!("{process}-{class}.yaml"));
    fs::write(&copy, text)?;
    Ok(copy)
}
