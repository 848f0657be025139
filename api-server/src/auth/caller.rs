//! Who sends a request, and whether they still may: for what is decided after the request was admitted.

use std::{sync::Arc, time::Duration};

use axum::extract::FromRequestParts;
use crd::GROUP;
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use k8s_openapi::api::{authentication::v1::UserInfo, authorization::v1::ResourceAttributes};
use tokio::time::sleep;

use crate::{
    auth::kubernetes::KubernetesAuth,
    error::{ApiError, Code},
    limits::client::Client,
};

/// How often a permission is confirmed while a response goes on. Kubernetes is asked only when the cached decision has
/// expired.
const CONFIRM: Duration = Duration::from_secs(1);

/// The sender of a request; in its extensions.
#[derive(Clone)]
pub(crate) struct Caller {
    kubernetes: Option<Arc<KubernetesAuth>>,
    /// The client as far as it is known without a token.
    address: Client,
    authorization: Option<HeaderValue>,
    /// Where the endpoint requires a token.
    user: Option<Arc<UserInfo>>,
    method: Method,
    path: &'static str,
}

impl Caller {
    /// `user`: of the request's token, if the endpoint requires one.
    pub(super) fn new(
        kubernetes: Option<Arc<KubernetesAuth>>,
        address: Client,
        head: &Parts,
        path: &'static str,
        user: Option<Arc<UserInfo>>,
    ) -> Self {
        Self {
            kubernetes,
            address,
            authorization: head.headers.get(header::AUTHORIZATION).cloned(),
            user,
            method: head.method.clone(),
            path,
        }
    }

    /// The client for which limits count: the user of a required token, else the address.
    pub(super) fn client(&self) -> Client {
        let name = self.user.as_ref().and_then(|user| user.username.as_deref());
        name.map_or_else(|| self.address.clone(), Client::user)
    }

    fn headers(&self) -> HeaderMap {
        let value = self.authorization.clone();
        value
            .map(|value| (header::AUTHORIZATION, value))
            .into_iter()
            .collect()
    }

    /// An error unless a role grants the sender this verb on this `ArxivQuery`. 403 also where Kubernetes cannot be asked
    /// for rights at all (`ACCESS=off`), and without a token.
    pub(crate) async fn check_right(&self, verb: &str, namespace: &str, name: &str) -> Result<(), ApiError> {
        let forbidden = || {
            ApiError::new(
                Code::Forbidden,
                format!(
                    "This query was not made here for you: that takes a token whose user may {verb} arxivqueries.{GROUP} \
                     {name}"
                ),
            )
        };
        let kubernetes = self.kubernetes.as_ref().ok_or_else(forbidden)?;
        let user = match &self.user {
            Some(user) => Arc::clone(user),
            None if self.authorization.is_none() => return Err(forbidden()),
            None => kubernetes.authenticate(&self.address, &self.headers()).await?,
        };
        let object = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some("arxivqueries".to_owned()),
            verb: Some(verb.to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            ..ResourceAttributes::default()
        };
        if kubernetes.may(&self.address, &user, object).await? {
            Ok(())
        } else {
            Err(forbidden())
        }
    }

    /// Returns when the sender may not do this any more, or Kubernetes does not confirm it; never where no token is
    /// required.
    pub(crate) async fn permission_ended(self) {
        let (Some(kubernetes), Some(_)) = (&self.kubernetes, &self.user) else {
            return std::future::pending().await;
        };
        let headers = self.headers();
        loop {
            sleep(CONFIRM).await;
            let confirmed = kubernetes.authorize(&self.address, &headers, &self.method, self.path);
            if confirmed.await.is_err() {
                return;
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Access control has set it on every request that it let pass.
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}
