//! The API without a process: requests go to its router. Postgres is real, Kubernetes is a stub, arXiv is a fake.

#[path = "../../common/databases.rs"]
pub(crate) mod databases;
pub(crate) mod events;
pub(crate) mod kubernetes;
pub(crate) mod operator;

use std::collections::BTreeMap;

use arxiv_api_server::{Process, Settings};
use axum::body::Body;
use clap::Parser;
use crd::ArxivQuery;
use http::{HeaderValue, Request, header};
use hyper::body::Body as _;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use service::settings::Environment;
use testbed::FakeArxiv;
use testbed::test_env::{LIMIT, http_client};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) use databases::Databases;
pub(crate) use events::Events;
pub(crate) use kubernetes::Kubernetes;
pub(crate) use operator::{Operator, Outcome};

pub(crate) const NAMESPACE: &str = "library";
/// Nobody listens at port 1.
pub(crate) const NOWHERE: &str = "postgresql://u:p@127.0.0.1:1/d";
const ORIGIN: &str = "http://localhost";

/// The URL of a path.
pub(crate) fn url(path: &str) -> String {
    format!("{ORIGIN}{path}")
}

/// A process with only these settings.
pub(crate) struct Server {
    process: Process,
    /// Asks it to end.
    pub(crate) ending: CancellationToken,
    pub(crate) http: reqwest::Client,
}

impl Server {
    /// `client`: of Kubernetes.
    pub(crate) async fn start(environment: &[(&str, &str)], client: Option<kube::Client>) -> Self {
        let (ending, http) = (CancellationToken::new(), http_client());
        let (databases, settings): (Vec<_>, Vec<_>) = environment
            .iter()
            .copied()
            .partition(|(name, _)| name.starts_with("DATABASE_") && *name != "DATABASE_MAX_CONNECTIONS");
        let arguments = settings
            .iter()
            .map(|(name, value)| format!("--{}={value}", name.to_lowercase().replace('_', "-")));
        let arguments = std::iter::once("arxiv-api-server".to_owned()).chain(arguments);
        let settings = Settings::try_parse_from(arguments).unwrap();
        let databases = Environment::given(databases);
        let process = Process::build(settings, &databases, client, ending.clone()).await;
        Self {
            process: process.unwrap(),
            ending,
            http,
        }
    }

    /// The response to a request that was made with [`Self::http`] and [`url`].
    pub(crate) async fn respond(&self, request: RequestBuilder) -> Response {
        let request = Request::try_from(request.build().unwrap()).unwrap();
        let (mut parts, body) = request.into_parts();
        // What the HTTP client adds, and what the HTTP server removes.
        let path = parts.uri.path_and_query().unwrap().clone();
        parts.uri = path.into();
        parts
            .headers
            .entry(header::HOST)
            .or_insert(HeaderValue::from_static("localhost"));
        if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
            parts.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let peer = ([127, 0, 0, 1], 1).into();
        let client = self.process.client_address(peer, &parts.headers);
        parts.extensions.insert(client);
        let answer = self
            .process
            .router
            .clone()
            .oneshot(Request::from_parts(parts, Body::new(body)));
        let answer = tokio::time::timeout(LIMIT, answer).await.unwrap().unwrap();
        assert!(answer.headers().contains_key("x-request-id"));
        Response::from(answer.map(|body| reqwest::Body::wrap_stream(body.into_data_stream())))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send("GET", path).await
    }

    /// A request without a body.
    pub(crate) async fn send(&self, method: &str, path: &str) -> Response {
        self.send_with(method, path, &[]).await
    }

    /// A request without a body, with these headers.
    pub(crate) async fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method, url(path));
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        self.respond(request).await
    }

    /// POST of a JSON body, with these headers.
    pub(crate) async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Response {
        let request = self
            .http
            .post(url(path))
            .header("content-type", "application/json");
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        self.respond(request.body(body.to_string())).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.post_with(path, body, &[]).await
    }
}

/// A process that serves all endpoints, and everything that it needs.
pub(crate) struct Api {
    server: Server,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) operator: Operator,
    pub(crate) arxiv: FakeArxiv,
    pub(crate) databases: Databases,
    settings: BTreeMap<String, String>,
    _tasks: JoinSet<()>,
}

impl std::ops::Deref for Api {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Api {
    /// With these settings added.
    pub(crate) async fn start(environment: &[(&str, &str)]) -> Self {
        Self::on(Databases::shared().await, environment).await
    }

    /// On databases with a replica.
    pub(crate) async fn with_replica() -> Self {
        Self::on(Databases::with_replica().await, &[]).await
    }

    async fn on(databases: Databases, environment: &[(&str, &str)]) -> Self {
        let (kubernetes, arxiv) = (Kubernetes::new(), FakeArxiv::start().unwrap());
        let url = arxiv.url();
        // A throttled request must not delay the next one.
        let usual = [
            ("NAMESPACE", NAMESPACE),
            ("CLIENT_KEY_SECRET", "client-key"),
            ("ARXIV_API_URL", url.as_str()),
            ("ARXIV_WAIT_MS", "50000"),
            ("MIN_INTERVAL_MS", "0"),
            ("COOLDOWN_BASE_MS", "1"),
        ];
        let settings = usual.iter().chain(environment);
        let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let addresses = databases.environment().into_iter();
        let settings = settings.chain(addresses.map(|(name, url)| (name.to_owned(), url)));
        let settings: BTreeMap<_, _> = settings.collect();
        let operator = Operator::new(&kubernetes, &databases);
        let mut tasks = JoinSet::new();
        tasks.spawn(operator.clone().run());
        let server = start(&settings, &kubernetes).await;
        Self {
            server,
            kubernetes,
            operator,
            arxiv,
            databases,
            settings,
            _tasks: tasks,
        }
    }

    /// Another process with the same settings.
    pub(crate) async fn another(&self) -> Server {
        start(&self.settings, &self.kubernetes).await
    }

    /// All objects.
    pub(crate) fn objects(&self) -> Vec<ArxivQuery> {
        self.kubernetes.objects()
    }

    /// The name of the object of a search for this title.
    pub(crate) fn name_of(&self, title: &str) -> String {
        let mut objects = self.objects().into_iter();
        let object = objects.find(|object| object.spec.search.title.as_deref() == Some(title));
        object.unwrap().metadata.name.unwrap()
    }

    /// Runs statements in the main database.
    pub(crate) async fn execute(&self, sql: &str) {
        self.databases.execute("arxiv", sql).await;
    }

    /// The number of rows of a table.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = format!("select count(*) from {table}");
        self.databases.column(&sql).await[0]
    }

    /// Removes all stored pages of arXiv.
    pub(crate) async fn forget_pages(&self) {
        let sql = "truncate public.arxiv_pages; update public.arxiv_gate set cooldown_until = null, \
                   throttled_in_a_row = 0, next_slot = clock_timestamp()";
        self.databases.execute("arxiv_sequence", sql).await;
    }
}

/// Starts a process and waits until it watches its objects.
async fn start(settings: &BTreeMap<String, String>, kubernetes: &Kubernetes) -> Server {
    let (before, mut changes) = (kubernetes.watches(), kubernetes.changes());
    let settings: Vec<_> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    let server = Server::start(&settings, Some(kubernetes.client())).await;
    let watch = async {
        while kubernetes.watches() == before {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, watch).await.unwrap();
    server
}

/// A header's value.
pub(crate) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    Some(response.headers().get(name)?.to_str().unwrap())
}
