//! `arxiv-operator feed`: a feed is moved to another system, by the commands that its help names.

use std::process::{Output, Stdio};

use crd::{ArxivFeed, FeedCondition};
use kube::api::PostParams;
use serde_json::json;
use testbed::arxiv::Behaviour;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Feeds, ago, condition, half_an_hour_ago, start};

/// Runs the command with the database of a system.
async fn feed(of: &Feeds, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_arxiv-operator"))
        .arg("feed")
        .args(arguments)
        .env("DATABASE_RW_URL", of.env.stack.databases.rw_url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may end before it has read everything.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_that_was_exported_and_imported_goes_on_in_another_system_where_it_was() {
    let (old, new) = (start().await, start().await);
    let (daily, _) = half_an_hour_ago();
    old.create("moved", json!({"schedule": daily})).await;
    old.observed("moved").await;
    old.backdate("moved", 300).await;
    old.status_when("moved", "complete", |_, status| status.items == Some(5))
        .await;
    old.patch_spec("moved", json!({"suspend": true})).await;
    old.observed("moved").await;

    let exported = feed(&old, &["export", "moved", "-n", old.env.stack.namespace()], b"").await;
    let said = String::from_utf8_lossy(&exported.stderr);
    assert!(exported.status.success(), "{said}");
    assert!(said.contains("5 items, 5 versions seen"), "{said}");
    let lines = exported.stdout;
    let namespace = new.env.stack.namespace();
    let half = &lines[..lines.len() / 2];
    for (input, problem) in [
        (half, "nothing is imported"),
        (&b"{}\n"[..], "line 1 is none of an exported feed"),
        (b"", "does not begin with a feed"),
    ] {
        let refused = feed(&new, &["import", "-n", namespace], input).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(problem), "{said}");
    }
    let twice = [lines.as_slice(), &lines].concat();
    for (name, input, problem) in [
        ("moved", &twice, "goes on after its last line"),
        ("moved.json", &lines, "no ArxivFeed can have the name"),
        ("", &lines, "no ArxivFeed can have the name"),
    ] {
        let refused = feed(&new, &["import", "-n", namespace, "--name", name], input).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(problem), "{said}");
    }
    let imported = feed(&new, &["import", "-n", namespace], &lines).await;
    let said = String::from_utf8_lossy(&imported.stderr);
    assert!(imported.status.success(), "{said}");
    assert!(said.contains("arxiv-operator.dev/restored"), "{said}");

    // Two more papers by now.
    new.env.stack.arxiv().unwrap().set(Behaviour {
        total: Some(7),
        ..Behaviour::default()
    });
    let (next, _) = ago(20);
    let object = json!({
        "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivFeed",
        "metadata": {"name": "moved", "annotations": {"arxiv-operator.dev/restored": "true"}},
        "spec": {"schedule": next, "search": {"author": "moved"}},
    });
    let object: ArxivFeed = serde_json::from_value(object).unwrap();
    new.api.create(&PostParams::default(), &object).await.unwrap();
    let there = new.observed("moved").await;
    assert_eq!(there.status.as_ref().unwrap().items, Some(5));
    assert_eq!(
        condition(&there, FeedCondition::Complete),
        Some(("True", "AllRead"))
    );
    new.backdate("moved", 300).await;
    let went_on = new
        .status_when("moved", "with what is new", |_, status| status.items == Some(7))
        .await;
    assert_eq!(went_on.status.unwrap().last_new_items, Some(2));
    let sound = "(select max(position) as last, count(distinct (paper, version)) as versions from public.arxiv_feed_items) as sound
                 where last = 7 and versions = 7";
    assert_eq!(new.env.count(sound).await, 1);
    assert_eq!(
        new.env.count("public.results").await,
        2,
        "only what is new has rows here"
    );
}

#[tokio::test]
async fn help_of_feed_names_each_step_of_a_move() {
    for arguments in [
        &["feed", "--help"][..],
        &["feed", "export", "--help"],
        &["feed", "import", "--help"],
    ] {
        let help = Command::new(env!("CARGO_BIN_EXE_arxiv-operator"))
            .args(arguments)
            .output();
        let help = String::from_utf8(help.await.unwrap().stdout).unwrap();
        for step in [
            "suspend",
            "feed export NAME",
            "feed import <",
            "arxiv-operator.dev/restored",
            "DATABASE_RW_URL",
        ] {
            assert!(help.contains(step), "{arguments:?}: {step} is not in {help}");
        }
    }
}
