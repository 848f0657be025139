//! The migrations Job.

use chart::{pods, refusal, render};
use serde_json::Value;

fn job(values: &str) -> Value {
    render(values)
        .and_then(|objects| objects.only("Job").cloned())
        .expect(values)
}

fn name(values: &str) -> String {
    job(values)["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn migrations_job_is_named_by_version_and_settings() {
    let plain = job("");
    assert!(plain["metadata"]["annotations"].is_null());
    assert!(
        plain["spec"]["ttlSecondsAfterFinished"].is_null(),
        "GitOps would make it again"
    );
    assert!(name("").starts_with("papers-arxiv-operator-migrate-0-1-0-"));
    assert_eq!(
        name(""),
        name("apiServer: {mode: perEndpoint}"),
        "what it is not about makes no new one"
    );
    for values in [
        "operator: {image: {tag: 1.2.3}}",
        "operator: {image: {tag: main_2026-11-24_with-a-very-long-name}}",
        "migrations: {pod: {nodeSelector: {a: b}}}",
        "migrations: {backoffLimit: 1}",
        "postgres: {connections: {owner: {secret: other}}}",
    ] {
        let name = name(values);
        assert_ne!(
            name,
            self::name(""),
            "{values}: a Job's template cannot be changed"
        );
        assert!(name.len() <= 63, "{name}");
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{name}"
        );
    }
    assert!(name("operator: {image: {tag: 1.2.3}}").contains("-migrate-1-2-3-"));
    let long = format!("fullnameOverride: {}", "x".repeat(60));
    assert!(name(&long).len() <= 63);
}

#[test]
fn migrations_job_has_operator_image_and_no_rights() {
    let objects = render("operator: {image: {repository: ours, tag: v1}}").unwrap();
    let pods = pods(&objects);
    let migrate = pods.iter().find(|pod| pod.kind == "Job").unwrap();
    assert_eq!(migrate.container["image"], "ours:v1");
    assert_eq!(migrate.container["args"][0], "migrate");
    assert_eq!(migrate.pod["restartPolicy"], "Never", "its log stays");
    assert_eq!(migrate.pod["automountServiceAccountToken"], false);
}

#[test]
fn migrations_job_is_hook_when_set() {
    let values = "migrations: {hook: helm, annotations: {team: x}, ttlSecondsAfterFinished: 600}";
    let hook = job(values);
    assert_eq!(
        hook["metadata"]["annotations"]["helm.sh/hook"],
        "pre-install,pre-upgrade"
    );
    assert_eq!(hook["metadata"]["annotations"]["team"], "x");
    assert_eq!(hook["spec"]["ttlSecondsAfterFinished"], 600);
    let objects = render(values).unwrap();
    let account = objects
        .get("ServiceAccount", "papers-arxiv-operator-migrate")
        .unwrap();
    let weight = |object: &Value| {
        object["metadata"]["annotations"]["helm.sh/hook-weight"]
            .as_str()
            .unwrap()
            .parse::<i32>()
            .unwrap()
    };
    assert!(weight(account) < weight(&hook), "its account is there before it");
    let message = refusal("migrations: {hook: helm}\npostgres: {mode: cnpg}").unwrap();
    assert!(message.contains("migrations.hook helm"), "{message}");
}

#[test]
fn migrations_job_is_omitted_when_disabled() {
    let objects = render("migrations: {enabled: false}").unwrap();
    assert!(objects.of("Job").is_empty());
    assert!(
        !objects
            .names("ServiceAccount")
            .iter()
            .any(|name| name.ends_with("-migrate"))
    );
}
