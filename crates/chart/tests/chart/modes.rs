//! The three modes of the API server, and the routes to it.

use std::collections::BTreeMap;

use chart::{Objects, pods, render};
use serde_json::Value;

const ENDPOINTS: [&str; 9] = [
    "arxiv",
    "queries",
    "results",
    "arxiv-api",
    "get-sequence",
    "read-queries",
    "read-results",
    "write-queries",
    "write-results",
];
/// The Deployments of the mode `perEndpoint`.
pub(crate) const TEN: [&str; 10] = [
    "arxiv",
    "queries",
    "queries-post",
    "results",
    "arxiv-api",
    "get-sequence",
    "read-queries",
    "read-results",
    "write-queries",
    "write-results",
];

/// The endpoints of each Deployment of the API server, by its name.
fn served(objects: &Objects) -> BTreeMap<String, String> {
    pods(objects)
        .iter()
        .filter(|pod| pod.container["name"] == "api-server")
        .filter_map(|pod| Some((pod.name.to_owned(), pod.env().get("SERVE")?.clone())))
        .collect()
}

fn named(short: &str) -> String {
    format!("papers-arxiv-operator-{short}")
}

#[test]
fn mode_has_its_deployments() {
    for (mode, expected) in [
        ("together", vec![("api", "all")]),
        (
            "frontendBackend",
            vec![("backend", "backend"), ("frontend", "frontend")],
        ),
        (
            "perEndpoint",
            TEN.iter()
                .map(|name| (*name, name.trim_end_matches("-post")))
                .collect(),
        ),
    ] {
        let objects = render(&format!("apiServer: {{mode: {mode}}}")).unwrap();
        let expected: BTreeMap<String, String> = expected
            .into_iter()
            .map(|(name, serve)| (named(name), serve.to_owned()))
            .collect();
        assert_eq!(served(&objects), expected, "{mode}");
    }
}

#[test]
fn per_endpoint_mode_has_ten_of_each_kind() {
    let objects = render("apiServer: {mode: perEndpoint}").unwrap();
    for kind in [
        "Deployment",
        "Service",
        "ServiceAccount",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
    ] {
        let names = objects.names(kind);
        for short in TEN {
            assert!(names.contains(&named(short).as_str()), "no {kind} for {short}");
        }
    }
    for service in objects.of("Service") {
        let name = service["metadata"]["name"].as_str().unwrap();
        let template = &objects.get("Deployment", name).unwrap()["spec"]["template"];
        for (key, value) in service["spec"]["selector"].as_object().unwrap() {
            assert_eq!(template["metadata"]["labels"][key], *value, "{name}");
        }
    }
}

#[test]
fn api_server_is_omitted_when_disabled() {
    let objects = render("apiServer: {enabled: false}\ningress: {enabled: true}").unwrap();
    assert_eq!(objects.names("Deployment"), ["papers-arxiv-operator-operator"]);
    for kind in ["Ingress", "HorizontalPodAutoscaler"] {
        assert!(objects.of(kind).is_empty(), "{kind}");
    }
    assert_eq!(objects.names("Role"), ["papers-arxiv-operator-operator-lease"]);
}

/// The endpoints that the pods of a Service serve.
fn serves(objects: &Objects, service: &Value, endpoint: &str) -> bool {
    let Some(selector) = service["spec"]["selector"].as_object() else {
        return false;
    };
    let chosen: Vec<_> = pods(objects)
        .into_iter()
        .filter(|pod| pod.kind == "Deployment")
        .filter(|pod| {
            selector
                .iter()
                .all(|(key, value)| pod.metadata["labels"][key] == *value)
        })
        .collect();
    // Papers and feeds are served with the results.
    let endpoint = if ["papers", "feeds"].contains(&endpoint) {
        "results"
    } else {
        endpoint
    };
    let serves = |serve: &str| match serve {
        "all" => true,
        "frontend" => ENDPOINTS[..3].contains(&endpoint),
        "backend" => ENDPOINTS[3..].contains(&endpoint),
        one => one == endpoint,
    };
    !chosen.is_empty()
        && chosen
            .iter()
            .all(|pod| pod.env().get("SERVE").is_some_and(|serve| serves(serve)))
}

