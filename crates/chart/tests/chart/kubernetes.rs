//! A real API server accepts the rendered objects: every field is known, pods are `restricted`, rights are as intended.

use std::path::Path;
use std::time::{Duration, Instant};

use chart::{NAMESPACE, Objects, pods, render};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster::{Cluster, TAKE, cluster};

/// A `List` of objects.
pub(crate) fn list<'a>(objects: impl Iterator<Item = &'a Value>) -> String {
    let items: Vec<&Value> = objects.collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[tokio::test]
async fn api_server_accepts_objects_of_every_mode() {
    let cluster = cluster().await;
    for values in [
        "",
        "apiServer: {mode: frontendBackend}\ningress: {enabled: true, className: c, hosts: [a.example], tls: [{hosts: [a.example], secretName: t}]}",
        "apiServer: {mode: perEndpoint}\noperator: {watchNamespaces: [library]}\ningress: {enabled: true}",
        "service: {ipFamilyPolicy: PreferDualStack}\nmigrations: {hook: helm}\nmonitoring: {dashboard: {enabled: true}}\npod: {priorityClassName: p, hostAliases: [{ip: 192.0.2.1, hostnames: [pg]}]}",
    ] {
        let objects = render(values).unwrap();
        // Pods are checked below, as their controllers would create them.
        cluster.takes(&list(objects.iter().filter(|object| object["kind"] != "Pod")));
    }
    let misspelt = render("").unwrap().of("Service")[0]
        .to_string()
        .replace("\"ports\"", "\"portz\"");
    assert!(
        !cluster.kubectl(&TAKE, &misspelt).status.success(),
        "the check can fail"
    );
}

/// Installs the definitions of other operators' kinds, once.
pub(crate) async fn install_definitions(cluster: &Cluster) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_init(async || install(cluster)).await;
}

fn install(cluster: &Cluster) {
    let mut kinds = Vec::new();
    for file in std::fs::read_dir(chart::root().join("crates/chart/definitions")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            cluster.succeeds(&["apply", "--server-side", "-f", &path.to_string_lossy()], "");
            kinds.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    assert_eq!(kinds.len(), 12);
    for kind in &kinds {
        let definition = format!("crd/{kind}");
        cluster.succeeds(
            &[
                "wait",
                "--for=condition=Established",
                "--timeout=60s",
                &definition,
            ],
            "",
        );
        let deadline = Instant::now() + Duration::from_mins(1);
        while !cluster
            .kubectl(&["get", kind, "-n", NAMESPACE], "")
            .status
            .success()
        {
            assert!(Instant::now() < deadline, "{kind} is not served");
        }
    }
}

/// Objects of `CloudNativePG`, Gateway API, prometheus-operator, KEDA, External Secrets, Flux and Argo CD, with their own validation.
#[tokio::test]
async fn api_server_accepts_objects_of_other_operators() {
    let cluster = cluster().await;
    install_definitions(cluster).await;
    for values in [
        "postgres: {mode: cnpg}",
        "postgres: {mode: cnpg, cnpg: {data: {instances: 1}, sequence: {instances: 1}}}",
        "
postgres:
  mode: cnpg
  cnpg:
    data: {imageName: pg, storage: {storageClass: fast}, spec: {plugins: [{name: barman, isWALArchiver: true}]}}
    readPooler: {enabled: true}
    scheduledBackup: {enabled: true, pluginConfiguration: {name: barman}}
monitoring: {serviceMonitor: {enabled: true, interval: 30s}, prometheusRule: {enabled: true}}
httpRoute: {enabled: true, parentRefs: [{name: public, namespace: gateways}], hostnames: [a.example]}
apiServer: {mode: perEndpoint}",
        &chart::read("examples/values-production.yaml").unwrap(),
        &chart::read("examples/values-production-large.yaml").unwrap(),
        &chart::read("examples/values-keda.yaml").unwrap(),
        &chart::read("examples/values-external-secrets.yaml").unwrap(),
    ] {
        let objects = render(values).unwrap();
        let theirs = [
            ".cnpg.io/",
            "gateway.networking",
            "monitoring.coreos",
            "keda.sh/",
            "external-secrets.io/",
        ];
        let of_theirs = |object: &&Value| {
            let version = object["apiVersion"].as_str().unwrap();
            theirs.iter().any(|group| version.contains(group))
        };
        cluster.takes(&list(objects.iter().filter(of_theirs)));
    }
    for namespace in ["flux-system", "argocd"] {
        cluster.kubectl(&["create", "namespace", namespace], "");
    }
    for file in [
        "flux/system.yaml",
        "flux/searches.yaml",
        "argocd/system.yaml",
        "argocd/searches.yaml",
        "feeds/flux.yaml",
    ] {
        cluster.takes(&chart::read(&format!("examples/{file}")).unwrap());
    }
    let none =
        render("postgres: {mode: cnpg, cnpg: {sequence: {synchronous: {method: any, number: 0}}}}").unwrap();
    let wrong = none
        .get("Cluster", "papers-arxiv-operator-sequence")
        .unwrap()
        .to_string();
    assert!(
        !cluster.kubectl(&TAKE, &wrong).status.success(),
        "the check can fail"
    );
}

/// The pods that the controllers would create.
fn made(objects: &Objects) -> Vec<String> {
    let pod = |pod: &chart::Container<'_>| {
        let mut metadata = pod.metadata.clone();
        metadata["name"] = pod.name.into();
        metadata["namespace"] = NAMESPACE.into();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod.pod}).to_string()
    };
    pods(objects).iter().map(pod).collect()
}

