//! Every manifest that is rendered or shown conforms to the schemas of every supported Kubernetes version, as kubeconform reads them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use chart::{Objects, read, render, root, schemas};
use serde_json::{Value, json};
use testbed::TempDir;
use testbed::tools::GoFile;

use crate::checkers::checker;
use crate::cluster::cluster;
use crate::generated::DEFINITIONS;

const fn openapi(version: &'static str, sum: &'static str) -> GoFile {
    GoFile {
        name: "kubernetes-openapi",
        module: "k8s.io/kubernetes",
        version,
        sum,
        path: "api/openapi-spec/swagger.json",
    }
}

/// The oldest supported version, one in between, and the version of all other tests.
const VERSIONS: [GoFile; 3] = [
    openapi("v1.32.13", "h1:5TGYdZ6YZqdp6h/Rp1vX/4TIoybMPdgv97LCZCtPuNQ="),
    openapi("v1.35.4", "h1:o/8dBC/pHVpYoGV4OAIytAlNPZbdYVTXJHoYvXC4qzM="),
    openapi("v1.37.2", "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE="),
];

/// Values that are combined with each of the three modes.
const VALUES: [&str; 3] = [
    "",
    "
operator: {watchNamespaces: [library]}
migrations: {hook: helm, ttlSecondsAfterFinished: 600}
ingress: {enabled: true, className: c, hosts: [a.example], tls: [{hosts: [a.example], secretName: t}]}
service: {ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6, IPv4]}
monitoring: {dashboard: {enabled: true}}
arxiv: {caBundle: {configMap: ca}}
pod: {priorityClassName: p, runtimeClassName: gvisor, hostAliases: [{ip: 192.0.2.1, hostnames: [pg]}], tolerations: [{key: spot, operator: Exists}], extraEnv: [{name: TZ, value: UTC}], extraVolumes: [{name: tmp, emptyDir: {}}], extraVolumeMounts: [{name: tmp, mountPath: /tmp}]}",
    "
postgres: {mode: cnpg, cnpg: {readPooler: {enabled: true}, scheduledBackup: {enabled: true, pluginConfiguration: {name: barman}}}}
monitoring: {serviceMonitor: {enabled: true, interval: 30s}, prometheusRule: {enabled: true}}
httpRoute: {enabled: true, parentRefs: [{name: public, namespace: gateways}], hostnames: [a.example]}",
];

/// The checked manifests, by file name.
async fn manifests() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut add = |from: &str, objects: Objects| {
        for (number, object) in objects.iter().enumerate() {
            found.push((format!("{from}-{number}"), object.clone()));
        }
    };
    for mode in ["together", "frontendBackend", "perEndpoint"] {
        for (number, values) in VALUES.iter().enumerate() {
            let values = format!(
                "apiServer: {{mode: {mode}, access: {{endpoints: all}}, autoscaling: {{pendingQueries: {{enabled: true}}}}}}{values}"
            );
            add(&format!("{mode}-{number}"), render(&values).unwrap());
        }
    }
    for file in fs::read_dir(root().join("examples")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.starts_with("values") {
            add(&name, render(&fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    let cluster = cluster().await;
    for folder in kustomizations(&root().join("examples")) {
        let built = cluster.succeeds(&["kustomize", &folder.to_string_lossy()], "");
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        add(&format!("kustomize-{name}"), Objects::read(&built).unwrap());
    }
    for file in [
        "arxivquery.yaml",
        "arxivquery-every-field.yaml",
        "argocd/argocd-cm.yaml",
        "argocd/searches.yaml",
        "argocd/system.yaml",
        "feeds/flux.yaml",
        "flux/searches.yaml",
        "flux/system.yaml",
    ] {
        let objects = Objects::read(&read(&format!("examples/{file}")).unwrap()).unwrap();
        add(&file.replace('/', "-"), objects);
    }
    found
}

/// Every folder with a kustomization below one.
fn kustomizations(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(kustomizations(&path));
        } else if path.ends_with("kustomization.yaml") {
            found.push(folder.to_owned());
        }
    }
    found
}

/// `API-VERSION KIND` of objects.
fn kinds<'a>(objects: impl Iterator<Item = &'a Value>) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    objects
        .map(|object| (text(&object["apiVersion"]), text(&object["kind"])))
        .collect()
}

fn write_schema(folder: &Path, api_version: &str, kind: &str, schema: &Value) {
    // The file name has the form of the template below.
    let (group, version) = api_version.split_once('/').unwrap_or((api_version, api_version));
    let folder = folder.join(group);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}_{version}.json", kind.to_lowercase()));
    fs::write(file, schema.to_string()).unwrap();
}

