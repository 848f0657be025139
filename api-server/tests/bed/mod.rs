//! What the tests of the running process have in common.

#![allow(
    dead_code,
    reason = "each test file is a program of its own and uses a part of this"
)]

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crd::ArxivQuery;
use kube::{Api, api::ListParams};
use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;
use testbed::{
    Stack,
    net::Port,
    process::{Child, Spec},
    stack::Options,
};

/// For anything that is waited for on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// The queries of the wire cases' `seeded` setup, and its results. The epoch comes first, or this and the operator, which settles
/// results, might wait for each other.
pub(crate) const SEED: &str = "
    select from public.arxiv_results_epoch for update;
    truncate public.queries, public.results restart identity;
    insert into public.results (query_id, timestamp, result_number, author, title, journal)
      select 1, 1711843200, n + 1, 'A' || n, 'T' || n, case when n % 2 = 0 then 'J' || n else '' end
      from generate_series(0, 24) n;
    insert into public.queries (query_id, timestamp, status, num_results, num_entries, query) values
      (1, 1711843200, 200, 1234, 8, 'search_query=au:knuth&id_list=&start=0&max_results=8'),
      (2, 1711845000, 200, 5, 5, 'search_query=ti:Árvíz'),
      (3, 1711846800, 200, 0, 0, ''),
      (4, 1711850400, 200, 7, 7, null);";

/// The tables of a new installation.
pub(crate) const EMPTY: &str = "
    select from public.arxiv_results_epoch for update;
    truncate public.queries, public.results restart identity";

/// An HTTP client that follows nothing.
pub(crate) fn client() -> Client {
    // Fails only where a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(LIMIT)
        .build()
        .unwrap()
}

/// A running system and a client of its API.
pub(crate) struct Bed {
    pub(crate) stack: Stack,
    pub(crate) client: Client,
}

impl Bed {
    /// Starts everything, with a cool-down so short that no test meets one that another made, and with callers who wait almost
    /// as long as their client does.
    pub(crate) async fn start(environment: &[(&str, &str)]) -> Self {
        Self::start_with(Options::default(), environment).await
    }

    pub(crate) async fn start_with(options: Options, environment: &[(&str, &str)]) -> Self {
        let environment = [("COOLDOWN_BASE_MS", "1"), ("ARXIV_WAIT_MS", "50000")]
            .iter()
            .chain(environment);
        let environment = environment
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let stack = Stack::start(Options {
            environment,
            ..options
        })
        .await
        .unwrap();
        Self {
            stack,
            client: client(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!(
            "{}{path}",
            self.stack.api_url().unwrap().as_str().trim_end_matches('/')
        )
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn send(&self, method: &str, path: &str) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, self.url(path)).send().await.unwrap()
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self
            .client
            .post(self.url(path))
            .header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    /// Runs statements in the main database, and waits until the replica has them.
    pub(crate) async fn execute(&self, sql: &str) {
        self.stack.databases.primary.execute("arxiv", sql).await.unwrap();
        self.replicated().await;
    }

    pub(crate) async fn replicated(&self) {
        self.stack
            .databases
            .replica
            .wait_replayed(&self.stack.databases.primary)
            .await
            .unwrap();
    }

    /// Forgets what was fetched, and that arXiv throttled.
    pub(crate) async fn forget_pages(&self) {
        let sql = "truncate public.arxiv_pages; update public.arxiv_gate set cooldown_until = null, \
                   throttled_in_a_row = 0, next_slot = clock_timestamp()";
        self.stack
            .databases
            .primary
            .execute("arxiv_sequence", sql)
            .await
            .unwrap();
    }

    /// The log of the API server.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.stack.api_servers[0].child().log()).unwrap()
    }

    /// The `ArxivQuery` objects of the namespace.
    pub(crate) async fn objects(&self) -> Vec<ArxivQuery> {
        let client = self.stack.control_plane().client().await.unwrap();
        Api::namespaced(client, self.stack.namespace())
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }

    /// The number of rows that a query gives.
    pub(crate) async fn count(&self, from: &str) -> i64 {
        use sqlx::{AssertSqlSafe, Row};
        let mut connection = self.stack.databases.primary.connect("arxiv").await.unwrap();
        let sql = format!("select count(*) from {from}");
        sqlx::query(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap()
            .get(0)
    }
}

/// Asks again until the answer will do.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An API server alone, with nothing around it but what its environment names.
pub(crate) struct Alone {
    pub(crate) child: Child,
    pub(crate) port: Port,
    _folder: Arc<testbed::TempDir>,
}

impl Alone {
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        Self::launch(environment, |spec| spec)
    }

    /// One that may have so many files and connections open.
    pub(crate) fn start_with_files(files: u32, environment: &[(&str, &str)]) -> Self {
        Self::launch(environment, |spec| {
            let limited = format!("ulimit -n {files}; exec {PROGRAM}");
            Spec::new("/bin/sh", spec.log()).args(["-c", &limited])
        })
    }

    fn launch(environment: &[(&str, &str)], program: impl FnOnce(Spec) -> Spec) -> Self {
        let folder = testbed::TempDir::new("api-server").unwrap();
        let port = Port::reserve().unwrap();
        let spec = Spec::new(PROGRAM, folder.path().join("api-server.log"));
        let spec = with(program(spec), environment).env("LISTEN", format!("127.0.0.1:{}", port.number()));
        Self {
            child: Child::spawn(spec).unwrap(),
            port,
            _folder: Arc::new(folder),
        }
    }

    /// Waits until it answers at all.
    pub(crate) async fn listening(self) -> Self {
        eventually("the server listens", async || {
            assert!(self.child.is_running(), "{}", self.child.log_tail());
            TcpStream::connect(("127.0.0.1", self.port.number())).ok()
        })
        .await;
        self
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.number())
    }

    /// Sends bytes as they are, and gives the whole answer until the server closes.
    pub(crate) fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.number())).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // The server may answer and close before all is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A body that is JSON.
pub(crate) async fn json(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Status and `detail`.
pub(crate) async fn told(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, json(response).await["detail"].clone())
}

/// The types and places of a 422.
pub(crate) fn problems(detail: &Value) -> Vec<(String, String)> {
    let problems = detail.as_array().unwrap_or_else(|| panic!("{detail}"));
    problems
        .iter()
        .map(|p| (p["type"].as_str().unwrap().to_owned(), p["loc"].to_string()))
        .collect()
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_arxiv-api-server");

/// How an API server is started here; without anything of this process's environment that it would read.
pub(crate) fn spec(folder: &Path, environment: &[(&str, &str)]) -> Spec {
    with(Spec::new(PROGRAM, folder.join("api-server.log")), environment)
}

fn with(spec: Spec, environment: &[(&str, &str)]) -> Spec {
    let spec = spec.env("LOG_LEVEL", "DEBUG");
    environment
        .iter()
        .fold(spec, |spec, (name, value)| spec.env(*name, *value))
}
