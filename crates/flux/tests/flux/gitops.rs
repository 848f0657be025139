//! The system with Flux, and waiting for its syncs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crd::{ArxivFeed, ArxivQuerySpec, ArxivQueryStatus};
use flux::{Flux, NAMESPACE, Repository};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::stack::Options;
use testbed::test_env::{eventually, within};
use testbed::{TempDir, TestEnv};

use crate::feeds::ReadingList;
use crate::searches::{Searches, name};

pub(crate) const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
/// Some polls of Flux, on a busy machine. A sync that hangs does so until its timeout, half an hour.
const SYNC_LIMIT: Duration = Duration::from_mins(3);

pub(crate) struct Gitops {
    // Ends before the control plane does.
    flux: Flux,
    pub(crate) env: TestEnv,
    folder: TempDir,
    source: Api<DynamicObject>,
    kustomizations: Api<DynamicObject>,
    /// Those of the example's namespace.
    pub(crate) feeds: Api<ArxivFeed>,
}

/// What is synced by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Synced {
    Searches,
    Feeds,
}

impl Synced {
    /// The name of its Kustomization.
    fn name(self) -> &'static str {
        match self {
            Self::Searches => "searches",
            Self::Feeds => "reading-list",
        }
    }
}

impl Gitops {
    /// The system, and Flux with the project's examples in its repository; nothing is synced yet.
    pub(crate) async fn start() -> Self {
        let env = TestEnv::start(Options {
            namespace: Some("papers".into()),
            cluster_wide: true,
            own_control_plane: true,
            environment: vec![
                ("LEADER_ELECTION".into(), "false".into()),
                ("COOLDOWN_BASE_MS".into(), "15000".into()),
            ],
            ..Options::operator_only()
        })
        .await;
        let folder = TempDir::new("flux").unwrap();
        let flux = Flux::start(env.stack.control_plane(), folder.path())
            .await
            .unwrap();
        copy(Path::new(EXAMPLES), &flux.repository.files().join("examples"));
        let api = |group: &str, version: &str, kind: &str| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            Api::namespaced_with(env.kube.clone(), NAMESPACE, &resource)
        };
        Self {
            source: api("source.toolkit.fluxcd.io", "v1", "GitRepository"),
            kustomizations: api("kustomize.toolkit.fluxcd.io", "v1", "Kustomization"),
            feeds: Api::namespaced(env.kube.clone(), "reading-list"),
            flux,
            env,
            folder,
        }
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.flux.repository
    }

    /// Applies the objects of this kind (all, if it is empty) from a file of the examples, unchanged except for the
    /// repository's address.
    pub(crate) async fn apply_example(&self, file: &str, kind: &str) {
        let text = fs::read_to_string(format!("{EXAMPLES}/{file}")).unwrap();
        let of_kind: Vec<_> = text
            .split("\n---\n")
            .filter(|manifest| manifest.contains(&format!("\nkind: {kind}")))
            .collect();
        assert!(!of_kind.is_empty(), "{file} has a {kind}");
        let address = "https://git.example.org/papers/arxiv-operator.git";
        let url = self.repository().url().unwrap();
        let manifests = of_kind.join("\n---\n").replace(address, url.as_str());
        let plane = self.env.stack.control_plane();
        flux::apply(plane, self.folder.path(), &manifests).await.unwrap();
    }

    /// From the example's tag to the branch, to which further commits are pushed.
    pub(crate) async fn follow_main(&self) {
        let patch = json!({"spec": {"ref": {"tag": null, "branch": "main"}}});
        let params = PatchParams::default();
        let patched = self
            .source
            .patch("arxiv-operator", &params, &Patch::Merge(patch))
            .await;
        patched.unwrap();
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.repository().commit(message).unwrap()
    }

    /// Commits the searches and notifies Flux; returns the commit.
    pub(crate) async fn push(&self, searches: &Searches) -> String {
        searches.write(&self.repository().files().join("examples"));
        self.notify("searches").await
    }

    /// The same with the reading list.
    pub(crate) async fn push_both(&self, searches: &Searches, feeds: &ReadingList) -> String {
        feeds.write(&self.repository().files().join("examples"));
        self.push(searches).await
    }

    async fn notify(&self, message: &str) -> String {
        let commit = self.commit(message);
        let now = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": commit}}});
        let params = PatchParams::default();
        let patched = self
            .source
            .patch("arxiv-operator", &params, &Patch::Merge(now))
            .await;
        patched.unwrap();
        commit
    }

    /// [`Self::push`], and waits until they are synced and ready.
    pub(crate) async fn sync(&self, searches: &Searches) {
        let commit = self.push(searches).await;
        self.until_ready(&commit).await;
    }

    /// Waits until this commit is applied and everything in it is ready.
    pub(crate) async fn until_ready(&self, commit: &str) {
        self.until_synced(Synced::Searches, commit).await;
    }

    /// The same for one of those that are synced.
    pub(crate) async fn until_synced(&self, synced: Synced, commit: &str) {
        self.until_condition(synced, commit, "is ready", |status, ready| {
            let applied = status["lastAppliedRevision"].as_str();
            ready["status"] == "True" && applied.is_some_and(|applied| applied.ends_with(commit))
        })
        .await;
    }

    /// Waits until the sync of this commit has failed for this reason, with a message that contains `words`.
    pub(crate) async fn until_failed(&self, synced: Synced, commit: &str, reason: &str, words: &str) {
        let what = format!("has failed by {reason}: {words}");
        self.until_condition(synced, commit, &what, |_, ready| {
            let message = ready["message"].as_str().unwrap_or_default();
            ready["status"] == "False" && ready["reason"] == reason && message.contains(words)
        })
        .await;
    }

    async fn until_condition(
        &self,
        synced: Synced,
        commit: &str,
        what: &str,
        holds: impl Fn(&Value, &Value) -> bool,
    ) {
        let mut last = Value::Null;
        let found = within(SYNC_LIMIT, async || {
            let object = self.kustomizations.get(synced.name()).await.ok()?;
            let status = &object.data["status"];
            let conditions = status["conditions"].as_array()?;
            let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
            last = status.clone();
            let attempted = status["lastAttemptedRevision"].as_str()?;
            let is_of_present = ready["observedGeneration"] == json!(object.metadata.generation);
            (is_of_present && attempted.ends_with(commit) && holds(status, ready)).then_some(())
        });
        if found.await.is_some() {
            return;
        }
        let objects = self.env.objects().await;
        let statuses: Vec<_> = objects
            .iter()
            .map(|object| (&object.metadata.name, object.metadata.generation, &object.status))
            .collect();
        panic!(
            "the sync of {synced:?} at {commit} {what}: not within {SYNC_LIMIT:?}\n{last:#}\n{statuses:#?}\n{}\n{}",
            self.flux.log_tail(),
            self.env.operator_logs()
        );
    }

    /// Waits until Flux has applied a spec for which this holds.
    pub(crate) async fn until_applied(&self, search: &str, holds: impl Fn(&ArxivQuerySpec) -> bool) {
        eventually(&format!("the change of {search} is applied"), async || {
            let object = self.env.queries.get(&name(search)).await.ok()?;
            holds(&object.spec).then_some(())
        })
        .await;
    }

    /// Creates the object of a search that is not in Git yet: Flux would wait for its end before the next commit.
    pub(crate) async fn create(&self, search: &str, spec: &Value) {
        let spec = serde_json::from_value(spec.clone()).unwrap();
        self.env.create(&name(search), spec).await;
    }

    pub(crate) async fn status(&self, search: &str) -> ArxivQueryStatus {
        self.env.status(&name(search)).await
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