#[test]
fn ingress_routes_each_path_to_pods_that_serve_it() {
    for mode in ["together", "frontendBackend", "perEndpoint"] {
        let all = format!("routes: {{endpoints: [{}]}}", ENDPOINTS.join(", "));
        for (routes, count) in [("", 5), (all.as_str(), 11)] {
            let values = format!(
                "{routes}\napiServer: {{mode: {mode}}}\ningress: {{enabled: true, className: c, hosts: [a.example, b.example]}}"
            );
            let objects = render(&values).unwrap();
            let ingress = objects.only("Ingress").unwrap();
            let rules = ingress["spec"]["rules"].as_array().unwrap();
            assert_eq!(rules.len(), 2);
            for rule in rules {
                let paths = rule["http"]["paths"].as_array().unwrap();
                assert_eq!(paths.len(), count, "{mode}");
                for path in paths {
                    let endpoint = path["path"].as_str().unwrap().trim_start_matches('/');
                    assert_eq!(path["pathType"], "Prefix", "/arxiv/NAME goes with /arxiv");
                    let service = path["backend"]["service"]["name"].as_str().unwrap();
                    let service = objects.get("Service", service).unwrap();
                    assert_eq!(
                        service["spec"]["ports"][0]["port"],
                        path["backend"]["service"]["port"]["number"]
                    );
                    assert!(serves(&objects, service, endpoint), "{mode} {endpoint}");
                }
            }
        }
    }
}

#[test]
fn http_route_routes_each_path_and_method_to_pods_that_serve_it() {
    for (mode, rules) in [("together", 12), ("frontendBackend", 12), ("perEndpoint", 15)] {
        let values = format!(
            "routes: {{endpoints: [{}]}}\napiServer: {{mode: {mode}}}\nhttpRoute: {{enabled: true, parentRefs: [{{name: public}}]}}",
            ENDPOINTS.join(", ")
        );
        let objects = render(&values).unwrap();
        let spec = &objects.only("HTTPRoute").unwrap()["spec"];
        assert_eq!(spec["rules"].as_array().unwrap().len(), rules, "{mode}");
        for rule in spec["rules"].as_array().unwrap() {
            let service = rule["backendRefs"][0]["name"].as_str().unwrap();
            for part in rule["matches"].as_array().unwrap() {
                let endpoint = part["path"]["value"].as_str().unwrap().trim_start_matches('/');
                assert!(
                    serves(&objects, objects.get("Service", service).unwrap(), endpoint),
                    "{mode} {endpoint}"
                );
                if !service.ends_with("-post") {
                    assert!(part["method"].is_null(), "{part}");
                }
            }
            let is_long = |part: &Value| part["headers"].is_array() || part["queryParams"].is_array();
            let (long, usual): (Vec<_>, Vec<_>) = rule["matches"]
                .as_array()
                .unwrap()
                .iter()
                .partition(|part| is_long(part));
            assert!(long.is_empty() || usual.is_empty(), "{rule}");
            // Streams and exports have no limit; others one above the 30 s that /arxiv waits.
            let expected = if usual.is_empty() { "0s" } else { "60s" };
            assert_eq!(rule["timeouts"]["request"], expected, "{rule}");
        }
        let rules = spec["rules"].as_array().unwrap();
        // Browsers send OPTIONS first; the API server, not the gateway, answers methods that no endpoint has.
        for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE"] {
            for endpoint in ENDPOINTS {
                let service = routed(rules, method, endpoint)
                    .unwrap_or_else(|| panic!("{mode}: {method} /{endpoint} leads nowhere"));
                if endpoint == "results" {
                    assert_eq!(routed(rules, method, "papers"), Some(service), "{mode}");
                    assert_eq!(routed(rules, method, "feeds"), Some(service), "{mode}");
                }
                if mode == "perEndpoint" {
                    let expected = if (method, endpoint) == ("POST", "queries") {
                        "queries-post"
                    } else {
                        endpoint
                    };
                    assert_eq!(service, named(expected), "{method} /{endpoint}");
                }
            }
        }
    }
}

/// The Service of a request: among the rules for its path one with the method takes precedence, as Gateway API specifies.
fn routed<'a>(rules: &'a [Value], method: &str, endpoint: &str) -> Option<&'a str> {
    let of = |wanted: Value| {
        let rule = rules.iter().find(|rule| {
            let mut matches = rule["matches"].as_array().into_iter().flatten();
            matches.any(|part| {
                let plain = part["headers"].is_null() && part["queryParams"].is_null();
                plain && part["path"]["value"] == format!("/{endpoint}") && part["method"] == wanted
            })
        });
        rule?["backendRefs"][0]["name"].as_str()
    };
    of(method.into()).or_else(|| of(Value::Null))
}

