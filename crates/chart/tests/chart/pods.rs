//! Requirements of all pods.

use chart::{Container, pods, refusal, render};
use serde_json::{Value, json};

const MODES: [&str; 3] = ["together", "frontendBackend", "perEndpoint"];

fn mode(mode: &str) -> String {
    format!("apiServer: {{mode: {mode}}}")
}

#[test]
fn containers_are_restricted_and_have_requests() {
    for values in MODES.map(mode) {
        let objects = render(&values).unwrap();
        let pods = pods(&objects);
        assert!(pods.len() >= 4, "operator, API server, migrations and test");
        for Container {
            name, pod, container, ..
        } in pods
        {
            assert_eq!(pod["containers"].as_array().unwrap().len(), 1, "{name}");
            let resources = &container["resources"];
            assert!(
                resources["requests"]["cpu"].is_string() && resources["requests"]["memory"].is_string(),
                "{name}"
            );
            assert!(
                resources["limits"]["memory"].is_string() && resources["limits"]["cpu"].is_null(),
                "{name}"
            );
            assert_eq!(
                container["securityContext"],
                json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}),
                "{name}"
            );
            let context = &pod["securityContext"];
            assert_eq!(context["runAsNonRoot"], true, "{name}");
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert_eq!(
                pod["enableServiceLinks"], false,
                "{name}: variables of Services would be taken for settings"
            );
            assert!(pod["hostNetwork"].is_null() && pod["hostPID"].is_null(), "{name}");
        }
    }
}

#[test]
fn servers_have_probes_and_grace_period_above_drain() {
    for values in MODES.map(mode) {
        let objects = render(&format!("{values}\narxiv: {{timeoutMilliseconds: 7500}}")).unwrap();
        for pod in pods(&objects).iter().filter(|pod| pod.kind == "Deployment") {
            let (name, container) = (pod.name, pod.container);
            assert_eq!(
                container["livenessProbe"]["httpGet"],
                json!({"path": "/healthz", "port": "http"}),
                "{name}"
            );
            assert_eq!(
                container["readinessProbe"]["httpGet"],
                json!({"path": "/readyz", "port": "http"}),
                "{name}"
            );
            let grace = pod.pod["terminationGracePeriodSeconds"].as_u64().unwrap();
            let drain = match pod.env().get("DRAIN_SECONDS") {
                Some(seconds) => {
                    let pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
                        .as_u64()
                        .unwrap();
                    let arxiv = if pod.stores().contains(&"UPSTREAM".to_owned()) {
                        8
                    } else {
                        0
                    };
                    seconds.parse::<u64>().unwrap() + pre_stop + arxiv
                }
                None => 25,
            };
            assert!(grace > drain, "{name}: {grace} s for {drain} s");
        }
    }
}

#[test]
fn pod_settings_apply_to_all_and_can_be_overridden() {
    let values = r#"
commonLabels: {team: papers}
commonAnnotations: {note: all}
pod:
  labels: {colour: blue}
  annotations: {scrape: "no"}
  imagePullSecrets: [{name: ours}]
  nodeSelector: {disk: ssd}
  tolerations: [{key: spot, operator: Exists}]
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: arch, operator: Exists}]}]}}}
  priorityClassName: high
  runtimeClassName: gvisor
  dnsConfig: {options: [{name: ndots, value: "1"}]}
  extraEnv: [{name: TZ, value: UTC}]
  extraVolumes: [{name: tmp, emptyDir: {}}]
  extraVolumeMounts: [{name: tmp, mountPath: /tmp}]
global: {imageRegistry: mirror.example/x, imagePullSecrets: [theirs, {name: more}]}
operator:
  pod: {nodeSelector: {disk: hdd, zone: a}, tolerations: []}
  image: {digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
apiServer:
  mode: perEndpoint
  pod: {priorityClassName: low}
  components: {results: {pod: {priorityClassName: lowest}}}
"#;
    let objects = render(values).unwrap();
    for object in objects.iter() {
        if object["kind"] != "Pod" {
            assert_eq!(
                object["metadata"]["labels"]["team"], "papers",
                "{}",
                object["metadata"]
            );
            assert_eq!(
                object["metadata"]["annotations"]["note"], "all",
                "{}",
                object["metadata"]
            );
        }
    }
    for Container {
        name,
        metadata,
        pod,
        container,
        ..
    } in pods(&objects)
    {
        assert_eq!(metadata["labels"]["colour"], "blue", "{name}");
        assert_eq!(metadata["annotations"]["scrape"], "no", "{name}");
        assert_eq!(
            pod["imagePullSecrets"],
            json!([{"name": "ours"}, {"name": "theirs"}, {"name": "more"}]),
            "{name}"
        );
        assert_eq!(pod["runtimeClassName"], "gvisor", "{name}");
        assert_eq!(pod["dnsConfig"]["options"][0]["name"], "ndots", "{name}");
        assert!(pod["affinity"]["nodeAffinity"].is_object(), "{name}");
        let has = |list: &Value, name: &str, value: &str| {
            let mut entries = list.as_array().unwrap().iter();
            entries.any(|entry| entry[name] == value)
        };
        assert!(has(&pod["volumes"], "name", "tmp"), "{name}");
        assert!(has(&container["volumeMounts"], "mountPath", "/tmp"), "{name}");
        let has_variable = |entry: &Value| *entry == json!({"name": "TZ", "value": "UTC"});
        assert!(
            container["env"].as_array().unwrap().iter().any(has_variable),
            "{name}"
        );
        let operator = name.ends_with("-operator") && !name.contains("-api");
        let disk = if operator {
            json!({"disk": "hdd", "zone": "a"})
        } else {
            json!({"disk": "ssd"})
        };
        assert_eq!(pod["nodeSelector"], disk, "{name}");
        assert_eq!(
            pod["tolerations"].is_null(),
            operator,
            "{name}: lists take each other's place"
        );
        let priority = match name {
            _ if name.ends_with("operator-results") => "lowest",
            _ if container["name"] == "api-server" => "low",
            _ => "high",
        };
        assert_eq!(pod["priorityClassName"], priority, "{name}");
        let image = container["image"].as_str().unwrap();
        assert!(image.starts_with("mirror.example/x/"), "{image}");
        let pinned = container["name"] != "api-server";
        assert_eq!(image.contains("@sha256:"), pinned, "{image}");
    }
}

