//! The faults.

use crd::ArxivFeed;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sqlx::Connection;
use testbed::arxiv::{Behaviour, Mode};
use testbed::net::{Receiver, Reply};
use testbed::test_env::{LIMIT, WEBHOOK_SECRET, search};

use crate::system::Monitored;

/// The replica does not replay what it receives.
pub(crate) async fn replica_lag(monitored: &Monitored) {
    let databases = &monitored.env.stack.databases;
    databases.replica.pause_replay().await.unwrap();
    let row = "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
               values (900001, 1, 200, 0, 0, '')";
    databases.primary.execute("arxiv", row).await.unwrap();
    monitored.expect("ArxivReplicaLag", async || {}).await;
}

/// arXiv answers that there are too many requests. Between two cool-downs the gauge is 0.
pub(crate) async fn throttling(monitored: &Monitored) {
    let arxiv = monitored.env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        mode: Mode::Status(429),
        retry_after: Some("5".into()),
        ..Behaviour::default()
    });
    for name in ["throttled0", "throttled1"] {
        monitored.env.create(name, search(name)).await;
    }
    let end = async || {
        let service = &monitored.env.stack.api_servers[0];
        let (status, body) = monitored
            .env
            .get_from(service, "/arxiv-api?title=asked&max_results=1")
            .await
            .unwrap();
        assert_eq!(status, 429, "{body}");
        arxiv.set(Mode::Ok);
    };
    monitored.expect("ArxivThrottled", end).await;
    for name in ["throttled0", "throttled1"] {
        monitored.env.finished(name).await;
    }
}

/// A session that is none of ours holds the gate.
pub(crate) async fn held_gate(monitored: &Monitored) {
    let mut holder = monitored.env.primary().connect("arxiv_sequence").await.unwrap();
    let lock = "select pg_advisory_lock(x'61727869'::int, x'67617465'::int)";
    sqlx::query(lock).execute(&mut holder).await.unwrap();
    let names = ["held0", "held1", "held2"];
    for name in names {
        monitored.env.create(name, search(name)).await;
    }
    monitored.expect("ArxivBacklogNotDraining", async || {}).await;
    assert!(holder.ping().await.is_err(), "the runbook has ended its session");
    for name in names {
        monitored.env.finished(name).await;
    }
}

/// A feed, which writes what the tests change.
struct Feed<'a> {
    name: &'a str,
    api: Api<ArxivFeed>,
}

impl<'a> Feed<'a> {
    /// Creates a suspended feed that was last complete three days ago.
    async fn create(monitored: &Monitored, name: &'a str, mut spec: Value) -> Self {
        let env = &monitored.env;
        let api: Api<ArxivFeed> = Api::namespaced(env.kube.clone(), env.stack.namespace());
        spec["suspend"] = json!(true);
        spec["schedule"] = json!(daily(40));
        spec["search"] = json!({"author": name});
        let feed = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivFeed", "metadata": {"name": name}, "spec": spec,
        });
        let created = api
            .create(&PostParams::default(), &serde_json::from_value(feed).unwrap())
            .await;
        let generation = created.unwrap().metadata.generation;
        let feed = Self { name, api };
        monitored
            .until("the feed is observed", async || {
                let status = feed.api.get(name).await.unwrap().status;
                status.is_some_and(|status| status.observed_generation == generation)
            })
            .await;
        let last = (Timestamp::now() - SignedDuration::from_hours(72)).to_string();
        let status = Patch::Merge(json!({"status": {"lastScheduleTime": last, "lastCompleteTime": last}}));
        let written = PatchParams::default();
        feed.api.patch_status(name, &written, &status).await.unwrap();
        feed
    }

    async fn change(&self, spec: Value) {
        let spec = Patch::Merge(json!({"spec": spec}));
        self.api
            .patch(self.name, &PatchParams::default(), &spec)
            .await
            .unwrap();
    }
}

/// A schedule with one time a day, so many minutes ago.
fn daily(minutes: i64) -> String {
    let time = Timestamp::now() - SignedDuration::from_mins(minutes);
    let time = time.to_zoned(TimeZone::UTC);
    format!("{} {} * * *", time.minute(), time.hour())
}

