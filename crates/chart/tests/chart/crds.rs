//! The definition of ArxivQuery, as a release installs it.

use chart::render;

#[test]
fn crd_is_kept_on_uninstall_by_default() {
    for (values, kept) in [("", true), ("crds: {keep: false}", false)] {
        let objects = render(values).unwrap();
        let annotation = &objects.only("CustomResourceDefinition").unwrap()["metadata"]["annotations"];
        assert_eq!(annotation["helm.sh/resource-policy"] == "keep", kept, "{values}");
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
