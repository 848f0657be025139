//! The database of Kubernetes goes back in time under running processes: an earlier state of etcd is restored.

use std::fs;
use std::path::Path;

use crd::Phase;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use testbed::stack::{Options, Service};
use testbed::test_env::{LIMIT, eventually, json_body, search, within};
use testbed::{Postgres, TestEnv};

/// Of the operator and of the API server.
const RESTORES: [&str; 2] = [
    "arxiv_operator_kubernetes_restores_total",
    "arxiv_api_server_kubernetes_restores_total",
];

async fn until_restore_is_noticed(env: &TestEnv, service: &Service, metric: &str, log: &str) {
    let noticed = within(LIMIT, async || {
        (env.metric_of(service, metric).await? > 0.5).then_some(())
    });
    let tail = service.child().log_tail();
    assert!(noticed.await.is_some(), "{metric} is 0\n{tail}");
    let text = fs::read_to_string(service.child().log()).unwrap();
    assert!(text.contains(log), "{}\n{tail}", service.name());
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_etcd_is_noticed_and_nothing_is_stuck_or_run_twice() {
    let env = TestEnv::start(Options {
        own_control_plane: true,
        ..Options::default()
    })
    .await;
    let plane = env.stack.control_plane();
    let arxiv = env.stack.arxiv().unwrap();
    env.create_many("before", 3).await;
    env.until_in_phase(Phase::Succeeded, 3).await;
    // Not ended at the time of the backup, but afterwards.
    let mut suspended = crd::ArxivQuery::new("suspended", search("suspended"));
    suspended.spec.suspend = true;
    env.create_object(&suspended).await;
    env.status_when("suspended", "suspended", |status| {
        status.phase == Phase::Suspended
    })
    .await;
    let backup = plane.back_up().unwrap();
    env.patch_spec("suspended", json!({"suspend": false})).await;
    env.finished("suspended").await;
    // Many writes, so that the restored database has not reached the watches' version for a long time.
    env.create_many("after", 20).await;
    let ended = env.until_in_phase(Phase::Succeeded, 24).await;
    env.assert_rows_of(&ended).await;
    env.queries
        .delete("before0", &DeleteParams::default())
        .await
        .unwrap();
    let asked = arxiv.requests().len();

    plane.restore(&backup).await.unwrap();
    // It is suspended again, but its rows stand: it has ended.
    let recognised = env.finished("suspended").await;
    let of_it = |objects: &[crd::ArxivQuery]| {
        let found = objects
            .iter()
            .find(|object| object.name_any() == "suspended")
            .unwrap();
        found.status.clone().unwrap().query_id
    };
    assert_eq!(recognised.query_id, of_it(&ended), "the number that it had");
    // What is created now has versions that the watches have seen before the restore.
    env.create("new", search("new")).await;
    assert_eq!(env.finished("new").await.phase, Phase::Succeeded);
    let answer = env.get("/arxiv?author=turing").await;
    assert_eq!(answer.status().as_u16(), 200, "the API server hears of its end");

    for (service, metric) in [
        (env.operator(), RESTORES[0]),
        (&env.stack.api_servers[0], RESTORES[1]),
    ] {
        until_restore_is_noticed(&env, service, metric, "went back in time").await;
    }
    let objects = env.objects().await;
    assert_eq!(objects.len(), 3 + 1 + 2, "those of the backup, and the new ones");
    assert!(objects.iter().all(|object| object.phase() == Phase::Succeeded));
    // The rows of removed objects stay; each of the others has exactly its own.
    let rows = env.rows().await;
    assert_eq!(rows.len(), 24 + 2);
    for object in &objects {
        let row = (
            object.metadata.uid.clone().unwrap(),
            object.status.as_ref().unwrap().query_id.unwrap(),
        );
        assert!(rows.contains(&row), "{}", object.name_any());
    }
    assert_eq!(
        arxiv.requests().len(),
        asked + 2,
        "only the new ones are asked for"
    );
    // A query whose object is not there any more is found by its name in the database.
    let gone = eventually("the state of a removed query", async || {
        let answer = env.get("/arxiv/after1").await;
        (answer.status().as_u16() == 200).then_some(answer)
    });
    assert_eq!(json_body(gone.await).await["phase"], Value::from("Succeeded"));
}

/// The commands of docs/backup.md in the block that contains these words.
fn commands(words: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/backup.md");
    let page = fs::read_to_string(page).unwrap();
    let mut blocks = page
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains(words)).unwrap().to_owned()
}

