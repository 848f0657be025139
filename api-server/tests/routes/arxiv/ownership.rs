//! Who may remove a query: the client that it was made for, and users with the right in Kubernetes.

use crd::{ArxivQuery, ArxivQuerySpec, ArxivSearch};
use testbed::test_env::json_body;

use super::accepted;
use crate::support::{Api, Outcome, header};

const PROXIES: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.0/8");
const ASYNCHRONOUS: (&str, &str) = ("prefer", "respond-async");
const PROBLEM: (&str, &str) = ("accept", "application/problem+json");

/// An object that was made by other means than this API, as by GitOps.
fn from_git(name: &str) -> ArxivQuery {
    let spec = ArxivQuerySpec {
        search: ArxivSearch {
            title: Some("declared".into()),
            ..ArxivSearch::default()
        },
        max_results: 3,
        ..ArxivQuerySpec::default()
    };
    ArxivQuery::new(name, spec)
}

/// The status of a removal, and the code if it is an error.
async fn remove(api: &Api, path: &str, headers: &[(&str, &str)]) -> (u16, Option<String>) {
    let headers: Vec<_> = headers.iter().copied().chain([PROBLEM]).collect();
    let response = api.send_with("DELETE", path, &headers).await;
    let status = response.status().as_u16();
    if status == 204 {
        return (status, None);
    }
    let body = json_body(response).await;
    (status, body["code"].as_str().map(str::to_owned))
}

fn refused(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn object_of_somebody_else_stays_when_an_anonymous_client_removes_it() {
    for access in ["off", "backend"] {
        let api = Api::start(&[PROXIES, ("ACCESS", access)]).await;
        api.operator.set(Outcome::None);
        api.kubernetes.apply(&from_git("from-git"));
        let (first, second) = (("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2"));
        let made = api
            .send_with("GET", "/arxiv?title=x", &[ASYNCHRONOUS, first])
            .await;
        let made = accepted(made).await;
        for (path, client) in [("/arxiv/from-git", first), (&*made, second)] {
            assert_eq!(
                remove(&api, path, &[client]).await,
                refused(403, "forbidden"),
                "{path}"
            );
        }
        assert_eq!(api.objects().len(), 2, "{access}");
        assert_eq!(remove(&api, &made, &[first]).await, (204, None), "{access}");
        assert_eq!(api.objects().len(), 1, "{access}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_with_the_right_on_an_object_removes_it() {
    for access in ["backend", "all"] {
        let api = Api::start(&[("ACCESS", access)]).await;
        for name in ["one", "two"] {
            api.kubernetes.apply(&from_git(name));
        }
        api.kubernetes
            .add_user("gardener", "good", &[("delete", "/arxiv"), ("delete", "one")]);
        let as_gardener = [("authorization", "Bearer good")];
        assert_eq!(
            remove(&api, "/arxiv/one", &[("authorization", "Bearer unknown")]).await,
            refused(401, "invalid_token")
        );
        assert_eq!(
            remove(&api, "/arxiv/two", &as_gardener).await,
            refused(403, "forbidden")
        );
        assert_eq!(
            remove(&api, "/arxiv/one", &as_gardener).await,
            (204, None),
            "{access}"
        );
        let left = api.objects();
        assert_eq!(left.len(), 1, "{access}");
        assert_eq!(left[0].metadata.name.as_deref(), Some("two"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_removes_its_own_query_and_not_that_of_another_user() {
    let api = Api::start(&[("ACCESS", "all")]).await;
    api.operator.set(Outcome::None);
    let rights = [("get", "/arxiv"), ("delete", "/arxiv")];
    api.kubernetes.add_user("ada", "ada-token", &rights);
    api.kubernetes.add_user("bob", "bob-token", &rights);
    let (ada, bob) = (
        ("authorization", "Bearer ada-token"),
        ("authorization", "Bearer bob-token"),
    );
    let made = accepted(api.send_with("GET", "/arxiv?title=x", &[ASYNCHRONOUS, ada]).await).await;
    assert_eq!(remove(&api, &made, &[bob]).await, refused(403, "forbidden"));
    assert_eq!(remove(&api, &made, &[ada]).await, (204, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_count_towards_the_rate_limit() {
    let api = Api::start(&[("CLIENT_SEARCHES_PER_MINUTE", "1"), ("CLIENT_BURST", "3")]).await;
    for left in (0..=2).rev() {
        let response = api.send("DELETE", "/arxiv/nothing").await;
        assert_eq!(response.status(), 404);
        let limit = header(&response, "ratelimit").unwrap();
        assert!(limit.starts_with(&format!("\"client\";r={left};t=")), "{limit}");
    }
    // Checks of readiness and the watch send requests meanwhile.
    let requests = || {
        let mut requests = api.kubernetes.requests();
        requests.retain(|(_, path)| path.contains("/nothing"));
        requests.len()
    };
    let before = requests();
    assert!(before > 0, "{:?}", api.kubernetes.requests());
    assert_eq!(
        remove(&api, "/arxiv/nothing", &[]).await,
        refused(429, "client_rate_limited")
    );
    assert_eq!(requests(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn label_that_is_copied_to_another_object_gives_no_right_to_remove_it() {
    let api = Api::start(&[("ACCESS", "off")]).await;
    api.operator.set(Outcome::None);
    let made = accepted(api.send_with("GET", "/arxiv?title=x", &[ASYNCHRONOUS]).await).await;
    let own = api.objects().remove(0);
    for (name, annotations) in [("without-mark", None), ("with-mark", own.metadata.annotations)] {
        let mut copied = from_git(name);
        copied.metadata.labels.clone_from(&own.metadata.labels);
        copied.metadata.annotations = annotations;
        api.kubernetes.apply(&copied);
        let path = format!("/arxiv/{name}");
        assert_eq!(
            remove(&api, &path, &[]).await,
            refused(403, "forbidden"),
            "{name}"
        );
    }
    assert_eq!(remove(&api, &made, &[]).await, (204, None));
}