#[test]
fn streams_and_exports_are_routed_without_the_timeout() {
    for mode in ["together", "frontendBackend", "perEndpoint"] {
        let values = format!(
            "apiServer: {{mode: {mode}}}\nhttpRoute: {{enabled: true, parentRefs: [{{name: public}}]}}"
        );
        let objects = render(&values).unwrap();
        let rules = objects.only("HTTPRoute").unwrap()["spec"]["rules"].clone();
        let rules = rules.as_array().unwrap();
        assert!(rules.len() <= 16, "the most of one HTTPRoute");
        let accept = serde_json::json!([{"type": "Exact", "name": "Accept", "value": "text/event-stream"}]);
        let all = serde_json::json!([{"type": "Exact", "name": "all", "value": "true"}]);
        for (endpoint, key, condition) in [
            ("arxiv", "headers", &accept),
            ("feeds", "headers", &accept),
            ("arxiv", "queryParams", &all),
            ("queries", "queryParams", &all),
            ("results", "queryParams", &all),
        ] {
            let is_it =
                |part: &Value| part["path"]["value"] == format!("/{endpoint}") && part[key] == *condition;
            let found = rules
                .iter()
                .find(|rule| rule["matches"].as_array().unwrap().iter().any(is_it));
            let rule = found.unwrap_or_else(|| panic!("{mode} {endpoint} {key}"));
            assert_eq!(rule["timeouts"]["request"], "0s");
            let service = rule["backendRefs"][0]["name"].as_str().unwrap();
            assert_eq!(Some(service), routed(rules, "GET", endpoint), "{mode} {endpoint}");
        }
        let none =
            render(&format!("{values}\n").replace("parentRefs", "timeouts: null, parentRefs")).unwrap();
        for rule in none.only("HTTPRoute").unwrap()["spec"]["rules"]
            .as_array()
            .unwrap()
        {
            assert!(rule["timeouts"].is_null(), "{rule}");
        }
    }
}

#[test]
fn pages_and_root_path_are_routed_when_set() {
    for (root, index) in [("", "/"), ("/api", "/api")] {
        let values = format!(
            "apiServer: {{mode: frontendBackend, settings: {{rootPath: '{root}'}}}}\nroutes: {{pages: true}}\ningress: {{enabled: true}}\nhttpRoute: {{enabled: true, parentRefs: [{{name: public}}]}}"
        );
        let objects = render(&values).unwrap();
        let rules = &objects.only("Ingress").unwrap()["spec"]["rules"][0]["http"]["paths"];
        let paths: Vec<(&str, &str)> = rules
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| {
                assert_eq!(rule["backend"]["service"]["name"], named("frontend"), "{rule}");
                (rule["path"].as_str().unwrap(), rule["pathType"].as_str().unwrap())
            })
            .collect();
        let of = |path: &str| format!("{root}{path}");
        let (arxiv, docs, assets) = (of("/arxiv"), of("/docs"), of("/assets"));
        for expected in [
            (arxiv.as_str(), "Prefix"),
            (index, "Exact"),
            (&docs, "Exact"),
            (&assets, "Prefix"),
        ] {
            assert!(paths.contains(&expected), "{expected:?} in {paths:?}");
        }
        let rules = &objects.only("HTTPRoute").unwrap()["spec"]["rules"];
        let of_index = |rule: &&Value| {
            rule["matches"][0]["path"] == serde_json::json!({"type": "Exact", "value": index})
        };
        assert!(
            rules.as_array().unwrap().iter().any(|rule| of_index(&rule)),
            "{rules}"
        );
    }
    let message =
        chart::refusal("apiServer: {mode: perEndpoint}\nroutes: {pages: true}\ningress: {enabled: true}")
            .unwrap();
    assert!(message.contains("routes.pages"), "{message}");
}

#[test]
fn external_traffic_policy_is_rendered_when_set() {
    let objects = render("apiServer: {service: {type: LoadBalancer, externalTrafficPolicy: Local}}").unwrap();
    let service = objects.get("Service", &named("api")).unwrap();
    assert_eq!(service["spec"]["externalTrafficPolicy"], "Local");
    let objects = render("apiServer: {service: {externalTrafficPolicy: Local}}").unwrap();
    let service = objects.get("Service", &named("api")).unwrap();
    assert!(
        service["spec"]["externalTrafficPolicy"].is_null(),
        "not of a ClusterIP"
    );
}

#[test]
fn http_route_without_parent_is_refused() {
    let message = chart::refusal("httpRoute: {enabled: true}").unwrap();
    assert!(
        message.contains("httpRoute.parentRefs: name the Gateway"),
        "{message}"
    );
}

#[test]
fn nothing_is_routed_by_default() {
    let objects = render("apiServer: {mode: perEndpoint}").unwrap();
    assert!(objects.of("Ingress").is_empty() && objects.of("HTTPRoute").is_empty());
    for service in objects.of("Service") {
        assert!(matches!(
            service["spec"]["type"].as_str(),
            None | Some("ClusterIP")
        ));
    }
}