#[tokio::test]
async fn restricted_namespace_accepts_pods() {
    let cluster = cluster().await;
    let objects = render("apiServer: {mode: frontendBackend}").unwrap();
    cluster.succeeds(
        &["apply", "-f", "-"],
        &list(objects.of("ServiceAccount").into_iter()),
    );
    let create = ["create", "--dry-run=server", "-f", "-"];
    for pod in made(&objects) {
        cluster.succeeds(&create, &pod);
    }
    let root = render("pod: {containerSecurityContext: {allowPrivilegeEscalation: true}}").unwrap();
    let output = cluster.kubectl(&create, &made(&root)[0]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("restricted"),
        "the check can fail"
    );
}

#[tokio::test]
async fn accounts_have_only_needed_rights() {
    let cluster = cluster().await;
    let values = "fullnameOverride: FULLNAME\nnameOverride: rights\napiServer: {mode: perEndpoint}\n";
    for (fullname, more, elsewhere) in [
        ("wide", "", true),
        ("narrow", "operator: {watchNamespaces: [library]}", false),
    ] {
        let objects = render(&(values.replace("FULLNAME", fullname) + more)).unwrap();
        let kinds = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
        let rights = objects
            .iter()
            .filter(|object| kinds.iter().any(|kind| object["kind"] == *kind));
        cluster.succeeds(&["apply", "-f", "-"], &list(rights));
        let operator = format!("{fullname}-operator");
        let arxiv = format!("{fullname}-arxiv");
        let results = format!("{fullname}-results");
        let mut table = [
            (&operator, "watch", "arxivqueries", NAMESPACE, true),
            (&operator, "delete", "arxivqueries", NAMESPACE, true),
            (&operator, "patch", "arxivqueries/status", NAMESPACE, true),
            (&operator, "create", "events.events.k8s.io", NAMESPACE, true),
            (&operator, "create", "leases.coordination.k8s.io", NAMESPACE, true),
            // A claim of the namespace.
            (
                &operator,
                "create",
                "leases.coordination.k8s.io",
                "papers",
                elsewhere,
            ),
            (&operator, "watch", "arxivqueries", "papers", elsewhere),
            (&operator, "patch", "arxivqueries/status", "papers", elsewhere),
            (&operator, "create", "arxivqueries", NAMESPACE, true),
            (&operator, "watch", "arxivfeeds", NAMESPACE, true),
            (&operator, "patch", "arxivfeeds/status", NAMESPACE, true),
            (&operator, "update", "arxivfeeds", NAMESPACE, false),
            (&arxiv, "get", "arxivfeeds", NAMESPACE, false),
            (&operator, "update", "arxivqueries", NAMESPACE, false),
            (&operator, "get", "secrets", NAMESPACE, false),
            (&arxiv, "create", "arxivqueries", NAMESPACE, true),
            (&arxiv, "watch", "arxivqueries", NAMESPACE, true),
            (&arxiv, "create", "arxivqueries", "papers", false),
            (&arxiv, "patch", "arxivqueries/status", NAMESPACE, false),
            (&results, "get", "arxivqueries", NAMESPACE, false),
        ];
        // The API server learns of new roles a little later. Allowed requests come first: when they succeed, all roles are known.
        table.sort_by_key(|(.., may)| !may);
        let deadline = Instant::now() + Duration::from_mins(1);
        for (account, verb, resource, namespace, may) in table {
            let mut can = cluster.can(account, verb, resource, namespace);
            while may && !can && Instant::now() < deadline {
                can = cluster.can(account, verb, resource, namespace);
            }
            assert_eq!(can, may, "{account} {verb} {resource} in {namespace}");
        }
    }
}

#[tokio::test]
async fn api_server_accepts_examples_and_overlays() {
    let cluster = cluster().await;
    let examples = chart::root().join("examples");
    for search in ["arxivquery.yaml", "arxivquery-every-field.yaml"] {
        cluster.takes(&std::fs::read_to_string(examples.join(search)).unwrap());
    }
    cluster.kubectl(&["create", "namespace", "reading-list"], "");
    let feeds = build(cluster, &examples.join("feeds"));
    cluster.takes(&feeds);
    assert_eq!(Objects::read(&feeds).unwrap().of("ArxivFeed").len(), 3);
    for overlay in ["staging", "production"] {
        let folder = examples.join("kustomize/overlays").join(overlay);
        let built = build(cluster, &folder);
        cluster.takes(&built);
        let objects = Objects::read(&built).unwrap();
        assert_eq!(objects.of("ArxivQuery").len(), 2, "{overlay}");
        for query in objects.iter() {
            assert!(
                query["spec"]["ttlSecondsAfterFinished"].is_null(),
                "GitOps would make it again"
            );
        }
    }
}

fn build(cluster: &Cluster, folder: &Path) -> String {
    cluster.succeeds(&["kustomize", &folder.to_string_lossy()], "")
}