/// Writes the schemas of these kinds, and returns those without a schema.
fn write_schemas(
    folder: &Path,
    version: &GoFile,
    kinds: &BTreeSet<(String, String)>,
) -> Vec<(String, String)> {
    let openapi: Value = serde_json::from_slice(&fs::read(version.ready().unwrap()).unwrap()).unwrap();
    let mut missing = Vec::new();
    for (api_version, kind) in kinds {
        match schemas::of_kubernetes(&openapi, api_version, kind) {
            Some(schema) => write_schema(folder, api_version, kind, &schema),
            None => missing.push((api_version.clone(), kind.clone())),
        }
    }
    missing
}

/// The CRDs of this project and of other operators.
fn write_definitions(folder: &Path) -> BTreeSet<(String, String)> {
    let own =
        DEFINITIONS.map(|file| serde_saphyr::from_str(&read(&format!("crds/{file}")).unwrap()).unwrap());
    let mut definitions: Vec<Value> = own.into();
    for file in fs::read_dir(root().join("crates/chart/definitions")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            definitions.push(serde_json::from_slice(&fs::read(path).unwrap()).unwrap());
        }
    }
    let mut written = BTreeSet::new();
    for definition in definitions {
        for (api_version, kind, schema) in schemas::of_definition(&definition) {
            write_schema(folder, &api_version, &kind, &schema);
            written.insert((api_version, kind));
        }
    }
    written
}

/// kubeconform's errors, by file.
fn findings(schemas: &Path, version: &str, manifests: &Path) -> Vec<String> {
    let template = schemas.join("{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json");
    let output = Command::new(checker("kubeconform"))
        .args(["-strict", "-verbose", "-output", "json", "-kubernetes-version"])
        .arg(version.trim_start_matches('v'))
        .arg("-schema-location")
        .arg(template)
        .arg(manifests)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    });
    let results = report["resources"].as_array().unwrap();
    assert_eq!(
        results.len(),
        fs::read_dir(manifests).unwrap().count(),
        "each is looked at"
    );
    let wrong = |result: &&Value| result["status"] != "statusValid";
    results
        .iter()
        .filter(wrong)
        .map(|result| format!("{} {}", result["filename"], result["msg"]))
        .collect()
}

#[tokio::test]
async fn manifests_conform_to_schemas_of_supported_versions() {
    let temp_dir = TempDir::new("conform").unwrap();
    let folder = temp_dir.path().join("manifests");
    fs::create_dir(&folder).unwrap();
    let manifests = manifests().await;
    assert!(manifests.len() > 400, "{}", manifests.len());
    for (name, object) in &manifests {
        fs::write(folder.join(format!("{name}.yaml")), object.to_string()).unwrap();
    }
    let wrong = temp_dir.path().join("wrong");
    fs::create_dir(&wrong).unwrap();
    for (name, object) in planted(&manifests) {
        fs::write(wrong.join(format!("{name}.yaml")), object.to_string()).unwrap();
    }
    let kinds = kinds(manifests.iter().map(|(_, object)| object));
    for version in &VERSIONS {
        let schemas = temp_dir.path().join(version.version);
        let missing = write_schemas(&schemas, version, &kinds);
        let theirs = write_definitions(&schemas);
        assert!(
            missing.iter().all(|kind| theirs.contains(kind)),
            "{}: {missing:?}",
            version.version
        );
        let found = findings(&schemas, version.version, &folder);
        assert!(found.is_empty(), "{}:\n{}", version.version, found.join("\n"));
        let found = findings(&schemas, version.version, &wrong);
        assert_eq!(found.len(), 4, "the check can fail: {found:?}");
    }
}

/// Four manifests, each with a mistake.
fn planted(manifests: &[(String, Value)]) -> Vec<(String, Value)> {
    let one = |kind: &str, path: &str, value: Value| {
        let (_, object) = manifests
            .iter()
            .find(|(_, object)| object["kind"] == kind)
            .unwrap();
        let mut object = object.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        (kind.to_owned(), object)
    };
    vec![
        one(
            "Deployment",
            "/spec/template/spec/containers/0/imagePulPolicy",
            json!("Always"),
        ),
        one("HorizontalPodAutoscaler", "/spec/maxReplicas", json!("six")),
        one("Cluster", "/spec/instancez", json!(3)),
        one("ArxivQuery", "/spec/sortBy", json!("colour")),
    ]
}

/// The first and the last version are those of the chart and of the tests.
#[test]
fn schema_versions_equal_those_of_chart_and_control_plane() {
    let chart = read("charts/arxiv-operator/Chart.yaml").unwrap();
    let oldest = VERSIONS[0]
        .version
        .trim_start_matches('v')
        .rsplit_once('.')
        .unwrap()
        .0;
    assert!(
        chart.contains(&format!("kubeVersion: \">={oldest}.0-0\"")),
        "{chart}"
    );
    let plane = read("crates/testbed/controlplane/go.mod").unwrap();
    let newest = format!("k8s.io/kubernetes {}", VERSIONS[2].version);
    assert!(plane.contains(&newest), "the control plane is not {newest}");
}
