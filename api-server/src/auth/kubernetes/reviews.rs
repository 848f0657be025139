//! The review requests to Kubernetes: `TokenReview`, `SubjectAccessReview`, and of this process itself
//! `SelfSubjectAccessReview`.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{
        NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        SubjectAccessReview, SubjectAccessReviewSpec,
    },
};
use kube::{Api, Client, Error, Resource, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    auth::kubernetes::identity::Identity,
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

/// Sends review requests.
pub(super) struct Reviews {
    client: Client,
    audience: String,
    slots: Slots,
}

impl Reviews {
    pub(super) fn new(client: Client, audience: String, slots: Slots) -> Self {
        Self {
            client,
            audience,
            slots,
        }
    }

    /// The user of a token; `None` if the token is unknown, expired, or has another audience.
    pub(super) async fn identity(
        &self,
        address: &Address,
        token: &str,
    ) -> Result<Option<Identity>, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![self.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let status = self
            .create(address, &review)
            .await?
            .status
            .ok_or(ReviewError::Incomplete)?;
        // An authenticator that does not support audiences leaves them out: then nobody checked the token's audience.
        let for_us = status
            .audiences
            .is_some_and(|audiences| audiences.contains(&self.audience));
        Ok(match status.user {
            Some(user) if for_us && status.authenticated == Some(true) => Identity::new(user, token),
            _ => None,
        })
    }

    /// Whether a role grants this user the verb on the path.
    pub(super) async fn allowed(
        &self,
        address: &Address,
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
        let status = self
            .create(address, &review)
            .await?
            .status
            .ok_or(ReviewError::Incomplete)?;
        Ok(status.allowed && status.denied != Some(true))
    }

    async fn create<K>(&self, address: &Address, review: &K) -> Result<K, ReviewError>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let answer = tokio::time::timeout(TIMEOUT, async {
            let _slot = self
                .slots
                .acquire(Some(address))
                .await
                .ok_or(ReviewError::TimedOut)?;
            let created = api.create(&PostParams::default(), review).await;
            created.map_err(|error| ReviewError::Unavailable(Arc::new(error)))
        });
        answer.await.map_err(|_| ReviewError::TimedOut)?
    }
}

/// Which right this process lacks to create reviews, if any; `Err` if Kubernetes does not respond.
pub(crate) async fn self_check(client: &Client) -> Result<Option<&'static str>, Error> {
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
