//! Autoscalers, disruption budgets and the pools that are computed from them.

use std::collections::BTreeMap;

use chart::{pods, refusal, render};
use serde_json::json;

#[test]
fn replicas_are_omitted_with_autoscaler() {
    for mode in ["together", "frontendBackend", "perEndpoint"] {
        let objects = render(&format!("apiServer: {{mode: {mode}, components: {{backend: {{autoscaling: {{enabled: false}}, replicas: 5}}}}}}")).unwrap();
        let scaled: Vec<&str> = objects
            .of("HorizontalPodAutoscaler")
            .iter()
            .map(|scaler| scaler["spec"]["scaleTargetRef"]["name"].as_str().unwrap())
            .collect();
        assert!(!scaled.is_empty());
        for deployment in objects.of("Deployment") {
            let name = deployment["metadata"]["name"].as_str().unwrap();
            let replicas = &deployment["spec"]["replicas"];
            assert_eq!(replicas.is_null(), scaled.contains(&name), "{name}");
            if name.ends_with("-backend") {
                assert_eq!(*replicas, 5);
            }
        }
    }
}

#[test]
fn replicas_are_omitted_when_null() {
    let values = "apiServer: {autoscaling: {enabled: false, maxReplicas: 9}, replicas: null}";
    let objects = render(values).unwrap();
    let deployment = objects.get("Deployment", "papers-arxiv-operator-api").unwrap();
    assert!(deployment["spec"]["replicas"].is_null());
    assert!(objects.of("HorizontalPodAutoscaler").is_empty());
    let all = pods(&objects);
    let api = all
        .iter()
        .find(|pod| pod.container["name"] == "api-server")
        .unwrap();
    assert_eq!(
        api.env()["DATABASE_MAX_CONNECTIONS"],
        "2",
        "30 for /arxiv-api over 10 pods, less the gate's"
    );
}

#[test]
fn autoscaler_scales_up_at_once_and_down_slowly() {
    let values = r#"
apiServer:
  autoscaling:
    pendingQueries: {enabled: true, averageValue: "500"}
    metrics: [{type: External, external: {metric: {name: arxiv_pending}, target: {type: AverageValue, averageValue: "10"}}}]
  components: {api: {autoscaling: {maxReplicas: 9}}}
"#;
    let objects = render(values).unwrap();
    let spec = &objects.only("HorizontalPodAutoscaler").unwrap()["spec"];
    assert_eq!(
        (&spec["minReplicas"], &spec["maxReplicas"]),
        (&json!(2), &json!(9))
    );
    assert_eq!(
        spec["metrics"][0]["resource"]["target"],
        json!({"type": "Utilization", "averageUtilization": 70})
    );
    assert_eq!(
        spec["metrics"][1]["external"],
        json!({"metric": {"name": "arxiv_pending_queries"}, "target": {"type": "AverageValue", "averageValue": "500"}})
    );
    assert_eq!(spec["metrics"][2]["external"]["metric"]["name"], "arxiv_pending");
    assert_eq!(spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"], 0);
    assert_eq!(spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 300);
}

#[test]
fn only_arxiv_deployments_scale_by_pending_queries() {
    let values = "apiServer: {mode: perEndpoint, autoscaling: {pendingQueries: {enabled: true}}}";
    for scaler in render(values).unwrap().of("HorizontalPodAutoscaler") {
        let metrics = scaler["spec"]["metrics"].as_array().unwrap().len();
        let arxiv = scaler["metadata"]["name"] == "papers-arxiv-operator-arxiv";
        assert_eq!(
            metrics,
            if arxiv { 2 } else { 1 },
            "{}",
            scaler["metadata"]["name"]
        );
    }
}

#[test]
fn disruption_budgets_allow_drains() {
    let objects = render("apiServer: {mode: perEndpoint}").unwrap();
    for deployment in objects.of("Deployment") {
        let name = deployment["metadata"]["name"].as_str().unwrap();
        let budget = objects.get("PodDisruptionBudget", name).unwrap();
        assert_eq!(
            budget["spec"]["selector"], deployment["spec"]["selector"],
            "{name}"
        );
        assert_eq!(budget["spec"]["maxUnavailable"], 1, "{name}");
        assert_eq!(
            budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow",
            "{name}"
        );
    }
}

#[test]
fn pools_of_all_pods_are_within_connection_budget() {
    let cases = [
        "apiServer: {mode: together}",
        "apiServer: {mode: frontendBackend}",
        "apiServer: {mode: perEndpoint}",
        "apiServer: {mode: perEndpoint, rollingUpdate: {maxSurge: 34%}}\npostgres: {connectionBudget: {readOnly: 300, upstream: 40}}",
        "apiServer: {mode: frontendBackend, autoscaling: {enabled: false}, replicas: 3}",
        "apiServer: {mode: perEndpoint, components: {results: {autoscaling: {maxReplicas: 20}}}}\npostgres: {connectionBudget: {readOnly: 200}}",
    ];
    for values in cases {
        let objects = render(values).unwrap();
        let budgets = if values.contains("readOnly: 300") {
            [("RO", 300), ("UPSTREAM", 40)]
        } else {
            [("RO", 200), ("UPSTREAM", 30)]
        };
        let mut budget = BTreeMap::from([("RO", 80), ("RW", 40), ("SEQUENCE", 30), ("UPSTREAM", 30)]);
        if values.contains("connectionBudget") {
            budget.extend(budgets);
        }
        let mut taken: BTreeMap<String, u64> = BTreeMap::new();
        for pod in pods(&objects)
            .iter()
            .filter(|pod| pod.container["name"] == "api-server")
        {
            let deployment = objects.get("Deployment", pod.name).unwrap();
            let most = match objects.get("HorizontalPodAutoscaler", pod.name) {
                Ok(scaler) => scaler["spec"]["maxReplicas"].as_u64().unwrap(),
                Err(_) => deployment["spec"]["replicas"].as_u64().unwrap(),
            };
            let surge = match &deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] {
                share if share == "34%" => (most * 34).div_ceil(100),
                number => number.as_u64().unwrap(),
            };
            let pool: u64 = pod.env()["DATABASE_MAX_CONNECTIONS"].parse().unwrap();
            assert!(pool >= 1);
            for store in pod.stores() {
                let gate = u64::from(store == "UPSTREAM");
                *taken.entry(store).or_default() += (pool + gate) * (most + surge);
            }
        }
        assert_eq!(taken.len(), 4, "{values}");
        for (store, taken) in taken {
            let most = budget[store.as_str()];
            assert!(taken <= most, "{values}: {taken} connections as {store}");
        }
    }
}

#[test]
fn too_small_budget_is_refused_and_zero_uses_the_setting() {
    let message = refusal("apiServer: {autoscaling: {maxReplicas: 100}}").unwrap();
    assert!(
        message.contains("postgres.connectionBudget.readOnly is 80, but up to 101 pods"),
        "{message}"
    );
    let none = "postgres: {connectionBudget: {readOnly: 0, readWrite: 0, sequence: 0, upstream: 0}}\napiServer: {settings: {databaseMaxConnections: 7}}";
    let objects = render(none).unwrap();
    let pods = pods(&objects);
    let api = pods
        .iter()
        .find(|pod| pod.container["name"] == "api-server")
        .unwrap();
    assert_eq!(api.env()["DATABASE_MAX_CONNECTIONS"], "7");
}
