//! Kubernetes, stubbed at its HTTP client: `ArxivQuery` objects in memory, their watch, and reviews of tokens.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::body::Body;
use bytes::Bytes;
use crd::{ArxivQuery, ArxivQueryStatus, GROUP, Phase};
use futures::stream;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::NAMESPACE;

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    state: Arc<Mutex<State>>,
    changes: watch::Sender<()>,
}

struct State {
    available: bool,
    objects: BTreeMap<String, ArxivQuery>,
    /// All watch events, one line each. Their number is the resource version.
    events: Vec<String>,
    /// How many watches there have been.
    watches: usize,
    /// Method and path of each request.
    requests: Vec<(Method, String)>,
    /// Tokens, each with the name of its user.
    users: BTreeMap<String, String>,
    /// User, verb, and path or name of an object.
    rights: BTreeSet<(String, String, String)>,
}

impl Kubernetes {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                available: true,
                objects: BTreeMap::new(),
                events: Vec::new(),
                watches: 0,
                requests: Vec::new(),
                users: BTreeMap::new(),
                rights: BTreeSet::new(),
            })),
            changes: watch::Sender::new(()),
        }
    }

    /// A client, whose requests are answered here.
    pub(crate) fn client(&self) -> kube::Client {
        let kubernetes = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let kubernetes = kubernetes.clone();
            async move { kubernetes.respond(request).await }
        });
        kube::Client::new(service, "default")
    }

    /// While it is not available, connections are refused, and watches end.
    pub(crate) fn set_available(&self, available: bool) {
        self.lock().available = available;
        self.changes.send_replace(());
    }

    pub(crate) fn watches(&self) -> usize {
        self.lock().watches
    }

    pub(crate) fn requests(&self) -> Vec<(Method, String)> {
        self.lock().requests.clone()
    }

    /// Makes `token` known as that of `user`, who may do this.
    pub(crate) fn add_user(&self, user: &str, token: &str, rights: &[(&str, &str)]) {
        let mut state = self.lock();
        state.users.insert(token.to_owned(), user.to_owned());
        let rights = rights.iter();
        let rights = rights.map(|(verb, path)| (user.to_owned(), (*verb).to_owned(), (*path).to_owned()));
        state.rights.extend(rights);
    }

    /// Makes `token` unknown.
    pub(crate) fn remove_user(&self, token: &str) {
        self.lock().users.remove(token);
    }

    /// Creates an object, as somebody does by other means than this API.
    pub(crate) fn apply(&self, object: &ArxivQuery) {
        let (status, answer) = self.lock().create(serde_json::to_value(object).unwrap());
        assert_eq!(status, 201, "{answer}");
        self.changes.send_replace(());
    }

    pub(crate) fn objects(&self) -> Vec<ArxivQuery> {
        self.lock().objects.values().cloned().collect()
    }

    /// Changes the status of an object, if it still exists.
    pub(crate) fn update_status(&self, name: &str, update: impl FnOnce(&mut ArxivQueryStatus)) {
        let mut state = self.lock();
        if let Some(mut object) = state.objects.get(name).cloned() {
            update(object.status.get_or_insert_default());
            state.put("MODIFIED", object);
        }
        drop(state);
        self.changes.send_replace(());
    }

    /// What changes when there is something new.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn respond(&self, request: Request<kube::client::Body>) -> Result<Response<Body>, tower::BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let mut state = self.lock();
        state.requests.push((parts.method.clone(), path.to_owned()));
        if !state.available {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        }
        let (status, answer) = match (parts.method.as_str(), segments.as_slice()) {
            ("GET", ["apis", GROUP, _]) => (200, discovery()),
            ("POST", ["apis", _, "v1", _]) => (201, state.review(body)),
            ("POST", [.., "arxivqueries"]) => state.create(body),
            ("GET", [.., "arxivqueries"]) if query.contains_key("watch") => {
                let from = query["resourceVersion"].parse()?;
                state.watches += 1;
                drop(state);
                self.changes.send_replace(());
                return Ok(Response::new(self.watch(from)));
            }
            ("GET", [.., "arxivqueries"]) => state.list(&query),
            ("GET", [.., "arxivqueries", name]) => match state.objects.get(*name) {
                Some(object) => (200, serde_json::to_value(object)?),
                None => failure(404, "NotFound"),
            },
            ("GET", [.., "secrets", name]) => (200, secret(name)),
            ("DELETE", [.., "arxivqueries", name]) => state.delete(name, &body),
            _ => failure(404, "NotFound"),
        };
        drop(state);
        self.changes.send_replace(());
        Ok(Response::builder()
            .status(status)
            .body(answer.to_string().into())?)
    }

    /// The events after this resource version, until Kubernetes becomes unavailable.
    fn watch(&self, from: usize) -> Body {
        let start = (self.clone(), self.changes(), from);
        Body::from_stream(stream::unfold(start, async |(kubernetes, mut changes, from)| {
            loop {
                {
                    let state = kubernetes.lock();
                    if !state.available {
                        return None;
                    }
                    let version = state.events.len();
                    if version > from {
                        let lines = Bytes::from(state.events[from..].concat());
                        drop(state);
                        return Some((Ok::<_, io::Error>(lines), (kubernetes, changes, version)));
                    }
                }
                changes.changed().await.ok()?;
            }
        }))
    }
}

