//! What users add or replace: it is there once, and theirs.

use chart::{pods, refusal, render};
use serde_json::{Value, json};

#[test]
fn users_label_replaces_the_usual_one_but_not_those_of_selectors() {
    let values = "
commonLabels: {app.kubernetes.io/part-of: papers, app.kubernetes.io/component: mine, app.kubernetes.io/managed-by: me, helm.sh/chart: own}
monitoring: {dashboard: {enabled: true, labels: {app.kubernetes.io/part-of: grafana}}}";
    // A key that is there twice is an error of the parser.
    let objects = render(values).unwrap();
    for object in objects.iter() {
        let labels = &object["metadata"]["labels"];
        let part_of = if labels["app.kubernetes.io/component"] == "dashboard" {
            "grafana"
        } else {
            "papers"
        };
        assert_eq!(labels["app.kubernetes.io/part-of"], part_of, "{object}");
        assert_eq!(labels["helm.sh/chart"], "own", "{object}");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{object}");
        assert_ne!(labels["app.kubernetes.io/component"], "mine", "{object}");
    }
    for deployment in objects.of("Deployment") {
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        for (key, value) in deployment["spec"]["selector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(labels[key], *value, "{key}");
        }
    }
}

#[test]
fn users_entry_of_a_list_with_keys_replaces_the_charts() {
    let values = "
global: {imagePullSecrets: [shared, {name: ours}]}
postgres: {tls: {rootCert: {secret: pg-ca}}}
pod:
  imagePullSecrets: [{name: shared}, {name: shared}]
  extraEnv: [{name: LOG_LEVEL, value: DEBUG}, {name: A, value: '1'}, {name: A, value: '2'}]
  extraVolumes: [{name: postgres-ca, emptyDir: {}}]
  extraVolumeMounts: [{name: postgres-ca, mountPath: /etc/arxiv-operator/postgres-ca}]";
    for pod in pods(&render(values).unwrap()) {
        let named = |list: &Value, key: &str, name: &str| -> Vec<Value> {
            let list = list.as_array().into_iter().flatten();
            list.filter(|item| item[key] == name).cloned().collect()
        };
        let env = &pod.container["env"];
        assert_eq!(
            named(env, "name", "LOG_LEVEL"),
            [json!({"name": "LOG_LEVEL", "value": "DEBUG"})]
        );
        assert_eq!(
            named(env, "name", "A"),
            [json!({"name": "A", "value": "2"})],
            "{}",
            pod.name
        );
        let secrets = json!([{"name": "shared"}, {"name": "ours"}]);
        assert_eq!(pod.pod["imagePullSecrets"], secrets, "{}", pod.name);
        let volume = json!({"name": "postgres-ca", "emptyDir": {}});
        assert_eq!(
            named(&pod.pod["volumes"], "name", "postgres-ca"),
            [volume],
            "{}",
            pod.name
        );
        let path = "/etc/arxiv-operator/postgres-ca";
        let mounts = named(&pod.container["volumeMounts"], "mountPath", path);
        assert_eq!(mounts.len(), 1, "{}", pod.name);
    }
}

#[test]
fn every_image_is_ours_and_from_the_set_registry() {
    let objects = render("image: {registry: ghcr.io/acme}\napiServer: {mode: perEndpoint}").unwrap();
    for pod in pods(&objects) {
        let image = pod.container["image"].as_str().unwrap();
        let ours = ["ghcr.io/acme/arxiv-operator:", "ghcr.io/acme/arxiv-api-server:"];
        assert!(
            ours.iter().any(|ours| image.starts_with(ours)),
            "{}: {image}",
            pod.name
        );
    }
    let test = objects.only("Pod").unwrap();
    let container = &test["spec"]["containers"][0];
    assert!(container["command"].is_null(), "no shell");
    assert_eq!(container["args"][0], "check");
}

