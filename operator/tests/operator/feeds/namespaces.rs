//! Feeds of several namespaces.

use crd::{ArxivFeed, ArxivQuery};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use testbed::{
    ControlPlane, TestEnv,
    arxiv::Behaviour,
    control_plane::chart_rules,
    stack::Options,
    test_env::{eventually, within_one_arxiv_day},
};

use super::half_an_hour_ago;

#[tokio::test(flavor = "multi_thread")]
async fn feeds_of_one_name_are_apart_in_watched_namespaces_and_share_pages_and_others_are_left_alone() {
    within_one_arxiv_day().await;
    let plane = ControlPlane::shared().await.unwrap();
    let mut namespaces = [const { String::new() }; 3];
    for name in &mut namespaces {
        *name = plane.namespace().await.unwrap();
    }
    let [own, second, third] = &namespaces;
    let rules = chart_rules("operator");
    let account = (own.as_str(), "arxiv-operator");
    plane.grant(second, account, &rules).await.unwrap();
    let mut options = Options {
        namespace: Some(own.clone()),
        ..Options::operator_only()
    };
    let watched = ("WATCH_NAMESPACE".to_owned(), format!("{own}, {second}"));
    options.environment.push(watched);
    let env = TestEnv::start(options).await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        total: Some(5),
        ..Behaviour::default()
    });
    let (daily, scheduled) = half_an_hour_ago();
    let feed = json!({
        "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivFeed", "metadata": {"name": "same"},
        "spec": {"schedule": daily, "search": {"author": "same"}},
    });
    let feed: ArxivFeed = serde_json::from_value(feed).unwrap();
    let of = |namespace: &str| Api::<ArxivFeed>::namespaced(env.kube.clone(), namespace);
    for namespace in &namespaces {
        of(namespace).create(&PostParams::default(), &feed).await.unwrap();
    }
    let two_days = (scheduled - jiff::SignedDuration::from_hours(48)).to_string();
    for namespace in [own, second] {
        eventually("it is observed", async || {
            let status = of(namespace).get("same").await.ok()?.status?;
            (status.observed_generation == Some(1)).then_some(())
        })
        .await;
        let status = Patch::Merge(json!({"status": {"lastScheduleTime": two_days}}));
        let patched = of(namespace)
            .patch_status("same", &PatchParams::default(), &status)
            .await;
        patched.unwrap();
        eventually("it has run", async || {
            let status = of(namespace).get("same").await.ok()?.status?;
            (status.items == Some(5) && status.active.is_none()).then_some(())
        })
        .await;
        let queries = Api::<ArxivQuery>::namespaced(env.kube.clone(), namespace);
        let runs = queries.list(&ListParams::default()).await.unwrap().items;
        let names: Vec<_> = runs.iter().filter_map(|run| run.metadata.name.clone()).collect();
        assert_eq!(names, [format!("same-{}", scheduled.as_second() / 60)]);
    }
    let apart = "public.arxiv_feeds where name = 'same' and last_position = 5 and namespace in";
    assert_eq!(env.count(&format!("{apart} ('{own}', '{second}')")).await, 2);
    assert_eq!(env.count("public.results").await, 10, "each has its own rows");
    assert_eq!(arxiv.requests().len(), 1, "and both have one page");
    let left_alone = of(third).get("same").await.unwrap().status.unwrap();
    assert_eq!(left_alone.observed_generation, Some(-1));
    assert_eq!(
        env.count(&format!("public.arxiv_feeds where namespace = '{third}'"))
            .await,
        0
    );
    env.until_metric("arxiv_operator_feeds{state=\"scheduled\"}", 2.0)
        .await;
}
