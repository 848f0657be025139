//! Who may call what, with real tokens and roles on a real kube-apiserver.

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject},
};
use kube::{
    Api, Client as Kubernetes, ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use reqwest::{Response, header};
use serde_json::Value;
use testbed::TestEnv;
use testbed::test_env::{LIMIT, eventually};
use testbed::{ControlPlane, stack::Options};

const AUDIENCE: &str = "papers";
const BACKEND: [(&str, &str); 6] = [
    ("GET", "/arxiv-api?title=x"),
    ("GET", "/get-sequence"),
    ("GET", "/read-queries?start_timestamp=0"),
    ("HEAD", "/read-results"),
    ("POST", "/write-queries"),
    ("POST", "/write-results"),
];

struct Accounts {
    client: Kubernetes,
    namespace: String,
}

impl Accounts {
    async fn of(plane: &ControlPlane, namespace: &str) -> Self {
        Self {
            client: plane.client().await.unwrap(),
            namespace: namespace.to_owned(),
        }
    }

    fn api(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes a service account.
    async fn make(&self, name: &str) {
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        self.api().create(&PostParams::default(), &account).await.unwrap();
    }

    /// Gives an account these rights everywhere.
    async fn allow(&self, account: &str, rules: Vec<PolicyRule>) {
        let metadata = ObjectMeta {
            name: Some(format!("{}-{account}-access", self.namespace)),
            ..ObjectMeta::default()
        };
        let role = ClusterRole {
            metadata: metadata.clone(),
            rules: Some(rules),
            ..ClusterRole::default()
        };
        let binding = ClusterRoleBinding {
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".into(),
                kind: "ClusterRole".into(),
                name: role.name_any(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".into(),
                name: account.into(),
                namespace: Some(self.namespace.clone()),
                api_group: None,
            }]),
            metadata,
        };
        let params = PostParams::default();
        Api::all(self.client.clone())
            .create(&params, &role)
            .await
            .unwrap();
        Api::all(self.client.clone())
            .create(&params, &binding)
            .await
            .unwrap();
    }

    async fn forbid(&self, account: &str) {
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        let name = format!("{}-{account}-access", self.namespace);
        bindings.delete(&name, &DeleteParams::default()).await.unwrap();
    }

    async fn token(&self, account: &str, audience: &str) -> String {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                // The shortest that Kubernetes gives.
                expiration_seconds: Some(600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let (accounts, params) = (self.api(), PostParams::default());
        let issued = accounts.create_token_request(account, &params, &request);
        issued.await.unwrap().status.unwrap().token
    }
}

fn paths(paths: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        non_resource_urls: Some(owned(paths)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

async fn send(env: &TestEnv, method: &str, path: &str, token: Option<&str>) -> Response {
    let request = env.http.request(method.parse().unwrap(), env.url(path));
    let request = request.header(header::ACCEPT, "application/problem+json, */*");
    let request = token
        .into_iter()
        .fold(request, reqwest::RequestBuilder::bearer_auth);
    request.send().await.unwrap()
}

/// Status, and code if it is an error of access control.
async fn decision(env: &TestEnv, method: &str, path: &str, token: Option<&str>) -> (u16, Option<String>) {
    let response = send(env, method, path, token).await;
    let status = response.status().as_u16();
    let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
    assert_eq!(challenge.is_some(), status == 401, "{challenge:?}");
    if !matches!(status, 401 | 403 | 503) {
        return (status, None);
    }
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(!text.contains("127.0.0.1") && token.is_none_or(|token| !text.contains(token)));
    (status, body["code"].as_str().map(str::to_owned))
}

fn is(answer: &(u16, Option<String>), status: u16, code: &str) -> bool {
    answer.0 == status && answer.1.as_deref() == Some(code)
}

/// A system that protects these endpoints, with a control plane that can be killed.
async fn protected(endpoints: &str) -> (TestEnv, Accounts) {
    let options = Options {
        own_control_plane: true,
        ..Options::default()
    };
    let environment = [
        ("ACCESS", endpoints),
        ("ACCESS_AUDIENCE", AUDIENCE),
        ("ACCESS_CACHE_SECONDS", "1"),
    ];
    let env = TestEnv::for_api_with(options, &environment).await;
    let accounts = Accounts::of(env.stack.control_plane(), env.stack.namespace()).await;
    (env, accounts)
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_endpoint_is_served_to_accounts_with_a_role_while_they_have_it() {
    let (env, accounts) = protected("backend").await;
    for account in ["recorder", "other"] {
        accounts.make(account).await;
    }
    let rules = vec![
        paths(&["/read-*", "/get-sequence", "/arxiv-api"], &["get"]),
        paths(&["/write-queries"], &["post"]),
    ];
    accounts.allow("recorder", rules).await;
    let recorder = accounts.token("recorder", AUDIENCE).await;
    let other = accounts.token("other", AUDIENCE).await;
    let elsewhere = accounts.token("recorder", "https://kubernetes.default.svc").await;
    eventually("the role is known", async || {
        (decision(&env, "GET", "/get-sequence", Some(&recorder)).await.0 == 200).then_some(())
    })
    .await;

    for (method, path) in BACKEND {
        let decide = async |token: Option<&str>| decision(&env, method, path, token).await;
        if method != "HEAD" {
            assert!(is(&decide(None).await, 401, "unauthenticated"), "{path}");
            for bad in [
                &*elsewhere,
                "garbage",
                &recorder[..recorder.len() - 4],
                &"x".repeat(9000),
            ] {
                assert!(is(&decide(Some(bad)).await, 401, "invalid_token"), "{path} {bad}");
            }
            assert!(is(&decide(Some(&other)).await, 403, "forbidden"), "{path}");
        }
        let answer = decide(Some(&recorder)).await;
        let expected = match path {
            "/write-queries" => (422, None),
            "/write-results" => (403, Some("forbidden".to_owned())),
            _ => (200, None),
        };
        assert_eq!(answer, expected, "{path}");
    }
    // The frontend, health and metrics need no token.
    for path in ["/results", "/healthz", "/readyz", "/metrics", "/arxiv?title=x"] {
        assert_eq!(decision(&env, "GET", path, None).await.0, 200, "{path}");
    }

    // A right ends with its decision in the cache: first the role, then the account.
    accounts.forbid("recorder").await;
    eventually("the right has ended", async || {
        is(
            &decision(&env, "GET", "/get-sequence", Some(&recorder)).await,
            403,
            "forbidden",
        )
        .then_some(())
    })
    .await;
    accounts
        .api()
        .delete("recorder", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the token is invalid", async || {
        is(
            &decision(&env, "GET", "/get-sequence", Some(&recorder)).await,
            401,
            "invalid_token",
        )
        .then_some(())
    })
    .await;

    // Without Kubernetes nothing is allowed.
    env.stack.control_plane().api_server().kill9();
    let answer = eventually("the denial has expired", async || {
        let answer = decision(&env, "GET", "/get-sequence", Some(&other)).await;
        (answer.0 == 503).then_some(answer)
    })
    .await;
    assert!(is(&answer, 503, "kubernetes_unavailable"), "{answer:?}");
    let log = env.api_server_log();
    for token in [&recorder, &other, &elsewhere] {
        assert!(!log.contains(&**token), "a token is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_ends_with_the_permission_and_the_access_log_says_so() {
    let (env, accounts) = protected("all").await;
    accounts.make("reader").await;
    accounts.allow("reader", vec![paths(&["/arxiv"], &["get"])]).await;
    let token = accounts.token("reader", AUDIENCE).await;
    let stream = eventually("the role is known", async || {
        let request = env.http.get(env.url("/arxiv?state=unfinished"));
        let request = request.header(header::ACCEPT, "text/event-stream");
        let request = request.header("x-request-id", "watched").bearer_auth(&token);
        Some(request.send().await.unwrap()).filter(|response| response.status() == 200)
    })
    .await;
    accounts.forbid("reader").await;
    let end = tokio::time::timeout(LIMIT, stream.bytes()).await;
    end.expect("the stream ends").expect("it is complete");
    let line = eventually("the request's line is written", async || {
        let log = env.api_server_log();
        let mut lines = log.lines();
        let line = lines.find(|line| line.contains("request_id=watched ") && line.contains("status=200"))?;
        Some(line.to_owned())
    })
    .await;
    assert!(line.contains("end=permission_ended"), "{line}");
}
