//! Several operators: one leads, and another takes over when it ends, is killed, or is cut off.

use crd::Phase;
use k8s_openapi::api::{coordination::v1::Lease, rbac::v1::Role};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::time::{Duration, Instant};
use testbed::TestEnv;
use testbed::test_env::{LIMIT, search, within};
use testbed::{
    arxiv::Behaviour,
    process::Signal,
    stack::{Options, Service},
};

const LEADER: &str = "arxiv_operator_leader";
const WRITTEN: &str = "arxiv_operator_status_writes_total{outcome=\"written\"}";

/// So many operators that elect one.
fn electing(operators: usize) -> Options {
    Options {
        operators,
        environment: Vec::new(),
        ..Options::operator_only()
    }
}

async fn leads(env: &TestEnv, service: &Service) -> Option<bool> {
    Some(env.metric_of(service, LEADER).await? > 0.5)
}

/// Waits until one of these leads, and no other.
async fn leader<'a>(env: &TestEnv, among: &[&'a Service]) -> &'a Service {
    let found = within(LIMIT, async || {
        let mut leaders = Vec::new();
        for service in among {
            if leads(env, service).await? {
                leaders.push(*service);
            }
        }
        (leaders.len() == 1).then(|| leaders[0])
    })
    .await;
    found.unwrap_or_else(|| panic!("there is not one leader\n{}", env.operator_logs()))
}

fn others<'a>(all: &[&'a Service], but: &Service) -> Vec<&'a Service> {
    all.iter()
        .copied()
        .filter(|service| service.name() != but.name())
        .collect()
}

