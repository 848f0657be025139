//! The generated definitions and their committed copies.

use crd::{custom_resource_definition, definitions};

#[test]
fn committed_yaml_equals_the_generated_definitions() {
    for (file, definition) in definitions() {
        let path = format!("{}/../../crds/{file}", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(path).expect(file);
        let committed: serde_json::Value = serde_saphyr::from_str(&committed).expect("YAML");
        let generated = serde_json::to_value(definition).expect("JSON");
        assert_eq!(
            committed, generated,
            "{file}: run `cargo xtask crds` and commit crds/"
        );
    }
}

#[test]
fn new_object_is_pending_and_not_yet_observed() {
    let generated = serde_json::to_value(custom_resource_definition()).expect("JSON");
    let version = &generated["spec"]["versions"][0];
    let status = &version["schema"]["openAPIV3Schema"]["properties"]["status"];
    assert_eq!(
        status["default"],
        serde_json::json!({"observedGeneration": -1, "phase": "Pending"})
    );
    assert_eq!(
        version["selectableFields"],
        serde_json::json!([{"jsonPath": ".status.phase"}, {"jsonPath": ".spec.className"}])
    );
}