#[test]
fn existing_service_accounts_are_used_in_place_of_the_charts() {
    let values = "
operator: {serviceAccount: {create: false, name: run}}
apiServer: {mode: frontendBackend, access: {endpoints: all}, serviceAccount: {create: false, name: serve}}
migrations: {serviceAccount: {create: false, name: prepare}}";
    let objects = render(values).unwrap();
    assert_eq!(objects.names("ServiceAccount"), ["papers-arxiv-operator-test"]);
    for pod in pods(&objects).iter().filter(|pod| pod.kind != "Pod") {
        let expected = match pod.container["name"].as_str().unwrap() {
            "operator" => "run",
            "api-server" => "serve",
            _ => "prepare",
        };
        assert_eq!(pod.pod["serviceAccountName"], expected, "{}", pod.name);
    }
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        for binding in objects.of(kind) {
            let subjects = binding["subjects"].as_array().unwrap();
            for subject in subjects {
                let name = subject["name"].as_str().unwrap();
                assert!(["run", "serve"].contains(&name), "{binding}");
            }
            assert_eq!(subjects.len(), 1, "{binding}");
        }
    }
    let message = refusal("operator: {serviceAccount: {create: false}}").unwrap();
    assert!(message.contains("serviceAccount.create is false"), "{message}");
}

#[test]
fn roles_of_the_processes_are_omitted_when_set() {
    let values = "rbac: {create: false, aggregate: false}\napiServer: {access: {endpoints: all}}";
    let objects = render(values).unwrap();
    for kind in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
        assert!(objects.of(kind).is_empty(), "{kind}");
    }
}

#[test]
fn probes_history_and_annotations_of_the_definition_are_as_set() {
    let values = "
probes: {liveness: {periodSeconds: 7}, readiness: {failureThreshold: 9}, startup: {periodSeconds: 2, failureThreshold: 30}}
revisionHistoryLimit: 2
crds: {annotations: {team: papers}}";
    let objects = render(values).unwrap();
    for deployment in objects.of("Deployment") {
        assert_eq!(deployment["spec"]["revisionHistoryLimit"], 2);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["livenessProbe"]["periodSeconds"], 7);
        assert_eq!(
            container["livenessProbe"]["failureThreshold"], 6,
            "the others stay"
        );
        assert_eq!(container["readinessProbe"]["failureThreshold"], 9);
        let startup = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 2, "failureThreshold": 30});
        assert_eq!(container["startupProbe"], startup);
    }
    for definition in objects.of("CustomResourceDefinition") {
        let annotations = &definition["metadata"]["annotations"];
        assert_eq!(annotations["team"], "papers");
        assert_eq!(annotations["helm.sh/resource-policy"], "keep");
    }
    let message = refusal("probes: {liveness: {httpGet: {path: /x}}}").unwrap();
    assert!(message.contains("httpGet"), "{message}");
}

#[test]
fn processes_of_different_rights_never_share_an_account_of_the_chart() {
    for values in [
        "operator: {serviceAccount: {name: papers}}\napiServer: {serviceAccount: {name: papers}}",
        "operator: {serviceAccount: {name: papers}}\nmigrations: {serviceAccount: {name: papers}}",
        "apiServer: {serviceAccount: {name: papers-arxiv-operator-test}}",
    ] {
        let message = refusal(values).unwrap();
        assert!(
            message.contains("would share the ServiceAccount papers"),
            "{message}"
        );
    }
    // Deployments of the API server may, and accounts that are there already.
    render("apiServer: {mode: perEndpoint, serviceAccount: {name: papers}}").unwrap();
    let shared = "{serviceAccount: {create: false, name: papers}}";
    render(&format!(
        "operator: {shared}\napiServer: {shared}\nmigrations: {shared}"
    ))
    .unwrap();
}

#[test]
fn empty_label_and_repeated_host_are_taken_as_they_are() {
    let values = "
commonLabels: {team: ''}
commonAnnotations: {note: ''}
ingress: {enabled: true, hosts: [a.example, a.example]}
httpRoute: {enabled: true, parentRefs: [{name: public}], hostnames: [a.example, a.example]}
operator: {watchNamespaces: [library, library]}";
    let objects = render(values).unwrap();
    for object in objects.iter() {
        assert_eq!(object["metadata"]["labels"]["team"], "", "{object}");
        assert_eq!(object["metadata"]["annotations"]["note"], "", "{object}");
    }
    let route = objects.only("HTTPRoute").unwrap();
    assert_eq!(route["spec"]["hostnames"], json!(["a.example"]));
    let ingress = objects.only("Ingress").unwrap();
    assert_eq!(ingress["spec"]["rules"].as_array().unwrap().len(), 1);
}
