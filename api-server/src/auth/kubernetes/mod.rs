//! Authentication and authorization by Kubernetes. Kubernetes reviews a bearer token (`TokenReview`), and its user may call
//! a path if a role grants the verb on it as a non-resource URL (`SubjectAccessReview`). Decisions are cached for a short
//! time; without a decision nothing is allowed.

mod decisions;
mod identity;
mod reviews;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, header};
use kube::Client;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

pub(crate) use reviews::self_check;

use crate::{
    error::{ApiError, Code},
    limits::{client::Client as Address, slots::Slots},
};
use decisions::{Decision, DecisionCache};
use identity::Identity;
use reviews::{ReviewError, Reviews};

/// How long a denial is cached: short, so that a new right takes effect soon.
const DENIED_TTL: Duration = Duration::from_secs(5);
/// Timeout of both reviews of one request, including the wait for their slots.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which endpoints require a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum ProtectedEndpoints {
    /// None: every client that reaches the port may call everything.
    Off,
    /// /arxiv-api, /get-sequence, /read-… and /write-….
    Backend,
    /// Those, and /arxiv, /queries and /results.
    All,
}

/// The cache key of a token: the token itself is never stored.
type TokenHash = [u8; 32];

/// The user of a token.
#[derive(Clone)]
struct CachedIdentity {
    identity: Arc<Identity>,
    /// When this expires, with all rights that depend on it.
    until: Instant,
}

/// Authenticates and authorizes requests, with a cache.
pub(crate) struct KubernetesAuth {
    reviews: Reviews,
    /// How long an allowance is cached.
    ttl: Duration,
    identities: DecisionCache<TokenHash, CachedIdentity>,
    rights: DecisionCache<(TokenHash, &'static str, &'static str), ()>,
}

impl KubernetesAuth {
    /// `audience`: the audience that a token must have.
    pub(crate) fn new(client: Client, audience: String, ttl: Duration, slots: Slots) -> Self {
        Self {
            reviews: Reviews::new(client, audience, slots),
            ttl,
            identities: DecisionCache::new(),
            rights: DecisionCache::new(),
        }
    }

    /// The name of the user that sends this request, if the user may call `path` with this method. `address`: the client
    /// as far as it is known without the token, for which the reviews are limited.
    ///
    /// 1. Read the token.
    /// 2. Authenticate its user (`TokenReview`).
    /// 3. Authorize the user (`SubjectAccessReview`).
    pub(crate) async fn authorize(
        &self,
        address: &Address,
        headers: &HeaderMap,
        method: &Method,
        path: &'static str,
    ) -> Result<String, ApiError> {
        let token = bearer(headers)?;
        let verb = verb(method);
        match timeout(TIMEOUT, self.decide(address, token, verb, path)).await {
            Ok(Ok(decision)) => decision,
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a request was not authorized: Kubernetes is unavailable"
                );
                Err(ApiError::unavailable(Code::KubernetesUnavailable))
            }
            Err(_) => {
                tracing::warn!("a request was not authorized: Kubernetes did not respond in time");
                Err(ApiError::unavailable(Code::KubernetesUnavailable))
            }
        }
    }

    async fn decide(
        &self,
        address: &Address,
        token: &str,
        verb: &'static str,
        path: &'static str,
    ) -> Result<Result<String, ApiError>, ReviewError> {
        let hash: TokenHash = Sha256::digest(token.as_bytes()).into();
        let who = async {
            Ok(match self.reviews.identity(address, token).await? {
                Some(identity) => {
                    // Not cached for longer than the token is valid.
                    let ttl = identity.lifetime().map_or(self.ttl, |left| left.min(self.ttl));
                    let known = CachedIdentity {
                        identity: Arc::new(identity),
                        until: Instant::now() + ttl,
                    };
                    Decision::allow(known.clone(), ttl).until(known.until)
                }
                None => Decision::deny(DENIED_TTL),
            })
        };
        let Some(CachedIdentity { identity, until }) = self.identities.get(hash, who).await? else {
            return Ok(Err(ApiError::new(
                Code::InvalidToken,
                "The bearer token is not valid here: it is unknown, has expired, or is for another audience",
            )));
        };
        let may = async {
            Ok(if self.reviews.allowed(address, &identity, verb, path).await? {
                // The right depends on the user's groups, so it expires with the identity.
                Decision::allow((), self.ttl).until(until)
            } else {
                Decision::deny(DENIED_TTL)
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

/// The verb of a method in a role. HEAD returns less than GET, and needs no right of its own.
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
    use crate::limits::table;

    const TTL: Duration = Duration::from_secs(30);

    /// A Kubernetes API that knows one user with changing groups, and allows one group everything.
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
    async fn removed_group_takes_effect_when_the_cached_identity_expires() {
        let groups = Arc::new(Mutex::new(vec!["readers"]));
        let access = KubernetesAuth::new(
            kubernetes(&groups),
            "here".into(),
            TTL,
            Slots::new(&table::REVIEWS),
        );
        let address = Address::at([192, 0, 2, 1].into());
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        let asked = async |path| {
            let admitted = access.authorize(&address, &headers, &Method::GET, path).await;
            admitted.map_err(|error| error.code())
        };
        assert_eq!(asked("/results").await, Ok("u".into()));
        groups.lock().unwrap().clear();
        // New decisions use the cached groups, but no longer than the identity is cached.
        tokio::time::advance(TTL / 2).await;
        assert_eq!(asked("/queries").await, Ok("u".into()));
        tokio::time::advance(TTL / 2 + Duration::from_secs(1)).await;
        for path in ["/results", "/queries"] {
            assert_eq!(asked(path).await, Err(Code::Forbidden), "{path}");
        }
    }

    #[test]
    fn bearer_token_is_read_from_the_authorization_header() {
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
