//! Every credential changes under load, and no request fails: the passwords of all users, the CA and the certificate of the
//! database servers, the certificate of the API, and the key of clients' labels.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use crd::Phase;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use testbed::{
    Postgres, TestEnv,
    stack::Options,
    test_env::{ServerOnly, eventually, search},
};
use tokio::{
    sync::{RwLock, watch},
    task::JoinSet,
};

use crate::tls::{Authority, CertificateFiles};

/// Requests at once: fewer than connections, together with the load, so that no request waits for a login of another one.
const BURST: usize = 4;
const KEY_SECRET: &str = "client-key";
/// The setting with the URL of each user, whether it reads from the replica, and its database.
const USERS: [(&str, &str, bool, &str); 5] = [
    ("arxiv_rw", "DATABASE_RW_URL", false, "arxiv"),
    ("arxiv_ro", "DATABASE_RO_URL", true, "arxiv"),
    ("arxiv_sequence", "DATABASE_SEQUENCE_URL", false, "arxiv_sequence"),
    ("arxiv_operator", "DATABASE_LEDGER_URL", false, "arxiv_sequence"),
    ("arxiv_upstream", "DATABASE_UPSTREAM_URL", false, "arxiv_sequence"),
];

/// The files with the addresses and the CA of the databases, which the operator and the API server read.
struct Files<'a> {
    env: &'a TestEnv,
    ca: PathBuf,
}

impl Files<'_> {
    fn server(&self, reads: bool) -> &Postgres {
        let databases = &self.env.stack.databases;
        if reads {
            &databases.replica
        } else {
            &databases.primary
        }
    }

    /// By its `sslrootcert` alone: the mode is then verify-full.
    fn write_url(&self, user: &str, password: &str) {
        let (_, name, reads, database) = USERS.into_iter().find(|(of, ..)| *of == user).unwrap();
        let url = self.server(reads).url(user, password, database);
        replace(
            &self.path(name),
            &format!("{url}?sslrootcert={}\n", self.ca.display()),
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.env.operator().credentials().join(name)
    }

    fn settings(&self) -> Vec<(String, String)> {
        let setting = |name: &str| (format!("{name}_FILE"), self.path(name).display().to_string());
        USERS.map(|(_, name, ..)| setting(name)).to_vec()
    }
}

/// The file changes at once, as a swapped link does.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, path).unwrap();
}

/// The load: each answer that is not a success is a failed request.
struct Load {
    client: Client,
    server: String,
    /// The server's log.
    log: PathBuf,
    number: AtomicI64,
    answered: AtomicU64,
    /// Held by each round of requests.
    turn: RwLock<()>,
}

impl Load {
    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, String) {
        let request = self.client.request(method, format!("{}{path}", self.server));
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.text().await.unwrap())
    }

    async fn succeed(&self, method: Method, path: &str, body: Option<Value>) -> String {
        let (status, text) = self.send(method, path, body).await;
        let log = || fs::read_to_string(&self.log).unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {text}\n{}", log());
        self.answered.fetch_add(1, Relaxed);
        text
    }

    /// One request of each kind: two reads, a number, two writes, and a request to arXiv.
    async fn round(&self) {
        let _turn = self.turn.read().await;
        let get = async |path: &str| self.succeed(Method::GET, path, None).await;
        get("/results?items_per_page=2").await;
        get("/read-results?query_id=1").await;
        get("/get-sequence").await;
        // Numbers of its own, far from those of the sequence.
        let number = self.number.fetch_add(1, Relaxed);
        let query = json!({"query_id": number, "timestamp": 1_711_850_500, "status": 200, "num_results": 1,
            "num_entries": 1, "query": "search_query=ti:x"});
        self.succeed(Method::POST, "/write-queries", Some(query)).await;
        let row = json!({"authors": "Erdős", "title": "T", "journal": ""});
        let rows = json!({"query_id": number, "timestamp": 1_711_850_500, "results": [row]});
        self.succeed(Method::POST, "/write-results", Some(rows)).await;
        get("/arxiv-api?title=rotation&max_results=1").await;
    }
}

