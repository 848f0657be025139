//! Who may call what: the rights that Kubernetes knows. A bearer token is shown to Kubernetes (`TokenReview`), and who it
//! names may call a path if a role gives the verb on it as a non-resource URL (`SubjectAccessReview`). Answers are kept
//! for a short while; without an answer nothing is allowed.

mod identity;
mod reviews;
mod verdicts;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, header};
use kube::Client;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

pub(crate) use reviews::why_not_allowed;

use crate::error::{ApiError, Code};
use identity::Identity;
use reviews::{ReviewError, Reviews};
use verdicts::{Verdict, Verdicts};

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

/// Decides, and remembers.
pub(crate) struct Access {
    reviews: Reviews,
    /// How long what was allowed is kept.
    kept: Duration,
    identities: Verdicts<TokenHash, Arc<Identity>>,
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
                Err(ApiError::unavailable(Code::KubernetesAway))
            }
            Err(_) => {
                tracing::warn!("Kubernetes did not say in time who calls, or whether they may");
                Err(ApiError::unavailable(Code::KubernetesAway))
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
                    Verdict::yes(Arc::new(identity), kept)
                }
                None => Verdict::no(REFUSED_KEPT),
            })
        };
        let Some(identity) = self.identities.get(hash, who).await? else {
            return Ok(Err(ApiError::new(
                Code::InvalidToken,
                "The bearer token is not valid here: it is unknown, has run out, or is meant for another audience",
            )));
        };
        let may = async {
            Ok(if self.reviews.allowed(&identity, verb, path).await? {
                Verdict::yes((), self.kept)
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
    use http::HeaderValue;

    use super::*;

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
