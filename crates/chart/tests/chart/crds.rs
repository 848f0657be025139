//! The definition of ArxivQuery, as a release installs it.

use chart::render;

#[test]
fn it_is_kept_on_uninstall_unless_told_otherwise() {
    for (values, kept) in [("", true), ("crds: {keep: false}", false)] {
        let objects = render(values).unwrap();
        let annotation = &objects.only("CustomResourceDefinition").unwrap()["metadata"]["annotations"];
        assert_eq!(annotation["helm.sh/resource-policy"] == "keep", kept, "{values}");
    }
}

#[test]
fn it_can_be_left_out() {
    assert!(
        render("crds: {enabled: false}")
            .unwrap()
            .of("CustomResourceDefinition")
            .is_empty()
    );
}