/// Ends all sessions of the operator, and those of the API server, which has no request meanwhile, once they have been idle
/// for a while. The time before.
async fn end_sessions(env: &TestEnv, load: &Load) -> f64 {
    let databases = &env.stack.databases;
    let none_under_way = load.turn.write().await;
    let mut admin = databases.primary.connect("postgres").await.unwrap();
    let now = sqlx::query_scalar("select extract(epoch from clock_timestamp())::float8");
    let began: f64 = now.fetch_one(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    eventually("all sessions are new", async || {
        let mut left = 0;
        for server in [&databases.replica, &databases.primary] {
            let end = format!(
                "select count(*), count(pg_terminate_backend(pid)) filter (where application_name like 'arxiv-operator%'
                   or state = 'idle' and state_change < clock_timestamp() - interval '1 second')
                 from pg_stat_activity where usename like 'arxiv_%' and backend_start < to_timestamp({began})"
            );
            let mut admin = server.connect("postgres").await.unwrap();
            let (old, _): (i64, i64) = sqlx::query_as(AssertSqlSafe(end))
                .fetch_one(&mut admin)
                .await
                .unwrap();
            admin.close().await.unwrap();
            left += old;
        }
        (left == 0).then_some(())
    })
    .await;
    drop(none_under_way);
    began
}

/// The users that have sessions which began after this time, and all of these over TLS.
async fn users_since(env: &TestEnv, time: f64) -> Vec<String> {
    let databases = &env.stack.databases;
    let mut users = Vec::new();
    for server in [&databases.replica, &databases.primary] {
        let sql = format!(
            "select distinct usename::text from pg_stat_activity join pg_stat_ssl using (pid)
             where ssl and backend_start > to_timestamp({time}) and usename like 'arxiv_%'"
        );
        let mut admin = server.connect("postgres").await.unwrap();
        let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
        users.extend(found);
    }
    users.sort();
    users.dedup();
    users
}

/// Waits until every user has logged in again, by bursts of requests and a query for the operator.
async fn all_log_in(env: &TestEnv, load: &Arc<Load>, step: &str) {
    let began = end_sessions(env, load).await;
    env.create(&format!("query-{step}"), search(step)).await;
    eventually(
        &format!("every user has logged in again after {step}"),
        async || {
            let mut burst = JoinSet::new();
            for _ in 0..BURST {
                let load = Arc::clone(load);
                burst.spawn(async move { load.round().await });
            }
            while let Some(done) = burst.join_next().await {
                done.unwrap();
            }
            (users_since(env, began).await.len() == USERS.len()).then_some(())
        },
    )
    .await;
}

