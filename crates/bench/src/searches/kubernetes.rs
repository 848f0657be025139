//! The upper bound: a bare client of Kubernetes' API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use crd::{ArxivQuery, GROUP};
use futures::future::ready;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::PostParams;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use testbed::TestEnv;
use url::Url;

use super::lua_string;
use crate::wrk::{self, Measured};

/// In the place of a name, in what is sent.
const NAME: &str = "NAME-OF-THE-OBJECT";

/// A thread of the load writes the status of an object after it has created so many others: it exists by then, even if that took long.
const BEHIND: u64 = 512;

/// A bare client, with a namespace of its own in which no operator works.
pub(super) struct Kubernetes {
    url: Url,
    token: String,
    namespace: String,
    objects: Api<ArxivQuery>,
    script: PathBuf,
}

/// What the client sends for each object, with [`NAME`] for its name.
pub(super) struct Bodies {
    object: ArxivQuery,
    create: String,
    status: String,
}

/// A script whose first objects are there. It can be run once.
pub(super) struct Prepared(String);

/// Objects that were created, and as many that got their status.
pub(super) struct Pairs {
    pub(super) count: f64,
    /// Per second.
    pub(super) rate: f64,
}

impl Bodies {
    /// Of the same content as a finished object.
    pub(super) fn of(finished: &ArxivQuery, namespace: &str) -> Result<Self> {
        let mut object = ArxivQuery::new(NAME, finished.spec.clone());
        object.metadata.namespace = Some(namespace.to_owned());
        object.metadata.labels.clone_from(&finished.metadata.labels);
        object
            .metadata
            .annotations
            .clone_from(&finished.metadata.annotations);
        let create = serde_json::to_value(&object)?;
        ensure!(finished.status.is_some(), "the object has not finished");
        let status = json!({
            "apiVersion": create["apiVersion"],
            "kind": create["kind"],
            "metadata": {"name": NAME, "namespace": namespace},
            "status": finished.status,
        });
        Ok(Self {
            object,
            create: create.to_string(),
            status: status.to_string(),
        })
    }
}

/// The rights to the two writes, as our programs have them, in the format of the chart's files. An administrator (`system:masters`)
/// would be exempt from the checks of rights and from the limits of requests at once, which Kubernetes has for everybody else.
fn rights() -> Value {
    let plural = <ArxivQuery as kube::Resource>::plural(&());
    let right =
        |resource: String, verb| json!({"apiGroups": [GROUP], "resources": [resource], "verbs": [verb]});
    json!({"rules": [right(plural.to_string(), "create"), right(format!("{plural}/status"), "patch")]})
}

impl Kubernetes {
    pub(super) async fn connect(env: &TestEnv, script: &Path) -> Result<Self> {
        let plane = env.stack.control_plane();
        let namespace = plane.namespace().await?;
        let rules = script.with_file_name("bench.yaml");
        tokio::fs::write(&rules, rights().to_string()).await?;
        let kubeconfig = plane.service_account(&namespace, "bench", &rules, false).await?;
        let kubeconfig: Value = serde_json::to_value(Kubeconfig::read_from(kubeconfig)?)?;
        let token = &kubeconfig["users"][0]["user"]["token"];
        Ok(Self {
            url: Url::parse(&plane.url())?,
            token: token.as_str().context("the account has no token")?.to_owned(),
            objects: Api::namespaced(env.kube.clone(), &namespace),
            namespace,
            script: script.to_owned(),
        })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Creates the objects that get the first statuses of [`Self::pairs`].
    pub(super) async fn prepare(&self, bodies: &Bodies) -> Result<Prepared> {
        let run = self.create(bodies, 2 * BEHIND).await?;
        let script = format!(
            "{head}
-- wrk makes the first request of one thread without sending it: it is a status, for which nothing waits.
local created, written = {BEHIND}, 0
function request()
  if written > created - {BEHIND} then
    local name = name_of('{run}', created)
    created = created + 1
    return wrk.format('POST', path .. '?fieldValidation=Ignore', headers, with_name(create, name))
  end
  local name = name_of('{run}', written)
  written = written + 1
  return wrk.format('PATCH', status_path(name), status_headers, with_name(status, name))
end
",
            head = self.head(bodies),
        );
        Ok(Prepared(script))
    }

    /// Creates objects with so many clients, and writes as many statuses, of those that were created before.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
    pub(super) async fn pairs(&self, prepared: Prepared, clients: u32, length: Duration) -> Result<Pairs> {
        let Prepared(script) = prepared;
        let measured = self.run(&script, clients, length).await?;
        Ok(Pairs {
            count: measured.responses as f64 / 2.0,
            rate: measured.rate / 2.0,
        })
    }

    /// Statuses per second that so many clients write to objects without one.
    pub(super) async fn statuses(&self, bodies: &Bodies, clients: u32, length: Duration) -> Result<f64> {
        // More than can be written in this time.
        let count = 1_500 * length.as_secs();
        let run = self.create(bodies, count).await?;
        let script = format!(
            "{head}
local written = 0
function request()
  local name = name_of('{run}', written % {of_thread})
  written = written + 1
  return wrk.format('PATCH', status_path(name), status_headers, with_name(status, name))
end
",
            head = self.head(bodies),
            of_thread = count / 2,
        );
        let measured = self.run(&script, clients, length).await?;
        ensure!(measured.responses < count, "too few objects for {length:?}");
        Ok(measured.rate)
    }

    /// Creates so many objects, of which each thread of a load has every second one; the first part of their names.
    async fn create(&self, bodies: &Bodies, count: u64) -> Result<String> {
        let run = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        let created = stream::iter(0..count).map(async |n| {
            let mut object = bodies.object.clone();
            object.metadata.name = Some(format!("{run}-{n}"));
            self.objects.create(&PostParams::default(), &object).await
        });
        created
            .buffer_unordered(16)
            .try_for_each(|_| ready(Ok(())))
            .await?;
        Ok(run)
    }

    async fn run(&self, script: &str, connections: u32, length: Duration) -> Result<Measured> {
        let run = wrk::Run {
            server: &self.url,
            script,
            connections,
            length,
        };
        let measured = wrk::run(&run, &self.script).await?;
        ensure!(
            measured.failed == 0,
            "{} requests to Kubernetes failed, of {}",
            measured.failed,
            measured.responses
        );
        Ok(measured)
    }

    /// The variables and functions of a script.
    fn head(&self, bodies: &Bodies) -> String {
        let plural = <ArxivQuery as kube::Resource>::plural(&());
        let version = <ArxivQuery as kube::Resource>::api_version(&());
        format!(
            "local path = '/apis/{version}/namespaces/{namespace}/{plural}'
local headers = {{['Authorization'] = 'Bearer {token}', ['Content-Type'] = 'application/json'}}
local status_headers = {{['Authorization'] = 'Bearer {token}', ['Content-Type'] = 'application/apply-patch+yaml'}}
local create = {create}
local status = {status}
local function name_of(run, n) return run .. '-' .. (2 * n + thread) end
local function status_path(name) return path .. '/' .. name .. '/status?fieldManager=bench&force=true&fieldValidation=Ignore' end
local function with_name(body, name) return (body:gsub('{pattern}', name)) end
",
            namespace = self.namespace,
            token = self.token,
            // The pattern of a Lua search, in which a minus sign is special.
            pattern = NAME.replace('-', "%-"),
            create = lua_string(&bodies.create),
            status = lua_string(&bodies.status),
        )
    }
}
