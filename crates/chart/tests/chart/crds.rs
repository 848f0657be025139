//! The definitions of ArxivQuery and ArxivFeed, as a release installs them.

use chart::{Objects, read, render};
use serde_json::json;

#[test]
fn crd_is_kept_on_uninstall_by_default() {
    for (values, kept) in [("", true), ("crds: {keep: false}", false)] {
        let objects = render(values).unwrap();
        for definition in objects.of("CustomResourceDefinition") {
            let annotation = &definition["metadata"]["annotations"];
            assert_eq!(annotation["helm.sh/resource-policy"] == "keep", kept, "{values}");
        }
    }
}

#[test]
fn crd_has_its_annotations_beside_those_of_all_objects_and_the_policy() {
    let values = "{crds: {annotations: {a: '1', both: crds}}, commonAnnotations: {b: '2', both: common}}";
    let objects = render(values).unwrap();
    let expected = json!({"a": "1", "b": "2", "both": "crds", "helm.sh/resource-policy": "keep"});
    for definition in objects.of("CustomResourceDefinition") {
        assert_eq!(definition["metadata"]["annotations"], expected);
    }
}

/// Argo CD has two options: for the removal of the application, and for a definition that is not rendered any more.
#[test]
fn argo_cd_of_the_example_never_deletes_the_crd() {
    let application = Objects::read(&read("examples/argocd/system.yaml").unwrap()).unwrap();
    let values = &application.only("Application").unwrap()["spec"]["source"]["helm"]["valuesObject"];
    let objects = render(&values.to_string()).unwrap();
    for definition in objects.of("CustomResourceDefinition") {
        let options = definition["metadata"]["annotations"]["argocd.argoproj.io/sync-options"].as_str();
        let options: Vec<_> = options.unwrap().split(',').collect();
        assert!(
            options.contains(&"Delete=false") && options.contains(&"Prune=false"),
            "{options:?}"
        );
    }
}

#[test]
fn crd_is_omitted_when_disabled() {
    assert!(
        render("crds: {enabled: false}")
            .unwrap()
            .of("CustomResourceDefinition")
            .is_empty()
    );
}
