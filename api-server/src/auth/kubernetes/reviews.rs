//! The review requests to Kubernetes: `TokenReview`, `SubjectAccessReview`, and of this process itself
//! `SelfSubjectAccessReview`.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{
        NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        SubjectAccessReview, SubjectAccessReviewSpec,
    },
};
use kube::{Api, Client, Error, Resource, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{ApiError, Code},
    limits::{client::Client as Address, slots::Slots},
};

/// Timeout of one review, including the wait for a slot.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a review failed. No variant contains a token.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ReviewError {
    /// No connection, a server error, or this process lacks the right to create reviews.
    #[error("the review request to Kubernetes failed")]
    Unavailable(#[source] Arc<Error>),
    /// No response in time.
    #[error("the review request to Kubernetes timed out")]
    TimedOut,
    /// A response without the requested status.
    #[error("the review response of Kubernetes has no status")]
    Incomplete,
}

impl From<ReviewError> for ApiError {
    fn from(error: ReviewError) -> Self {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a request was not authorized: Kubernetes is unavailable"
        );
        Self::unavailable(Code::KubernetesUnavailable)
    }
}

/// What a user asks to do.
pub(super) enum Asked {
    /// A verb on a path of this service.
    Path { verb: &'static str, path: &'static str },
    /// A verb on an object in Kubernetes.
    Object(Box<ResourceAttributes>),
}

/// Sends review requests.
pub(super) struct Reviews {
    pub(super) client: Client,
    pub(super) audience: String,
    pub(super) slots: Slots,
}

impl Reviews {
    /// The user of a token; `None` if the token is unknown, expired, or has another audience, or the user has no name.
    pub(super) async fn user(&self, address: &Address, token: &str) -> Result<Option<UserInfo>, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![self.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let review = self.create(address, &review).await?;
        let status = review.status.ok_or(ReviewError::Incomplete)?;
        // An authenticator that does not support audiences leaves them out: then nobody checked the token's audience.
        let for_us = status.audiences.is_some_and(|all| all.contains(&self.audience));
        let user = status
            .user
            .filter(|_| for_us && status.authenticated == Some(true));
        Ok(user.filter(|user| user.username.as_deref().is_some_and(|name| !name.is_empty())))
    }

    /// Whether a role grants this user what is asked for.
    pub(super) async fn is_allowed(
        &self,
        address: &Address,
        user: &UserInfo,
        asked: Asked,
    ) -> Result<bool, ReviewError> {
        let user = user.clone();
        let (path, object) = match asked {
            Asked::Path { verb, path } => {
                let path = NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some(verb.to_owned()),
                };
                (Some(path), None)
            }
            Asked::Object(object) => (None, Some(*object)),
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                non_resource_attributes: path,
                resource_attributes: object,
            },
            ..SubjectAccessReview::default()
        };
        let review = self.create(address, &review).await?;
        let status = review.status.ok_or(ReviewError::Incomplete)?;
        Ok(status.allowed && status.denied != Some(true))
    }

    async fn create<K>(&self, address: &Address, review: &K) -> Result<K, ReviewError>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let answer = tokio::time::timeout(TIMEOUT, async {
            let slot = self.slots.acquire(Some(address)).await;
            let _slot = slot.ok_or(ReviewError::TimedOut)?;
            let created = api.create(&PostParams::default(), review).await;
            created.map_err(|error| ReviewError::Unavailable(Arc::new(error)))
        });
        answer.await.map_err(|_| ReviewError::TimedOut)?
    }
}

/// Why this process cannot create reviews: a right that it lacks, if any. `Err` if Kubernetes does not respond.
pub(crate) async fn self_check(client: &Client) -> Result<Option<String>, Error> {
    for (group, resource) in [
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    ] {
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
        let api = Api::all(client.clone());
        let answer = api.create(&PostParams::default(), &review).await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            return Ok(Some(format!("this process may not create {resource}")));
        }
    }
    Ok(None)
}
