//! Who may call what: the rights that Kubernetes knows. A bearer token is shown to Kubernetes (`TokenReview`), and who it
//! names may call a path if a role gives the verb on it as a non-resource URL (`SubjectAccessReview`). Answers are kept
//! for a short while; without an answer nothing is allowed.

mod decisions;
mod identity;
mod reviews;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, header};
use kube::Client;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

pub(crate) use reviews::why_not_allowed;

use crate::error::{ApiError, Code};
use decisions::{Verdict, Verdicts};
use identity::Identity;
use reviews::{ReviewError, Reviews};

/// How long a refusal is kept, so that a right just given is soon felt.
const REFUSED_KEPT: Duration = Duration::from_secs(5);
/// Both reviews of one request, and the wait for their turns.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which endpoints ask who calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Guarded {
    /// None: whoever reaches the port may call everything.
    Off,
    /// /arxiv-api, /get-sequence, /read-… and /write-….
    Backend,
    /// Those, and /arxiv, /queries and /results.
    All,
}

/// Stands for a token: the token itself is kept nowhere.
type TokenHash = [u8; 32];

/// Who shows a token.
#[derive(Clone)]
struct Known {
    identity: Arc<Identity>,
    /// Until when that holds, and all that rests on it.
    until: Instant,
}

/// Decides, and remembers.
pub(crate) struct Access {
    reviews: Reviews,
    /// How long what was allowed is kept.
    kept: Duration,
    identities: Verdicts<TokenHash, Known>,
    rights: Verdicts<(TokenHash, &'static str, &'static str), ()>,
}

impl Access {
    /// `audience`: whom a token must be meant for.
    pub(crate) fn new(client: Client, audience: String, kept: Duration) -> Self {
        Self {
            reviews: Reviews::new(client, audience),
            kept,
            identities: Verdicts::new(),
            rights: Verdicts::new(),
        }
    }

    /// The name of the user who sends this request, if it may call `path` with this method.
    ///
    /// 1. Read the token.
    /// 2. Who is it? (`TokenReview`)
    /// 3. May they? (`SubjectAccessReview`)
    pub(crate) async fn admit(
        &self,
        headers: &HeaderMap,
        method: &Method,
        path: &'static str,
    ) -> Result<String, ApiError> {
        let token = bearer(headers)?;
        let verb = verb(method);
        match timeout(PATIENCE, self.decide(token, verb, path)).await {
            Ok(Ok(decision)) => decision,
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "who calls, or whether they may, is not known"
                );
                Err(ApiError::unavailable(Code::KubernetesUnavailable))
            }
            Err(_) => {
                tracing::warn!("Kubernetes did not say in time who calls, or whether they may");
                Err(ApiError::unavailable(Code::KubernetesUnavailable))
            }
        }
    }

    async fn decide(
        &self,
        token: &str,
        verb: &'static str,
        path: &'static str,
    ) -> Result<Result<String, ApiError>, ReviewError> {
        let hash: TokenHash = Sha256::digest(token.as_bytes()).into();
        let who = async {
            Ok(match self.reviews.identity(token).await? {
                Some(identity) => {
                    // A token that runs out meanwhile is shown to Kubernetes again.
                    let kept = identity.lifetime().map_or(self.kept, |left| left.min(self.kept));
                    let known = Known {
                        identity: Arc::new(identity),
                        until: Instant::now() + kept,
                    };
                    Verdict::yes(known.clone(), kept).until(known.until)
                }
                None => Verdict::no(REFUSED_KEPT),
            })
        };
        let Some(Known { identity, until }) = self.identities.get(hash, who).await? else {
            return Ok(Err(ApiError::new(
                Code::InvalidToken,
                "The bearer token is not valid here: it is unknown, has run out, or is meant for another audience",
            )));
        };
        let may = async {
            Ok(if self.reviews.allowed(&identity, verb, path).await? {
                // A group that is taken away is felt when the token is shown again, so the right goes with it.
                Verdict::yes((), self.kept).until(until)
            } else {
                Verdict::no(REFUSED_KEPT)
            })
        };
        if self.rights.get((hash, path, verb), may).await?.is_none() {
            let text = format!("{} may not {verb} {path}", identity.username);
            return Ok(Err(ApiError::new(Code::Forbidden, text)));
        }
        Ok(Ok(identity.username.clone()))
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| {
        ApiError::new(
            Code::Unauthenticated,
            "A token of Kubernetes is needed: Authorization: Bearer TOKEN",
        )
    })?;
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let sound = |token: &&str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    token.filter(sound).ok_or_else(|| {
        ApiError::new(
            Code::InvalidToken,
            "The Authorization header is not of the form: Bearer TOKEN",
        )
    })
}

/// The verb of a method in a role. HEAD gives less than GET, and needs no right of its own.
fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" | "HEAD" => "get",
        "POST" => "post",
        "DELETE" => "delete",
        "PUT" => "put",
        "PATCH" => "patch",
        "OPTIONS" => "options",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use http::{HeaderValue, Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    const KEPT: Duration = Duration::from_secs(30);

    /// A Kubernetes that knows one user, whose groups change, and lets one group do everything.
    fn kubernetes(groups: &Arc<Mutex<Vec<&'static str>>>) -> Client {
        let groups = Arc::clone(groups);
        let answer = tower::service_fn(move |request: Request<Body>| {
            let groups = Arc::clone(&groups);
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let mut review: Value = serde_json::from_slice(&body).unwrap();
                review["status"] = if review["kind"] == "TokenReview" {
                    let groups = groups.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    json!({"authenticated": true, "audiences": ["here"], "user": {"username": "u", "groups": groups}})
                } else {
                    let groups = review["spec"]["groups"].as_array().unwrap();
                    json!({"allowed": groups.contains(&json!("readers"))})
                };
                let answer = Response::builder().status(201);
                let body = Body::from(review.to_string().into_bytes());
                Ok::<_, tower::BoxError>(answer.body(body)?)
            }
        });
        Client::new(answer, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_is_taken_away_is_felt_as_soon_as_a_token() {
        let groups = Arc::new(Mutex::new(vec!["readers"]));
        let access = Access::new(kubernetes(&groups), "here".into(), KEPT);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        let asked = async |path| {
            let admitted = access.admit(&headers, &Method::GET, path).await;
            admitted.map_err(|error| error.code())
        };
        assert_eq!(asked("/results").await, Ok("u".into()));
        groups.lock().unwrap().clear();
        // The groups are those that were known, also for what is asked for the first time; but no longer than that.
        tokio::time::advance(KEPT / 2).await;
        assert_eq!(asked("/queries").await, Ok("u".into()));
        tokio::time::advance(KEPT / 2 + Duration::from_secs(1)).await;
        for path in ["/results", "/queries"] {
            assert_eq!(asked(path).await, Err(Code::Forbidden), "{path}");
        }
    }

    #[test]
    fn tokens_are_read() {
        let cases = [
            ("Bearer abc.def-_~+/=", Ok("abc.def-_~+/=")),
            ("bearer  abc", Ok("abc")),
            ("Bearer ", Err(Code::InvalidToken)),
            ("Bearer", Err(Code::InvalidToken)),
            ("Bearer a b", Err(Code::InvalidToken)),
            ("Basic YTpi", Err(Code::InvalidToken)),
            ("", Err(Code::InvalidToken)),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(
                bearer(&headers).map_err(|error| error.code()),
                expected,
                "{value}"
            );
        }
        let none = bearer(&HeaderMap::new()).unwrap_err();
        assert_eq!(
            (none.code(), none.status().as_u16()),
            (Code::Unauthenticated, 401)
        );
    }
}
