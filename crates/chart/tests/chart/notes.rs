//! NOTES.txt.

use std::process::Command;

use chart::{folder, helm};

fn notes(arguments: &[&str]) -> String {
    let output = Command::new(helm().expect("helm"))
        .args(["install", "papers"])
        .arg(folder())
        .args(["--namespace", "library", "--dry-run=client"])
        .args(arguments)
        .output()
        .expect("helm runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_once("NOTES:")
        .map(|(_, notes)| notes.to_owned())
        .expect("notes")
}

#[test]
fn they_tell_what_matters() {
    let plain = notes(&[]);
    for words in [
        "everything behind one address",
        "arxiv.contact",
        "papers-arxiv-operator-api",
        "of all namespaces",
        "(3 connections a pool, up to 7 pods)",
        "write-* ask for a token of Kubernetes, made for the audience arxiv-api-server",
    ] {
        assert!(plain.contains(words), "{words}\n{plain}");
    }
    let narrow = notes(&[
        "--set",
        "operator.watchNamespaces={here},arxiv.contact=a@b.example,apiServer.enabled=false,migrations.enabled=false",
    ]);
    assert!(
        narrow.contains("of namespace here") && narrow.contains("arxiv-operator migrate"),
        "{narrow}"
    );
    assert!(
        !narrow.contains("arxiv.contact") && !narrow.contains("port-forward"),
        "{narrow}"
    );
    let behind = notes(&["--set", "ingress.enabled=true"]);
    assert!(
        behind.contains("share one allowance of 20 searches a minute"),
        "{behind}"
    );
    let proxied = notes(&[
        "--set",
        "ingress.enabled=true,apiServer.clients.trustedProxies={10.0.0.0/8},apiServer.access.endpoints=off",
    ]);
    assert!(
        !proxied.contains("allowance") && proxied.contains("may call all of it"),
        "{proxied}"
    );
    let cnpg = notes(&["--set", "postgres.mode=cnpg"]);
    assert!(
        cnpg.contains("papers-arxiv-operator-arxiv-upstream with username arxiv_upstream"),
        "{cnpg}"
    );
}