impl State {
    /// Stores an object under a new resource version.
    fn put(&mut self, event: &str, mut object: ArxivQuery) -> Value {
        object.metadata.resource_version = Some((self.events.len() + 1).to_string());
        let shown = serde_json::to_value(&object).unwrap();
        // The type comes first, as in what Kubernetes sends.
        self.events
            .push(format!("{{\"type\":\"{event}\",\"object\":{shown}}}\n"));
        let name = object.metadata.name.clone().unwrap();
        if event == "DELETED" {
            self.objects.remove(&name);
        } else {
            self.objects.insert(name, object);
        }
        shown
    }

    fn create(&mut self, body: Value) -> (u16, Value) {
        let mut object: ArxivQuery = serde_json::from_value(body).unwrap();
        if self
            .objects
            .contains_key(object.metadata.name.as_deref().unwrap())
        {
            return failure(409, "AlreadyExists");
        }
        object.metadata.uid = Some(Uuid::new_v4().to_string());
        object.metadata.creation_timestamp = Some(now());
        object.status = Some(ArxivQueryStatus {
            observed_generation: Some(-1),
            phase: Phase::Pending,
            ..ArxivQueryStatus::default()
        });
        (201, self.put("ADDED", object))
    }

    /// One page. A token is the name of the last object of the page before.
    fn list(&self, query: &BTreeMap<String, String>) -> (u16, Value) {
        let get = |name: &str| query.get(name).map_or("", String::as_str);
        let (selector, after) = (get("fieldSelector"), get("continue"));
        if !after.is_empty() && !after.starts_with("arxiv-") {
            return failure(400, "BadRequest");
        }
        let limit = get("limit").parse().unwrap_or(usize::MAX);
        let mut selected = self
            .objects
            .iter()
            .filter(|(name, object)| name.as_str() > after && selects(selector, object));
        let page: Vec<_> = selected.by_ref().take(limit).collect();
        let last = page.last().map(|(name, _)| *name);
        let next = last.filter(|_| selected.next().is_some());
        let items: Vec<_> = page.iter().map(|(_, object)| object).collect();
        let metadata = json!({"resourceVersion": self.events.len().to_string(), "continue": next});
        (
            200,
            json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}),
        )
    }

    fn delete(&mut self, name: &str, options: &Value) -> (u16, Value) {
        let Some(object) = self.objects.get(name).cloned() else {
            return failure(404, "NotFound");
        };
        let expected = options["preconditions"]["uid"].as_str();
        if expected.is_some() && expected != object.metadata.uid.as_deref() {
            return failure(409, "Conflict");
        }
        (200, self.put("DELETED", object))
    }

    fn review(&self, mut review: Value) -> Value {
        let spec = &review["spec"];
        review["status"] = match review["kind"].as_str().unwrap() {
            "TokenReview" => match self.users.get(spec["token"].as_str().unwrap()) {
                Some(user) => json!({"authenticated": true, "audiences": spec["audiences"],
                    "user": {"username": user}}),
                None => json!({"authenticated": false}),
            },
            "SubjectAccessReview" => {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let (asked, what) = match &spec["resourceAttributes"] {
                    Value::Null => (&spec["nonResourceAttributes"], "path"),
                    object => {
                        let of = (&object["group"], &object["resource"], &object["namespace"]);
                        assert_eq!(of, (&json!(GROUP), &json!("arxivqueries"), &json!(NAMESPACE)));
                        (object, "name")
                    }
                };
                let right = (text(&spec["user"]), text(&asked["verb"]), text(&asked[what]));
                json!({"allowed": self.rights.contains(&right)})
            }
            _ => json!({"allowed": true}),
        };
        review
    }
}

pub(crate) fn now() -> Time {
    Time(jiff::Timestamp::now())
}

/// Whether a field selector over phase and class selects an object.
fn selects(selector: &str, object: &ArxivQuery) -> bool {
    let mut terms = selector.split(',').filter(|term| !term.is_empty());
    terms.all(|term| {
        let (field, value) = term.rsplit_once('=').unwrap();
        let found = match field.trim_end_matches('!') {
            "status.phase" => object.phase().as_str(),
            "spec.className" => object.spec.class_name.as_deref().unwrap_or_default(),
            field => panic!("{field} cannot be selected by"),
        };
        (found == value) != field.ends_with('!')
    })
}

fn discovery() -> Value {
    let resource = json!({"name": "arxivqueries", "singularName": "", "namespaced": true, "kind": "ArxivQuery",
        "verbs": []});
    json!({"kind": "APIResourceList", "groupVersion": format!("{GROUP}/v1alpha1"), "resources": [resource]})
}

/// The key of clients' labels.
fn secret(name: &str) -> Value {
    json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name},
        "data": {"key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}})
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code});
    (code, status)
}