/// The API server, over TLS, with the same files.
async fn api_server(env: &TestEnv, files: &Files<'_>, certificate: &CertificateFiles) -> ServerOnly {
    let [chain, key] = ["tls.crt", "tls.key"].map(|name| certificate.path(name).display().to_string());
    let kubeconfig = env.stack.control_plane().admin_kubeconfig();
    let mut settings = files.settings();
    settings.extend(
        [
            ("SERVE", "all"),
            ("DATABASE_MAX_CONNECTIONS", "6"),
            ("TLS_CERT_FILE", &chain),
            ("TLS_KEY_FILE", &key),
            ("KUBECONFIG", &kubeconfig.display().to_string()),
            ("NAMESPACE", env.stack.namespace()),
            ("CLIENT_KEY_SECRET", KEY_SECRET),
            ("ARXIV_API_URL", env.stack.arxiv_url().as_str()),
            ("MIN_INTERVAL_MS", "0"),
            ("LOG_LEVEL", "WARN"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    ServerOnly::start(&settings).listening().await
}

fn secret(data: &[(&str, [u8; 32])]) -> Secret {
    let data = data
        .iter()
        .map(|(name, key)| ((*name).to_owned(), ByteString(key.to_vec())));
    Secret {
        metadata: ObjectMeta {
            name: Some(KEY_SECRET.into()),
            ..ObjectMeta::default()
        },
        data: Some(data.collect::<BTreeMap<_, _>>()),
        ..Secret::default()
    }
}

/// Lets the servers use TLS and the users have their first passwords, and writes both to the files. The CAs.
async fn prepare(files: &Files<'_>) -> [String; 2] {
    let databases = &files.env.stack.databases;
    let (ca_of_primary, ca_of_replica) = (
        databases.primary.enable_tls().await.unwrap(),
        databases.replica.enable_tls().await.unwrap(),
    );
    let cas = [ca_of_primary, ca_of_replica].map(|file| fs::read_to_string(file).unwrap());
    replace(&files.ca, &cas.concat());
    for (user, ..) in USERS {
        let alter = format!("alter role {user} password 'first'");
        databases.primary.execute("postgres", &alter).await.unwrap();
        files.write_url(user, "first");
    }
    files.env.replicated().await;
    cas
}

#[tokio::test(flavor = "multi_thread")]
async fn every_credential_changes_under_load_and_no_request_fails() {
    let env = TestEnv::start(Options {
        api_servers: Vec::new(),
        credential_files: true,
        ..Options::operator_only()
    })
    .await;
    let databases = &env.stack.databases;
    let files = Files {
        ca: env.stack.folder().join("database-ca.crt"),
        env: &env,
    };
    let cas = prepare(&files).await;
    let secrets: Api<Secret> = Api::namespaced(env.kube.clone(), env.stack.namespace());
    let first_key = secret(&[("key", [1; 32])]);
    secrets.create(&PostParams::default(), &first_key).await.unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    let certificate = CertificateFiles::new(&first.issue());
    let api = api_server(&env, &files, &certificate).await;
    let load = Arc::new(Load {
        client: Authority::client_of(&[&first, &second]),
        server: api.url("").replace("http://", "https://"),
        log: api.child.log().to_owned(),
        number: AtomicI64::new(5_000_000),
        answered: AtomicU64::new(0),
        turn: RwLock::new(()),
    });
    eventually("the API server is ready", async || {
        (load.send(Method::GET, "/readyz", None).await.0 == 200).then_some(())
    })
    .await;

    let (stop, stopped) = watch::channel(false);
    let mut workers = JoinSet::new();
    for _ in 0..2 {
        let (load, stopped) = (Arc::clone(&load), stopped.clone());
        workers.spawn(async move {
            while !*stopped.borrow() {
                load.round().await;
            }
        });
    }
    let made = load
        .succeed(Method::POST, "/arxiv", Some(json!({"search": {"title": "mine"}})))
        .await;
    let made: Value = serde_json::from_str(&made).unwrap();
    all_log_in(&env, &load, "start").await;

    // The passwords, as docs/credentials.md has it: the files first, then Postgres.
    for (user, ..) in USERS {
        files.write_url(user, "second");
    }
    all_log_in(&env, &load, "files").await;
    for (user, ..) in USERS {
        let alter = format!("alter role {user} password 'second'");
        databases.primary.execute("postgres", &alter).await.unwrap();
    }
    env.replicated().await;
    all_log_in(&env, &load, "passwords").await;

    // Both CAs, the new certificates, then the new CA alone.
    let issued = [&databases.primary, &databases.replica].map(Postgres::issue_certificate);
    let issued = issued.map(Result::unwrap);
    let new: String = issued.iter().map(|pair| pair[0].as_str()).collect();
    replace(&files.ca, &(cas.concat() + &new));
    for (server, pair) in [&databases.primary, &databases.replica].into_iter().zip(&issued) {
        server.use_certificate(pair).await.unwrap();
    }
    replace(&files.ca, &new);
    all_log_in(&env, &load, "ca").await;

    // The certificate of the API.
    certificate.swap(&second.issue());
    let trusts_new = second.client();
    eventually("the new certificate is served", async || {
        trusts_new
            .get(format!("{}/healthz", load.server))
            .send()
            .await
            .ok()
    })
    .await;

    // The key of labels: who made an object before may still remove it.
    let keys = secret(&[("key", [2; 32]), ("previous", [1; 32])]);
    let patch = Patch::Merge(&keys);
    secrets
        .patch(KEY_SECRET, &PatchParams::default(), &patch)
        .await
        .unwrap();
    let own = format!("/arxiv/{}", made["name"].as_str().unwrap());
    load.succeed(Method::DELETE, &own, None).await;

    stop.send(true).unwrap();
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    assert!(load.answered.load(Relaxed) > 200, "{:?}", load.answered);
    // No query is stuck: those of each step, which the operator ran meanwhile.
    for step in ["start", "files", "passwords", "ca"] {
        let status = env.finished(&format!("query-{step}")).await;
        assert_eq!(status.phase, Phase::Succeeded, "{step}: {status:?}");
    }
    let log = fs::read_to_string(api.child.log()).unwrap();
    assert!(!log.contains("ERROR"), "{log}");
}