/// arXiv refuses the search of a feed, which was last complete three days ago. When that is repaired, a changed schedule makes it run.
pub(crate) async fn overdue_feed(monitored: &Monitored) {
    let arxiv = monitored.env.stack.arxiv().unwrap();
    let feed = Feed::create(monitored, "overdue", json!({})).await;
    arxiv.set(Mode::Status(400));
    feed.change(json!({"suspend": false})).await;
    let end = async || {
        arxiv.set(Mode::Ok);
        feed.change(json!({"schedule": daily(20)})).await;
    };
    monitored.expect("ArxivFeedsOverdue", end).await;
}

/// The receiver of a webhook fails. When it answers again, what waits is delivered.
pub(crate) async fn failing_webhook(monitored: &Monitored) {
    let env = &monitored.env;
    env.let_webhooks_read_secrets().await.unwrap();
    env.create_secret("hooks", "chat", WEBHOOK_SECRET).await.unwrap();
    let receiver = Receiver::start().unwrap();
    receiver.set(Reply::status(500));
    let webhook =
        json!({"name": "chat", "url": receiver.url(), "secretRef": {"name": "hooks", "key": "chat"}});
    let feed = Feed::create(monitored, "notified", json!({"webhooks": [webhook]})).await;
    feed.change(json!({"suspend": false})).await;
    let end = async || {
        receiver.set(Reply::status(200));
        let due = "update public.arxiv_feed_webhooks set next_attempt_at = now()";
        env.primary().execute("arxiv", due).await.unwrap();
    };
    monitored.expect("ArxivWebhooksFail", end).await;
}

/// The Lease was restored from a backup: its holder is gone, and its duration long.
pub(crate) async fn no_leader(monitored: &Monitored) {
    let env = &monitored.env;
    let leases: Api<Lease> = Api::namespaced(env.kube.clone(), env.stack.namespace());
    let restored = json!({"spec": {
        "holderIdentity": "arxiv-operator-7d4b9c_of-the-backup",
        "leaseDurationSeconds": 3600,
        "renewTime": format!("{:.6}", Timestamp::now()),
    }});
    let patch = Patch::Merge(restored);
    leases
        .patch("arxiv-operator", &PatchParams::default(), &patch)
        .await
        .unwrap();
    monitored.expect("ArxivNoLeader", async || {}).await;
}

/// A row policy that an administrator added makes every read of results fail, while probes succeed.
pub(crate) async fn failing_requests(monitored: &Monitored) {
    monitored.env.create("shown", search("shown")).await;
    monitored.env.finished("shown").await;
    let primary = monitored.env.primary();
    let policy = "
        create function public.is_reader() returns boolean language plpgsql
          as 'begin raise exception $$the list of readers is missing$$; end';
        alter table public.results enable row level security;
        create policy writers on public.results to arxiv_rw using (true) with check (true);
        create policy readers on public.results for select to arxiv_ro using (public.is_reader())";
    primary.execute("arxiv", policy).await.unwrap();
    monitored.env.replicated().await;
    let service = &monitored.env.stack.api_servers[0];
    let users = async {
        loop {
            let (status, body) = monitored
                .env
                .get_from(service, "/results")
                .await
                .unwrap_or_default();
            assert!([200, 500, 503].contains(&status), "{status}: {body}");
            for _ in 0..10 {
                monitored.env.get_from(service, "/readyz").await;
            }
        }
    };
    let repair = async || {
        let repair = "drop policy readers on public.results; drop policy writers on public.results;
                      drop function public.is_reader;
                      alter table public.results disable row level security";
        primary.execute("arxiv", repair).await.unwrap();
    };
    tokio::select! {
        _ = users => {}
        () = monitored.expect("ArxivApiErrors", repair) => {}
    }
}

/// The password in the Secret is not that of the operator's user, and the operators were restarted with it.
pub(crate) async fn wrong_password(monitored: &Monitored) {
    let change = "alter role arxiv_operator password 'another';
                  select pg_terminate_backend(pid) from pg_stat_activity where usename = 'arxiv_operator'";
    monitored
        .env
        .primary()
        .execute("arxiv_sequence", change)
        .await
        .unwrap();
    for operator in &monitored.env.stack.operators {
        operator.child().terminate(LIMIT).await.unwrap();
        operator.child().start_again().unwrap();
    }
    monitored.expect("ArxivDependencyNotReady", async || {}).await;
    monitored
        .until("an operator leads again", async || {
            monitored.count("arxiv_operator_leader == 1").await == 1
        })
        .await;
}
