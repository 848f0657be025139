//! What is asked of Kubernetes.

use std::time::Duration;

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{
        NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        SubjectAccessReview, SubjectAccessReviewSpec,
    },
};
use kube::{Api, Client, Error, Resource, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use crate::auth::kubernetes::identity::Identity;

/// Reviews at once: each takes some milliseconds, and a flood of unknown tokens is not passed on to Kubernetes.
const MAX_IN_FLIGHT: usize = 16;
/// One review, and the wait for its turn before it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer. No variant holds a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReviewError {
    /// No connection, a server error, or the right to ask is missing.
    #[error("Kubernetes did not review")]
    Away(#[source] Box<Error>),
    /// No answer in time.
    #[error("Kubernetes did not review in time")]
    TimedOut,
    /// An answer that does not say what was asked.
    #[error("Kubernetes' review lacks its outcome")]
    Incomplete,
}

/// Asks.
pub(super) struct Reviews {
    client: Client,
    audience: String,
    permits: Semaphore,
}

impl Reviews {
    pub(super) fn new(client: Client, audience: String) -> Self {
        Self {
            client,
            audience,
            permits: Semaphore::new(MAX_IN_FLIGHT),
        }
    }

    /// Whose token it is; `None` if it is nobody's, or not meant for us.
    pub(super) async fn identity(&self, token: &str) -> Result<Option<Identity>, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![self.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let status = self.ask(&review).await?.status.ok_or(ReviewError::Incomplete)?;
        // An authenticator that knows no audiences leaves them out: then nobody checked whom the token is for.
        let for_us = status
            .audiences
            .is_some_and(|audiences| audiences.contains(&self.audience));
        Ok(match status.user {
            Some(user) if for_us && status.authenticated == Some(true) => Identity::new(user, token),
            _ => None,
        })
    }

    /// Whether a role gives this user the verb on the path.
    pub(super) async fn allowed(
        &self,
        identity: &Identity,
        verb: &str,
        path: &str,
    ) -> Result<bool, ReviewError> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(identity.username.clone()),
                uid: identity.uid.clone(),
                groups: identity.groups.clone(),
                extra: identity.extra.clone(),
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some(verb.to_owned()),
                }),
                resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        let status = self.ask(&review).await?.status.ok_or(ReviewError::Incomplete)?;
        Ok(status.allowed && status.denied != Some(true))
    }

    async fn ask<K>(&self, review: &K) -> Result<K, ReviewError>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let answer = tokio::time::timeout(TIMEOUT, async {
            // Never closed.
            let _permit = self.permits.acquire().await;
            api.create(&PostParams::default(), review).await
        });
        let answer = answer.await.map_err(|_| ReviewError::TimedOut)?;
        answer.map_err(|error| ReviewError::Away(Box::new(error)))
    }
}

/// Why this process could not ask, as far as its own rights go; `Err` when Kubernetes does not answer at all.
pub(crate) async fn why_not_allowed(client: &Client) -> Result<Option<&'static str>, Error> {
    let needed = [
        (
            "authentication.k8s.io",
            "tokenreviews",
            "this process may not create tokenreviews",
        ),
        (
            "authorization.k8s.io",
            "subjectaccessreviews",
            "this process may not create subjectaccessreviews",
        ),
    ];
    for (group, resource, reason) in needed {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.to_owned()),
                    resource: Some(resource.to_owned()),
                    verb: Some("create".to_owned()),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = Api::all(client.clone())
            .create(&PostParams::default(), &review)
            .await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            return Ok(Some(reason));
        }
    }
    Ok(None)
}
