//! The generated files of the chart are up to date. `CHART_UPDATE=1` writes them.

use std::fs;

use chart::{folder, read, readme};
use serde_json::Value;

/// The files in `crds/`.
pub(crate) const DEFINITIONS: [&str; 2] = ["arxivfeeds.yaml", "arxivqueries.yaml"];

fn updating() -> bool {
    std::env::var_os("CHART_UPDATE").is_some()
}

#[test]
fn crd_copies_equal_generated_crds() {
    for file in DEFINITIONS {
        let definition = read(&format!("crds/{file}")).unwrap();
        let copy = folder().join("files").join(file);
        if updating() {
            fs::write(&copy, &definition).unwrap();
        }
        assert!(
            fs::read_to_string(copy).unwrap() == definition,
            "crds/{file} has changed: run `CHART_UPDATE=1 cargo test -p chart generated`"
        );
    }
}

#[test]
fn rendered_crds_equal_generated_crds() {
    let objects = chart::render("").unwrap();
    assert_eq!(objects.of("CustomResourceDefinition").len(), DEFINITIONS.len());
    for file in DEFINITIONS {
        let committed: Value = serde_saphyr::from_str(&read(&format!("crds/{file}")).unwrap()).unwrap();
        let name = committed["metadata"]["name"].as_str().unwrap();
        let rendered = objects.get("CustomResourceDefinition", name).unwrap();
        // In YAML 1.0 and 1 are the same number.
        let plain = |value: &Value| value.to_string().replace(".0,", ",").replace(".0}", "}");
        assert_eq!(plain(&rendered["spec"]), plain(&committed["spec"]));
    }
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
