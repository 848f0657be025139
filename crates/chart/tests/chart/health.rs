//! Health of an ArxivQuery in Argo CD, by the Lua that Argo CD runs.

use std::fs;
use std::process::Command;

use chart::{Objects, read};
use serde_json::{Value, json};
use testbed::TempDir;

use crate::checkers::checker;
use crate::examples::phases;

/// A JSON value as a Lua literal.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Object(map) => {
            let fields: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("[{}] = {}", json!(key), lua(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(lua).collect();
            format!("{{{}}}", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// The script's status and message for each of these objects.
fn health(objects: &[Value]) -> Vec<(String, String)> {
    let config = Objects::read(&read("examples/argocd/argocd-cm.yaml").unwrap()).unwrap();
    let script = &config.only("ConfigMap").unwrap()["data"]["resource.customizations.health.arxiv-operator.dev_ArxivQuery"];
    let script = script.as_str().unwrap();
    let call = |object: &Value| {
        let object = lua(object);
        format!(
            "do local health = check({object}) print(health.status .. '\\t' .. (health.message or '')) end\n"
        )
    };
    let calls: String = objects.iter().map(call).collect();
    let program = format!("local function check(obj)\n{script}\nend\n{calls}");
    let temp_dir = TempDir::new("health").unwrap();
    let file = temp_dir.path().join("health.lua");
    fs::write(&file, program).unwrap();
    let output = Command::new(checker("glua")).arg(file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said.lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(status, message)| (status.to_owned(), message.to_owned()))
        .collect()
}

#[test]
fn argo_cd_health_is_right_for_every_phase() {
    let phases = phases();
    let mut objects: Vec<Value> = phases
        .iter()
        .map(|phase| json!({"status": {"phase": phase, "message": "it \"says\" so"}}))
        .collect();
    objects.push(json!({"spec": {"search": {"author": "knuth"}}}));
    objects.push(json!({"status": {"observedGeneration": -1}}));
    // The status of a new object in Kubernetes.
    objects.push(json!({"status": {"observedGeneration": -1, "phase": "Pending"}}));
    let said = health(&objects);
    assert_eq!(said.len(), objects.len());
    for (phase, (status, message)) in phases.iter().zip(&said) {
        let expected = match phase.as_str().unwrap() {
            "Pending" | "Running" => "Progressing",
            "Succeeded" => "Healthy",
            "Failed" => "Degraded",
            "Suspended" => "Suspended",
            other => panic!("a new phase: {other}"),
        };
        assert_eq!(status, expected, "{phase}");
        assert_eq!(message, "it \"says\" so", "{phase}");
    }
    for (status, message) in &said[phases.len()..] {
        assert_eq!(
            (status.as_str(), message.as_str()),
            ("Progressing", "Waiting for the operator")
        );
    }
}
