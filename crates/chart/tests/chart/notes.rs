//! NOTES.txt.

use std::process::Command;

use chart::{folder, helm};

pub(crate) fn notes(arguments: &[&str]) -> String {
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
fn notes_have_services_pools_and_access() {
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
    assert!(!plain.contains("One connection a pool"), "{plain}");
    let apart = notes(&["--set", "apiServer.mode=perEndpoint"]);
    let words =
        "what comes to a pod of arxiv, queries, queries-post, results, read-queries, read-results waits";
    assert!(apart.contains(words), "{apart}");
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
}

#[test]
fn notes_name_open_ports_and_missing_peers() {
    let (kubernetes, databases, prometheus) = (
        "ports 443, 6443, for who talks to Kubernetes",
        "ports 5432, for who has databases",
        "no policy lets Prometheus in",
    );
    let named = "networkPolicy.kubeApiServer.to[0].ipBlock.cidr=10.0.0.1/32";
    let all_named = format!("{named},networkPolicy.postgres.to[0].ipBlock.cidr=10.0.0.2/32");
    let cnpg = format!("{named},postgres.mode=cnpg");
    let metrics = "monitoring.serviceMonitor.enabled=true";
    let let_in = format!("{metrics},networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus");
    for (values, expected) in [
        ("log.level=INFO", &[kubernetes, databases][..]),
        (named, &[databases]),
        ("postgres.mode=cnpg", &[kubernetes]),
        (&all_named, &[]),
        (&cnpg, &[]),
        (metrics, &[kubernetes, databases, prometheus]),
        (&let_in, &[kubernetes, databases]),
        (
            "networkPolicy.enabled=false,monitoring.serviceMonitor.enabled=true",
            &[],
        ),
    ] {
        let notes = notes(&["--set", values]);
        for words in [kubernetes, databases, prometheus] {
            assert_eq!(
                notes.contains(words),
                expected.contains(&words),
                "{values}: {words}\n{notes}"
            );
        }
        assert_eq!(
            notes.contains("to any address"),
            !expected.is_empty(),
            "{values}\n{notes}"
        );
    }
}

#[test]
fn notes_name_secrets_for_cnpg() {
    let cnpg = notes(&["--set", "postgres.mode=cnpg"]);
    assert!(
        cnpg.contains("papers-arxiv-operator-arxiv-upstream with username arxiv_upstream"),
        "{cnpg}"
    );
}

#[test]
fn notes_warn_of_trusted_proxies_that_are_more_than_a_few_addresses() {
    let warning = "can claim to be any client";
    let with = |proxies: &str| {
        let set = format!("apiServer.clients.trustedProxies={{{proxies}}}");
        notes(&["--set", &set])
    };
    for narrow in ["10.244.255.0/28", "192.0.2.1", "fd00::/120", "fd00::1"] {
        assert!(!with(narrow).contains(warning), "{narrow}");
    }
    for wide in ["10.244.0.0/16", "0.0.0.0/0", "fd00::/8"] {
        let notes = with(&format!("192.0.2.1,{wide}"));
        assert!(
            notes.contains(&format!("Every address in {wide} {warning}")),
            "{notes}"
        );
    }
}
