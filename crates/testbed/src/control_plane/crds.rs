//! Installing CRDs, and waiting until they are really served.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};

use super::ControlPlane;
use crate::wait;

const SERVED_LIMIT: Duration = Duration::from_mins(1);
/// The generated definitions, committed in the tree.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds");

impl ControlPlane {
    /// Installs (or updates) a definition and waits until it is served.
    pub async fn install_crd(&self, definition: &CustomResourceDefinition) -> Result<()> {
        let client = self.client().await?;
        let name = definition.metadata.name.clone().context("a CRD without a name")?;
        let parameters = PatchParams::apply("testbed").force();
        let api: Api<CustomResourceDefinition> = Api::all(client);
        api.patch(&name, &parameters, &Patch::Apply(definition)).await?;
        self.served(definition).await
    }

    /// Installs all of the project's definitions.
    pub(super) async fn install_crds(&self) -> Result<()> {
        for definition in definitions()? {
            self.install_crd(&definition).await?;
        }
        Ok(())
    }

    /// Waits until the project's definitions are served.
    pub(super) async fn wait_for_crds(&self) -> Result<()> {
        for definition in definitions()? {
            self.served(&definition).await?;
        }
        Ok(())
    }

    async fn served(&self, definition: &CustomResourceDefinition) -> Result<()> {
        let names = &definition.spec.names;
        for version in definition.spec.versions.iter().filter(|version| version.served) {
            let kind = GroupVersionKind::gvk(&definition.spec.group, &version.name, &names.kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, &names.plural);
            let api: Api<DynamicObject> = Api::all_with(self.client().await?, &resource);
            // A field selector is answered from the watch cache, which comes last: until then the answer is 429.
            let selective = ListParams::default().fields("metadata.name=none");
            wait::until(&format!("{} served", names.kind), SERVED_LIMIT, async || {
                Ok(api.list(&selective).await.ok().map(drop))
            })
            .await?;
        }
        Ok(())
    }
}

fn definitions() -> Result<Vec<CustomResourceDefinition>> {
    let mut definitions = Vec::new();
    for file in
        fs::read_dir(Path::new(FOLDER)).context("the generated CRDs are missing: `cargo xtask crds`")?
    {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path)?;
            definitions.push(serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?);
        }
    }
    Ok(definitions)
}
