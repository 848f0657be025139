//! How objects name their clients: by a keyed hash. Without the key nobody can tell whether a label is that of an address or
//! a user; a hash without a key would be found by trying all addresses.
//!
//! All processes of an installation share the key, as they count a client's queries together and a client removes by one
//! process what it made by another. It is in a Secret, which the first process fills.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use cluster::within;
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use sha2::Sha256;
use tokio::{sync::OnceCell, time::sleep};
use uuid::Uuid;
use wire::hex;

use crate::{
    jobs::client::{KubernetesError, REQUEST_TIMEOUT},
    limits::client::Client,
};

/// The key's name in the Secret.
const KEY: &str = "key";
/// Of a key, in bytes: that of the hash.
const LENGTH: usize = 32;
/// Of a label, in bytes: as of a UUID. As hexadecimal digits it fits into a label.
const LABEL_LENGTH: usize = 16;
/// How often the Secret is read and written if other processes write it at the same time.
const MAX_TRIES: u32 = 3;
/// After a failure, before the key is read for the access log again.
const PAUSE: Duration = Duration::from_secs(5);

/// The key, once it is known.
pub(crate) struct ClientKey {
    key: OnceCell<Vec<u8>>,
    secret: Option<(Api<Secret>, String)>,
}

impl ClientKey {
    /// The key in this Secret; without one, a random key of this process.
    pub(crate) fn new(secret: Option<(Api<Secret>, String)>) -> Self {
        let key = secret.is_none().then(random);
        Self {
            key: OnceCell::new_with(key),
            secret,
        }
    }

    /// The label of a client's objects.
    pub(crate) async fn label(&self, client: &Client) -> Result<String, KubernetesError> {
        let key = self.key.get_or_try_init(|| Box::pin(self.read_or_make())).await?;
        label_by(key, client).ok_or(KubernetesError::NoClientKey)
    }

    /// The same, if the key is known already.
    pub(crate) fn known_label(&self, client: &Client) -> Option<String> {
        label_by(self.key.get()?, client)
    }

    /// Reads the key, until it is known.
    pub(crate) async fn prepare(&self) {
        while self
            .key
            .get_or_try_init(|| Box::pin(self.read_or_make()))
            .await
            .is_err()
        {
            sleep(PAUSE).await;
        }
    }

    async fn read_or_make(&self) -> Result<Vec<u8>, KubernetesError> {
        let (secrets, name) = self.secret.as_ref().ok_or(KubernetesError::NoClientKey)?;
        for _ in 0..MAX_TRIES {
            let secret = within(REQUEST_TIMEOUT, secrets.get(name)).await?;
            if let Some(key) = key_of(&secret) {
                return Ok(key);
            }
            // With the version that was read: if another process was faster, its key counts.
            let filled = json!({
                "metadata": {"resourceVersion": secret.metadata.resource_version},
                "data": {KEY: STANDARD.encode(random())},
            });
            let params = PatchParams::default();
            let patch = Patch::Merge(filled);
            match within(REQUEST_TIMEOUT, secrets.patch(name, &params, &patch)).await {
                Ok(secret) => return key_of(&secret).ok_or(KubernetesError::NoClientKey),
                Err(error) if error.code() == Some(409) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KubernetesError::NoClientKey)
    }
}

fn label_by(key: &[u8], client: &Client) -> Option<String> {
    let hmac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    let hash = hmac.chain_update(client.key().as_bytes()).finalize().into_bytes();
    Some(hex(&hash[..LABEL_LENGTH]))
}

/// The key in a Secret, if it has one of any use.
fn key_of(secret: &Secret) -> Option<Vec<u8>> {
    let key = secret.data.as_ref()?.get(KEY)?;
    Some(key.0.clone()).filter(|key| key.len() >= LENGTH)
}

fn random() -> Vec<u8> {
    let halves = [Uuid::new_v4(), Uuid::new_v4()];
    halves.iter().flat_map(|half| *half.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    /// A Kubernetes API with one Secret. The first write comes too late: somebody else has written `theirs`.
    fn secrets(secret: &Arc<Mutex<Value>>, theirs: Option<&'static str>) -> Api<Secret> {
        let (secret, theirs) = (Arc::clone(secret), Arc::new(Mutex::new(theirs)));
        let answer = tower::service_fn(move |request: Request<Body>| {
            let (secret, theirs) = (Arc::clone(&secret), Arc::clone(&theirs));
            async move {
                let is_write = request.method() == Method::PATCH;
                let body = request.into_body().collect().await?.to_bytes();
                let patch: Value = serde_json::from_slice(&body).unwrap_or_default();
                let mut secret = secret.lock().unwrap();
                let mut status = 200;
                let mut answer = secret.clone();
                if is_write && let Some(theirs) = theirs.lock().unwrap().take() {
                    secret["data"] = json!({KEY: theirs});
                    secret["metadata"]["resourceVersion"] = json!("2");
                }
                if is_write {
                    if patch["metadata"]["resourceVersion"] == secret["metadata"]["resourceVersion"] {
                        secret["data"] = patch["data"].clone();
                        answer = secret.clone();
                    } else {
                        status = 409;
                        answer = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                            "message": "Conflict", "reason": "Conflict", "code": 409});
                    }
                }
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(body)?)
            }
        });
        Api::namespaced(kube::Client::new(answer, "default"), "default")
    }

    fn empty() -> Arc<Mutex<Value>> {
        Arc::new(Mutex::new(json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "key", "namespace": "default", "resourceVersion": "1"}})))
    }

    fn client() -> Client {
        Client::at([192, 0, 2, 1].into())
    }

    async fn label(key: &ClientKey) -> String {
        key.label(&client()).await.unwrap()
    }

    #[tokio::test]
    async fn processes_share_the_key_that_the_first_one_has_made() {
        let secret = empty();
        let new = || ClientKey::new(Some((secrets(&secret, None), "key".into())));
        let (first, second) = (new(), new());
        let made = label(&first).await;
        assert_eq!(made.len(), 2 * LABEL_LENGTH);
        assert_eq!(label(&second).await, made);
        assert_eq!(label(&first).await, made);
        let other = first.label(&Client::at([192, 0, 2, 2].into())).await.unwrap();
        assert_ne!(other, made);
        // Another key, other labels: who does not know the key cannot find the address of a label.
        let elsewhere = ClientKey::new(Some((secrets(&empty(), None), "key".into())));
        assert_ne!(label(&elsewhere).await, made);
        assert_ne!(
            label(&ClientKey::new(None)).await,
            label(&ClientKey::new(None)).await
        );
    }

    #[tokio::test]
    async fn key_of_another_process_counts_if_that_was_faster() {
        // 32 zero bytes.
        let theirs = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let secret = empty();
        let slower = ClientKey::new(Some((secrets(&secret, Some(theirs)), "key".into())));
        let label_of_slower = label(&slower).await;
        assert_eq!(secret.lock().unwrap()["data"][KEY], theirs);
        let later = ClientKey::new(Some((secrets(&secret, None), "key".into())));
        assert_eq!(label(&later).await, label_of_slower);
    }
}
