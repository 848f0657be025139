//! Searches and feeds in Git, synced by real Flux: the files of `examples/`, and changes of them.

// clippy.toml allows these in tests, but not in what tests share.
#![allow(clippy::panic, clippy::unwrap_used)]

mod feeds;
mod gitops;
mod searches;

use crd::Phase;
use kube::api::{Api, ListParams};
use serde_json::json;
use testbed::arxiv::Mode;
use testbed::test_env::eventually;

use feeds::ReadingList;
use gitops::{Gitops, Synced};
use searches::{Searches, name};

/// The fields that may be changed in place, except `suspend`, each with a value.
fn job_fields(priority: i32) -> serde_json::Value {
    json!({
        "priority": priority, "backoffLimit": 9, "activeDeadlineSeconds": 70_000, "ttlSecondsAfterFinished": 86_400,
    })
}

/// One system for all of it: a start of Flux and its first sync take a while.
#[tokio::test(flavor = "multi_thread")]
async fn searches_and_feeds_in_git_are_ready_or_failed_as_documented_after_every_change() {
    let gitops = Gitops::start().await;
    let mut searches = Searches::of_the_example();

    // As they are in the examples: at the tag, with the wait and the health checks.
    let first = gitops.commit("the examples");
    gitops.repository().tag("v0.1.0").unwrap();
    gitops.apply_example("flux/system.yaml", "GitRepository").await;
    gitops.apply_example("flux/searches.yaml", "").await;
    gitops.apply_example("feeds/flux.yaml", "").await;
    gitops.until_ready(&first).await;
    gitops.until_synced(Synced::Feeds, &first).await;
    let mut feeds = ReadingList::of_the_example();
    feeds.assert_scheduled(&gitops).await;
    for search in searches.names() {
        assert_eq!(gitops.status(search).await.phase, Phase::Succeeded, "{search}");
    }
    assert_eq!(gitops.env.rows().await.len(), 2);
    gitops.follow_main().await;

    // A suspended one does not delay the sync.
    searches.add(
        "later",
        &json!({"search": {"title": "later"}, "maxResults": 3, "suspend": true}),
    );
    // All fields of a feed but its class are changed in place; and one is suspended, which is ready as well.
    feeds.change("combinatorics", &feeds::every_field());
    feeds.change("erdos", &json!({"suspend": true}));
    let commit = gitops.push_both(&searches, &feeds).await;
    gitops.until_ready(&commit).await;
    gitops.until_synced(Synced::Feeds, &commit).await;
    feeds.assert_scheduled(&gitops).await;
    assert_eq!(gitops.status("later").await.phase, Phase::Suspended);

    // Every mutable field, of finished ones and of the suspended one, with and without an operator.
    for (priority, is_down) in [(1, false), (2, true)] {
        for search in ["consensus", "literate-programming", "later"] {
            searches.change(search, &job_fields(priority));
        }
        searches.change("consensus", &json!({"suspend": !is_down}));
        if is_down {
            gitops.env.operator().child().kill9();
            // A schedule that never comes, and another one in its place.
            feeds.change("erdos", &json!({"suspend": false, "schedule": "0 0 30 2 *"}));
            feeds.change("watched-papers", &json!({"schedule": "0 6 * * *"}));
            let commit = gitops.push_both(&searches, &feeds).await;
            gitops.until_applied("later", |spec| spec.priority == 2).await;
            gitops.env.operator().child().start_again().unwrap();
            gitops.until_ready(&commit).await;
            gitops
                .until_failed(Synced::Feeds, &commit, "HealthCheckFailed", "reading-list/erdos")
                .await;
        } else {
            gitops.sync(&searches).await;
        }
    }
    assert_eq!(gitops.env.rows().await.len(), 2, "nothing has run again");

    // Resumed: ready when it has succeeded.
    searches.change("later", &json!({"suspend": false}));
    gitops.sync(&searches).await;
    assert_eq!(gitops.status("later").await.phase, Phase::Succeeded);
    assert_eq!(gitops.env.rows().await.len(), 3);

    searches_that_wait_and_fail(&gitops, &mut searches).await;
    removed_and_refused(&gitops, &mut searches, &mut feeds).await;
}

