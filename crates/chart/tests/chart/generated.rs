//! The generated files of the chart are up to date. `CHART_UPDATE=1` writes them.

use std::fs;

use chart::{folder, read, readme};
use serde_json::Value;

fn updating() -> bool {
    std::env::var_os("CHART_UPDATE").is_some()
}

#[test]
fn crd_copy_equals_generated_crd() {
    let definition = read("crds/arxivqueries.yaml").unwrap();
    let copy = folder().join("files/arxivqueries.yaml");
    if updating() {
        fs::write(&copy, &definition).unwrap();
    }
    assert!(
        fs::read_to_string(copy).unwrap() == definition,
        "crds/arxivqueries.yaml has changed: run `CHART_UPDATE=1 cargo test -p chart generated`"
    );
}

#[test]
fn rendered_crd_equals_generated_crd() {
    let objects = chart::render("").unwrap();
    let rendered = objects.only("CustomResourceDefinition").unwrap();
    let committed: Value = serde_saphyr::from_str(&read("crds/arxivqueries.yaml").unwrap()).unwrap();
    // In YAML 1.0 and 1 are the same number.
    let plain = |value: &Value| value.to_string().replace(".0,", ",").replace(".0}", "}");
    assert_eq!(plain(&rendered["spec"]), plain(&committed["spec"]));
}

#[test]
fn readme_table_equals_values() {
    let path = folder().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let values = read("charts/arxiv-operator/values.yaml").unwrap();
    let written = readme::with_values(&readme, &values).unwrap();
    if updating() {
        fs::write(&path, &written).unwrap();
    }
    assert!(
        readme == written || updating(),
        "values.yaml has changed: run `CHART_UPDATE=1 cargo test -p chart generated`"
    );
}
