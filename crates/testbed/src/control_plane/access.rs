//! Namespaces, and `ServiceAccounts` with exactly the rights of a rules file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ControlPlane, kubeconfig};
use crate::wait;

/// Longer than any test cluster runs. The kubeconfig is rewritten at each start.
const TOKEN_SECONDS: i64 = 30 * 24 * 3600;
const ROLES_LIMIT: Duration = Duration::from_secs(30);
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// The shape of the files in the chart's `rbac` folder.
#[derive(Deserialize)]
struct Rules {
    rules: Vec<PolicyRule>,
}

/// The path of one of the chart's rules files: `operator`, `operator-lease`, `api-server` and so on.
pub fn chart_rules(process: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/arxiv-operator/rbac");
    Path::new(folder).join(format!("{process}.yaml"))
}

impl ControlPlane {
    /// A new namespace. Its name is unique, because a deleted namespace never vanishes here.
    pub async fn namespace(&self) -> Result<String> {
        let name = format!("test-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        self.ensure_namespace(&name).await?;
        Ok(name)
    }

    /// Creates a namespace of this name if there is none.
    pub async fn ensure_namespace(&self, name: &str) -> Result<()> {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        apply(&Api::all(self.client().await?), &namespace).await
    }

    /// A `ServiceAccount` with the rights in a file of rules, in its namespace or (`cluster_wide`) everywhere, in addition to rights from
    /// earlier calls with other files. Returns the path of its kubeconfig.
    pub async fn service_account(
        &self,
        namespace: &str,
        name: &str,
        path: &Path,
        cluster_wide: bool,
    ) -> Result<PathBuf> {
        let (role_name, rules) = read_rules(name, path)?;
        let client = self.client().await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        apply(&accounts, &named(namespace, name)).await?;

        if cluster_wide {
            let full_name = format!("{namespace}-{role_name}");
            let binding = ClusterRoleBinding {
                role_ref: role_ref("ClusterRole", &full_name),
                subjects: Some(vec![subject(namespace, name)]),
                metadata: named::<ClusterRole>("", &full_name).metadata,
            };
            let role = ClusterRole {
                rules: Some(rules.clone()),
                ..named("", &full_name)
            };
            apply(&Api::all(client.clone()), &role).await?;
            apply(&Api::all(client), &binding).await?;
            self.wait_for_rights(namespace, (namespace, name), &rules).await?;
        } else {
            self.grant(namespace, (namespace, name), path).await?;
        }
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let issued = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await?;
        let token = issued.status.context("Kubernetes issued no token")?.token;
        let path = self.folder.join(format!("{namespace}-{name}.kubeconfig"));
        kubeconfig::write(&path, &self.url(), self.certificates.ca(), namespace, &token)?;
        Ok(path)
    }

    /// Gives an account (its namespace and its name) the rights in a file of rules, in this namespace, and waits until it has them.
    pub async fn grant(&self, namespace: &str, account: (&str, &str), path: &Path) -> Result<()> {
        let (role_name, rules) = read_rules(account.1, path)?;
        let binding = RoleBinding {
            role_ref: role_ref("Role", &role_name),
            subjects: Some(vec![subject(account.0, account.1)]),
            metadata: named::<Role>(namespace, &role_name).metadata,
        };
        let role = Role {
            rules: Some(rules.clone()),
            ..named(namespace, &role_name)
        };
        let client = self.client().await?;
        apply(&Api::namespaced(client.clone(), namespace), &role).await?;
        apply(&Api::namespaced(client, namespace), &binding).await?;
        self.wait_for_rights(namespace, account, &rules).await
    }

    /// Waits until the account has the rights of the first rule, in this namespace: the API server learns of new roles a little later.
    async fn wait_for_rights(
        &self,
        namespace: &str,
        account: (&str, &str),
        rules: &[PolicyRule],
    ) -> Result<()> {
        let Some(rule) = rules.first() else {
            return Ok(());
        };
        let first = |words: &Option<Vec<String>>| words.as_ref().and_then(|words| words.first().cloned());
        let verb = rule.verbs.first().cloned();
        let path = first(&rule.non_resource_urls);
        let resource = path.is_none().then(|| ResourceAttributes {
            group: first(&rule.api_groups),
            resource: first(&rule.resources),
            name: first(&rule.resource_names),
            namespace: Some(namespace.to_owned()),
            verb: verb.clone(),
            ..ResourceAttributes::default()
        });
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{}:{}", account.0, account.1)),
                resource_attributes: resource,
                non_resource_attributes: path.map(|path| NonResourceAttributes {
                    path: Some(path),
                    verb,
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client().await?);
        wait::until(&format!("rights of {}", account.1), ROLES_LIMIT, async || {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            Ok(answer.status.is_some_and(|status| status.allowed).then_some(()))
        })
        .await
    }
}

/// The name of an account's role, and its rules.
fn read_rules(account: &str, path: &Path) -> Result<(String, Vec<PolicyRule>)> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let stem = path
        .file_stem()
        .context("rules without a name")?
        .to_string_lossy();
    let Rules { rules } = serde_saphyr::from_str(&text)?;
    Ok((format!("{account}-{stem}"), rules))
}

fn subject(namespace: &str, account: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".into(),
        name: account.into(),
        namespace: Some(namespace.into()),
        api_group: None,
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: RBAC_GROUP.into(),
        kind: kind.into(),
        name: name.into(),
    }
}

fn named<K: kube::Resource + Default>(namespace: &str, name: &str) -> K {
    let mut object = K::default();
    object.meta_mut().name = Some(name.to_owned());
    object.meta_mut().namespace = Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty());
    object
}

async fn apply<K>(api: &Api<K>, object: &K) -> Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let parameters = PatchParams::apply("testbed").force();
    api.patch(&object.name_any(), &parameters, &Patch::Apply(object))
        .await?;
    Ok(())
}
