//! Authentication and authorization by Kubernetes. Kubernetes reviews a bearer token (`TokenReview`), and its user may call
//! a path if a role grants the verb on it as a non-resource URL (`SubjectAccessReview`). Decisions are cached for a short
//! time; without a decision nothing is allowed.

mod decisions;
mod reviews;
mod token;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use k8s_openapi::api::{authentication::v1::UserInfo, authorization::v1::ResourceAttributes};
use kube::Client;
use service::metrics::Caches;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

pub(crate) use self::reviews::self_check;
use self::{
    decisions::{Decision, DecisionCache},
    reviews::{Asked, ReviewError, Reviews},
    token::{bearer, lifetime},
};
use crate::{
    error::{ApiError, Code},
    limits::{client::Client as Address, slots::Slots},
};

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

impl ProtectedEndpoints {
    /// Whether callers of such an endpoint need a token.
    pub(crate) fn has(self, is_backend: bool) -> bool {
        match self {
            Self::Off => false,
            Self::Backend => is_backend,
            Self::All => true,
        }
    }
}

/// The cache key of a token: the token itself is never stored.
type TokenHash = [u8; 32];

/// Authenticates and authorizes requests, with a cache.
pub(crate) struct KubernetesAuth {
    reviews: Reviews,
    /// How long an allowance is cached.
    ttl: Duration,
    /// The user of a token, and when this expires, with all rights that depend on it.
    users: DecisionCache<TokenHash, (Arc<UserInfo>, Instant)>,
    rights: DecisionCache<(TokenHash, &'static str, &'static str), ()>,
}

impl KubernetesAuth {
    /// `audience`: the audience that a token must have.
    pub(crate) fn new(
        client: Client,
        audience: String,
        ttl: Duration,
        slots: Slots,
        caches: &Caches,
    ) -> Self {
        Self {
            reviews: Reviews {
                client,
                audience,
                slots,
            },
            ttl,
            users: DecisionCache::new(caches.of("tokens")),
            rights: DecisionCache::new(caches.of("rights")),
        }
    }

    /// The user that sends this request, if the user may call `path` with this method. `address`: the client as far as it
    /// is known without the token, for which the reviews are limited.
    pub(crate) async fn authorize(
        &self,
        address: &Address,
        headers: &HeaderMap,
        method: &Method,
        path: &'static str,
    ) -> Result<Arc<UserInfo>, ApiError> {
        let decided = self.decide(address, bearer(headers)?, verb(method), path);
        // On the heap, as those of the next ones: the futures of reviews are large.
        in_time(Box::pin(decided)).await
    }

    /// The user that sends this request.
    pub(crate) async fn authenticate(
        &self,
        address: &Address,
        headers: &HeaderMap,
    ) -> Result<Arc<UserInfo>, ApiError> {
        let token = bearer(headers)?;
        let (user, _) = in_time(Box::pin(self.user(address, token, hash(token)))).await?;
        Ok(user)
    }

    /// Whether a role grants this user a verb on an object. Not cached: such requests are few.
    pub(crate) async fn may(
        &self,
        address: &Address,
        user: &UserInfo,
        object: ResourceAttributes,
    ) -> Result<bool, ApiError> {
        let allowed = self
            .reviews
            .is_allowed(address, user, Asked::Object(Box::new(object)));
        Ok(Box::pin(allowed).await?)
    }

    /// The user of a token, and until when that is cached.
    async fn user(
        &self,
        address: &Address,
        token: &str,
        hash: TokenHash,
    ) -> Result<(Arc<UserInfo>, Instant), ApiError> {
        let authenticated = async {
            let user = self.reviews.user(address, token).await?;
            let ttl = match user {
                // Not cached for longer than the token is valid.
                Some(_) => lifetime(token).map_or(self.ttl, |left| left.min(self.ttl)),
                None => DENIED_TTL,
            };
            let until = Instant::now() + ttl;
            let value = user.map(|user| (Arc::new(user), until));
            Ok::<_, ReviewError>(Decision { value, until })
        };
        self.users.get(hash, authenticated).await?.ok_or_else(|| {
            ApiError::new(
                Code::InvalidToken,
                "The bearer token is not valid here: it is unknown, has expired, or is for another audience",
            )
        })
    }

    async fn decide(
        &self,
        address: &Address,
        token: &str,
        verb: &'static str,
        path: &'static str,
    ) -> Result<Arc<UserInfo>, ApiError> {
        let hash = hash(token);
        let (user, until) = self.user(address, token, hash).await?;
        let authorized = async {
            let asked = Asked::Path { verb, path };
            let is_allowed = self.reviews.is_allowed(address, &user, asked).await?;
            let until = if is_allowed {
                // The right depends on the user's groups, so it expires with what is known of the user.
                until.min(Instant::now() + self.ttl)
            } else {
                Instant::now() + DENIED_TTL
            };
            let value = is_allowed.then_some(());
            Ok::<_, ReviewError>(Decision { value, until })
        };
        let right = self.rights.get((hash, path, verb), authorized).await?;
        right.ok_or_else(|| {
            let name = user.username.as_deref().unwrap_or_default();
            ApiError::new(Code::Forbidden, format!("{name} may not {verb} {path}"))
        })?;
        Ok(user)
    }
}

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// The result of reviews, or 503 if they take too long.
async fn in_time<T>(reviews: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    timeout(TIMEOUT, reviews).await.unwrap_or_else(|_| {
        tracing::warn!("a request was not authorized: Kubernetes did not respond in time");
        Err(ApiError::unavailable(Code::KubernetesUnavailable))
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

    use http::{HeaderValue, Request, Response, header};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::{Value, json};
    use service::metrics::Metrics;

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
            &Caches::register(&Metrics::with_prefix("program")),
        );
        let address = Address::at([192, 0, 2, 1].into());
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        let asked = async |path| {
            let admitted = access.authorize(&address, &headers, &Method::GET, path).await;
            let name = admitted.map(|user| user.username.clone().unwrap_or_default());
            name.map_err(|error| error.code())
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
}