fn requests(env: &TestEnv) -> usize {
    env.stack.arxiv().unwrap().requests().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_takes_over_when_leader_is_killed_or_terminated() {
    // All of them are ready by then.
    let env = TestEnv::start(electing(3)).await;
    let all: Vec<&Service> = env.stack.operators.iter().collect();
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 200,
        ..Behaviour::default()
    });
    let first = leader(&env, &all).await;
    let standbys = others(&all, first);
    env.create_many("q", 40).await;
    env.until_in_phase(Phase::Succeeded, 5).await;
    for standby in &standbys {
        assert_eq!(
            env.metric_of(standby, WRITTEN).await,
            Some(0.0),
            "a standby writes nothing"
        );
    }

    let killed = Instant::now();
    first.child().kill9();
    let done = env.until_in_phase(Phase::Succeeded, 5).await.len();
    let second = leader(&env, &standbys).await;
    println!("after a kill, another one leads in {:?}", killed.elapsed());
    assert!(
        killed.elapsed() < Duration::from_secs(30),
        "{:?}",
        killed.elapsed()
    );
    env.until_in_phase(Phase::Succeeded, done + 1).await;
    println!("after a kill, work goes on in {:?}", killed.elapsed());

    // During a request: it is finished, recorded and reported, and only then does the next leader begin.
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 1_000,
        ..Behaviour::default()
    });
    let asked = requests(&env);
    env.stack
        .arxiv()
        .unwrap()
        .wait_for_requests(asked + 2, LIMIT)
        .await
        .unwrap();
    let leases: Api<Lease> = Api::namespaced(env.kube.clone(), env.stack.namespace());
    let holder = async || {
        let lease = leases.get("arxiv-operator").await.unwrap();
        lease.spec.unwrap().holder_identity.unwrap()
    };
    let second_ones = holder().await;
    second.child().signal(Signal::TERM);
    let status = second.child().wait(LIMIT).await.unwrap();
    let ended = Instant::now();
    assert!(status.success(), "{status}\n{}", env.operator_logs());
    // Otherwise it would have to expire first.
    assert_ne!(holder().await, second_ones, "the lease is free for the next one");
    let third = leader(&env, &others(&standbys, second)).await;
    println!("after a shutdown, another one leads in {:?}", ended.elapsed());
    env.stack.arxiv().unwrap().set(Behaviour::default());
    let objects = env.until_in_phase(Phase::Succeeded, 40).await;
    env.assert_rows_of(&objects).await;
    let asked = requests(&env);
    assert!(
        (40..=41).contains(&asked),
        "{asked} requests: only the one in flight at the kill may be repeated"
    );
    assert_eq!(env.stack.arxiv().unwrap().max_open(), 1);

    // A process that returns is a standby.
    first.child().start_again().unwrap();
    first.ready(LIMIT).await.unwrap();
    second.child().start_again().unwrap();
    second.ready(LIMIT).await.unwrap();
    assert_eq!(leader(&env, &all).await.name(), third.name());
    let lease = leases.get("arxiv-operator").await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_leader_changes_nothing_when_it_resumes() {
    let env = TestEnv::start(electing(2)).await;
    let all: Vec<&Service> = env.stack.operators.iter().collect();
    let arxiv = env.stack.arxiv().unwrap();
    // First with nothing to do, then with a request in flight and more in its queue.
    for (prefix, count, delay_ms) in [("idle", 5, 0), ("busy", 20, 300)] {
        arxiv.set(Behaviour {
            delay_ms,
            ..Behaviour::default()
        });
        arxiv.clear_record();
        let paused = leader(&env, &all).await;
        let busy = delay_ms > 0;
        if busy {
            env.create_many(prefix, count).await;
            arxiv.wait_for_requests(3, LIMIT).await.unwrap();
        }
        let written = env.metric_of(paused, WRITTEN).await.unwrap();
        paused.child().freeze();
        let rest = others(&all, paused);
        let next = leader(&env, &rest).await;
        if !busy {
            env.create_many(prefix, count).await;
            env.until_in_phase(Phase::Succeeded, count).await;
        }
        paused.child().thaw();
        assert_eq!(leader(&env, &all).await.name(), next.name());
        let total = if busy { 5 + count } else { count };
        let objects = env.until_in_phase(Phase::Succeeded, total).await;
        env.assert_rows_of(&objects).await;
        let asked = arxiv.requests().len();
        assert!(
            (count..=count + 1).contains(&asked),
            "{prefix}: {asked} requests; at most the one in flight is repeated"
        );
        assert_eq!(arxiv.max_open(), 1, "{prefix}");
        if !busy {
            assert_eq!(
                env.metric_of(paused, WRITTEN).await,
                Some(written),
                "it does nothing more"
            );
        }
        let (status, body) = env.get_from(paused, "/healthz").await.unwrap();
        assert_eq!(status, 200, "{prefix}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_stops_when_lease_cannot_be_renewed_and_returns() {
    let env = TestEnv::start(Options {
        own_control_plane: true,
        ..electing(1)
    })
    .await;
    env.create("before", search("before")).await;
    assert_eq!(env.finished("before").await.phase, Phase::Succeeded);
    let plane = env.stack.control_plane();
    let cut_off = Instant::now();
    plane.api_server().kill9();
    let stopped = within(LIMIT, async || {
        (!leads(&env, env.operator()).await?).then_some(())
    })
    .await;
    assert!(stopped.is_some(), "it still leads\n{}", env.operator_logs());
    println!("cut off, a leader stops in {:?}", cut_off.elapsed());
    assert!(env.operator().child().is_running());
    plane.start_api_server().await.unwrap();
    env.create("after", search("after")).await;
    assert_eq!(env.finished("after").await.phase, Phase::Succeeded);
    assert_eq!(leads(&env, env.operator()).await, Some(true));
    assert_eq!(requests(&env), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_leader_election_when_lease_is_forbidden() {
    let env = TestEnv::start(electing(1)).await;
    env.operator().child().terminate(LIMIT).await.unwrap();
    let roles: Api<Role> = Api::namespaced(env.kube.clone(), env.stack.namespace());
    let patch = json!({ "rules": [] });
    roles
        .patch(
            "arxiv-operator-operator-lease",
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await
        .unwrap();
    env.operator().child().start_again().unwrap();
    env.until_missing("leader election", "LEADER_ELECTION=false")
        .await;
}