/// The output of commands, with kubectl for the whole cluster and psql as the owner of the databases.
async fn run(env: &TestEnv, script: &str) -> String {
    let (plane, databases) = (env.stack.control_plane(), &env.stack.databases);
    let psql = Postgres::program("psql").unwrap();
    let tools = format!(
        "set -eu -o pipefail; cd \"$(mktemp -d)\"
         kubectl() {{ '{}' \"$@\"; }}
         psql() {{ local url=$OWNER; [ \"$1\" = arxiv ] || url=$SEQUENCE_OWNER; shift; '{}' \"$url\" \"$@\"; }}",
        plane.kubectl().display(),
        psql.display()
    );
    let mut shell = tokio::process::Command::new("bash");
    shell
        .args(["-c", &format!("{tools}\n{script}")])
        .env("KUBECONFIG", plane.admin_kubeconfig())
        .env("TMPDIR", env.stack.folder())
        .env("OWNER", databases.owner_url())
        .env("SEQUENCE_OWNER", databases.sequence_owner_url());
    let output = tokio::time::timeout(LIMIT, shell.kill_on_drop(true).output());
    let output = output.await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The highest number that an object shows.
async fn highest_number(env: &TestEnv) -> i64 {
    let objects = env.objects().await;
    let numbers = objects
        .iter()
        .filter_map(|object| object.status.as_ref()?.query_id);
    numbers.max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_databases_mix_nothing_up_with_newer_objects() {
    // The commands look at the whole cluster.
    let env = TestEnv::start(Options {
        own_control_plane: true,
        ..Options::default()
    })
    .await;
    let databases = &env.stack.databases;
    env.create_many("before", 3).await;
    let before = env.until_in_phase(Phase::Succeeded, 3).await;
    let backup = databases.primary.back_up().await.unwrap();
    env.create_many("after", 3).await;
    env.until_in_phase(Phase::Succeeded, 6).await;
    let highest = highest_number(&env).await;

    env.operator().child().terminate(LIMIT).await.unwrap();
    databases.primary.restore(&backup).await.unwrap();
    databases
        .replica
        .rebuild_as_replica_of(&databases.primary)
        .await
        .unwrap();
    env.operator().child().start_again().unwrap();
    env.operator().ready(LIMIT).await.unwrap();
    env.assert_rows_of(&before).await;

    // The sequence went back too: the next number is one that another object shows. Its results are not that one's.
    let first = env.create("first", search("first")).await;
    let status = env.finished("first").await;
    let numbers: Vec<_> = env
        .objects()
        .await
        .iter()
        .filter(|object| object.status.as_ref().unwrap().query_id == status.query_id)
        .map(ResourceExt::name_any)
        .collect();
    assert_eq!(numbers.len(), 2, "{numbers:?}");
    for name in ["after0", "after1", "after2"] {
        let answer = env.get(&format!("/arxiv/{name}/results")).await;
        let status = answer.status().as_u16();
        // At first they could still be on their way to the replica.
        assert!([410, 503].contains(&status), "{name}: {status}");
        assert_eq!(
            env.status(name).await.phase,
            Phase::Succeeded,
            "it is not run again"
        );
    }
    let answer = env.get("/arxiv/first/results").await;
    assert_eq!(json_body(answer).await.as_array().unwrap().len(), 2);

    // As docs/backup.md says.
    let commands_of_step = commands("setval");
    let (find, raise) = commands_of_step.trim().split_once('\n').unwrap();
    let found = run(&env, find).await;
    assert_eq!(found.trim(), highest.to_string());
    run(&env, &raise.replace("NUMBER", found.trim())).await;
    let without_rows = run(&env, &commands("join -v 1")).await;
    for name in ["after0", "after1", "after2"] {
        let number = env.status(name).await.query_id;
        // One has the number of another's rows now.
        let is_shown = without_rows
            .lines()
            .any(|line| line.ends_with(&format!(" {name}")));
        assert_eq!(is_shown, number != status.query_id, "{name}: {without_rows}");
    }
    assert_eq!(without_rows.lines().count(), 2, "{without_rows}");
    env.create("second", search("second")).await;
    assert_eq!(env.finished("second").await.query_id, Some(highest + 1));
    // Those that have no rows are deleted and created again.
    env.queries
        .delete("after0", &DeleteParams::default())
        .await
        .unwrap();
    env.create("after0", search("after0")).await;
    assert_eq!(env.finished("after0").await.query_id, Some(highest + 2));
    let mut expected = before;
    for name in ["first", "second", "after0"] {
        expected.push(env.queries.get(name).await.unwrap());
    }
    assert_eq!(first.metadata.uid, expected[3].metadata.uid);
    env.assert_rows_of(&expected).await;
}