/// Changes while one waits for arXiv, and after one has failed.
async fn searches_that_wait_and_fail(gitops: &Gitops, searches: &mut Searches) {
    let arxiv = gitops.env.stack.arxiv().unwrap();
    arxiv.set(Mode::Status(429));
    let waits = json!({"search": {"title": "waits"}, "maxResults": 3});
    gitops.create("waits", &waits).await;
    eventually("it waits", async || {
        let object = gitops.env.queries.get(&name("waits")).await.ok()?;
        object.status?.retry_after.map(drop)
    })
    .await;
    searches.add("waits", &waits);
    searches.change("waits", &json!({"priority": 5}));
    let commit = gitops.push(searches).await;
    gitops.until_applied("waits", |spec| spec.priority == 5).await;
    arxiv.set(Mode::Ok);
    gitops.until_ready(&commit).await;
    assert_eq!(gitops.env.rows().await.len(), 4);
    arxiv.set(Mode::Status(400));
    searches.add(
        "refused",
        &json!({"search": {"title": "refused"}, "maxResults": 3}),
    );
    let commit = gitops.push(searches).await;
    gitops
        .until_failed(Synced::Searches, &commit, "HealthCheckFailed", "refused")
        .await;
    searches.change("refused", &json!({"ttlSecondsAfterFinished": 86_400}));
    let commit = gitops.push(searches).await;
    gitops
        .until_failed(Synced::Searches, &commit, "HealthCheckFailed", "refused")
        .await;
    arxiv.set(Mode::Ok);
}

/// What is removed from Git is deleted, and its rows stay; a change that is not allowed is a clear failure.
async fn removed_and_refused(gitops: &Gitops, searches: &mut Searches, feeds: &mut ReadingList) {
    searches.remove("refused");
    searches.remove("literate-programming");
    feeds.change("erdos", &json!({"schedule": "@weekly"}));
    feeds.remove("watched-papers");
    let commit = gitops.push_both(searches, feeds).await;
    gitops.until_ready(&commit).await;
    gitops.until_synced(Synced::Feeds, &commit).await;
    feeds.assert_scheduled(gitops).await;
    let left = gitops.env.queries.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), 3, "pruned");
    assert_eq!(gitops.env.rows().await.len(), 4);

    // A change of the search itself: a clear failure; or, where that is asked for, another query.
    let before = gitops.env.queries.get(&name("later")).await.unwrap().metadata.uid;
    searches.change("later", &json!({"search": {"title": "earlier"}}));
    feeds.change("erdos", &json!({"className": "another"}));
    let commit = gitops.push_both(searches, feeds).await;
    gitops
        .until_failed(Synced::Feeds, &commit, "ReconciliationFailed", "className")
        .await;
    gitops
        .until_failed(
            Synced::Searches,
            &commit,
            "ReconciliationFailed",
            "the search cannot be changed",
        )
        .await;
    searches.annotate("later", "kustomize.toolkit.fluxcd.io/force", "enabled");
    gitops.sync(searches).await;
    let after = gitops.env.queries.get(&name("later")).await.unwrap();
    assert_eq!(after.status.unwrap().phase, Phase::Succeeded);
    assert_ne!(after.metadata.uid, before);
    assert_eq!(gitops.env.rows().await.len(), 5, "a number and rows of its own");

    // Input that no version accepts.
    searches.change("consensus", &json!({"priority": 1_000_000}));
    let commit = gitops.push(searches).await;
    gitops
        .until_failed(Synced::Searches, &commit, "ReconciliationFailed", "spec.priority")
        .await;
    searches.change("consensus", &json!({"priority": 3}));
    gitops.sync(searches).await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(gitops.env.kube.clone());
    assert!(namespaces.get("papers").await.is_ok());
}