#[test]
fn topology_spread_uses_own_labels() {
    let objects = render("apiServer: {mode: frontendBackend}").unwrap();
    for Container {
        name, metadata, pod, ..
    } in pods(&objects)
    {
        let constraints = pod["topologySpreadConstraints"].as_array().unwrap();
        assert_eq!(constraints.len(), 2, "{name}");
        for constraint in constraints {
            let labels = constraint["labelSelector"]["matchLabels"].as_object().unwrap();
            assert!(labels.len() >= 3, "{name}");
            for (key, value) in labels {
                assert_eq!(metadata["labels"][key], *value, "{name}");
            }
        }
    }
}

#[test]
fn ca_certificates_are_mounted_as_files() {
    let values = "
arxiv: {caBundle: {configMap: company-ca}}
postgres: {tls: {mode: verify-full, rootCert: {secret: pg-ca, key: root.crt}}}
apiServer: {mode: perEndpoint}";
    let objects = render(values).unwrap();
    for pod in pods(&objects) {
        let (env, name) = (pod.env(), pod.name);
        if pod.kind == "Pod" {
            continue;
        }
        assert_eq!(env["DATABASE_SSLMODE"], "verify-full", "{name}");
        let mounts = pod.container["volumeMounts"].as_array().unwrap().iter();
        let mounts: Vec<_> = mounts.filter(|mount| mount["name"] != "log-level").collect();
        let asks_arxiv = env.contains_key("ARXIV_API_URL");
        // One of them is that of the credentials.
        assert_eq!(mounts.len(), if asks_arxiv { 3 } else { 2 }, "{name}");
        for (variable, there) in [("DATABASE_CA_FILE", true), ("ARXIV_CA_BUNDLE", asks_arxiv)] {
            assert_eq!(env.contains_key(variable), there, "{name}");
            let of_file = |mount: &&Value| env[variable].starts_with(mount["mountPath"].as_str().unwrap());
            assert!(!there || mounts.iter().any(of_file), "{name}");
        }
    }
}

#[test]
fn running_processes_read_their_log_level_from_a_file_that_no_rollout_needs() {
    let pods_at = |level: &str| {
        let objects = render(&format!("log: {{level: '{level}'}}")).unwrap();
        let stored = objects.get("ConfigMap", "papers-arxiv-operator-log").unwrap();
        assert_eq!(stored["data"]["level"], level);
        let mut templates = Vec::new();
        for pod in pods(&objects) {
            if ["operator", "api-server"].contains(&pod.container["name"].as_str().unwrap()) {
                let mounts = pod.container["volumeMounts"].as_array().unwrap().iter();
                let mut mounts = mounts.filter(|mount| mount["name"] == "log-level");
                let folder = mounts.next().unwrap()["mountPath"].as_str().unwrap();
                assert_eq!(pod.env()["LOG_LEVEL_FILE"], format!("{folder}/level"));
                templates.push(pod.pod.clone());
            }
        }
        templates
    };
    assert_eq!(pods_at("NOTICE"), pods_at("DEBUG,access=off"));
    assert!(!pods_at("NOTICE").is_empty());
    for level in ["LOUD", "NOTICE,storage", "NOTICE storage=DEBUG"] {
        let refused = refusal(&format!("log: {{level: '{level}'}}")).unwrap();
        assert!(refused.contains("level"), "{refused}");
    }
}

#[test]
fn no_pod_uses_daemonset_or_default_account() {
    for values in MODES.map(mode) {
        let objects = render(&values).unwrap();
        assert!(objects.of("DaemonSet").is_empty());
        let accounts = objects.names("ServiceAccount");
        for pod in pods(&objects) {
            assert!(
                accounts.contains(&pod.pod["serviceAccountName"].as_str().unwrap()),
                "{}",
                pod.name
            );
        }
        for account in objects.of("ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false);
        }
    }
}

#[test]
fn services_have_set_ip_families() {
    let objects = render("service: {ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6, IPv4]}").unwrap();
    for service in objects.of("Service") {
        assert_eq!(service["spec"]["ipFamilyPolicy"], "PreferDualStack");
        assert_eq!(service["spec"]["ipFamilies"], json!(["IPv6", "IPv4"]));
    }
}

#[test]
fn run_as_user_can_be_unset() {
    let objects = render("pod: {securityContext: {runAsUser: null, runAsGroup: null}}").unwrap();
    for pod in pods(&objects) {
        let context = pod.pod["securityContext"].as_object().unwrap();
        assert!(
            !context.contains_key("runAsUser") && !context.contains_key("runAsGroup"),
            "{context:?}"
        );
        assert_eq!(context["runAsNonRoot"], true);
    }
}

#[test]
fn extra_objects_are_templates() {
    let values = "extraObjects:\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}-more'}}\n  - |\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: {{ include \"arxiv-operator.fullname\" . }}}\n";
    let objects = render(values).unwrap();
    assert_eq!(
        objects.names("ConfigMap"),
        [
            "papers-arxiv-operator",
            "papers-arxiv-operator-log",
            "papers-more"
        ]
    );
}
