//! How objects name their clients: by a keyed hash. Without the key nobody can tell whether a label is that of an address or
//! a user; a hash without a key would be found by trying all addresses.
//!
//! All processes of an installation share the key, as they count a client's queries together and a client removes by one
//! process what it made by another. It is in a Secret, which the first process fills. It may be replaced: the Secret is read
//! again, and with the key before in its `previous`, the clients of older objects stay known.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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
use tokio::time::{Instant, sleep};
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

/// The key before, in the Secret.
const PREVIOUS: &str = "previous";
/// How long a key is used before the Secret is read again.
const REFRESH: Duration = Duration::from_secs(30);
/// The same where a label is not known: another process may have read a new key already.
const REFRESH_UNKNOWN: Duration = Duration::from_secs(1);

/// The keys, once they are known.
pub(crate) struct ClientKey {
    known: Mutex<Option<Known>>,
    /// One task reads at a time what is not known yet.
    reading: tokio::sync::Mutex<()>,
    secret: Option<(Api<Secret>, String)>,
}

#[derive(Clone)]
struct Known {
    keys: Arc<Keys>,
    read_at: Instant,
}

struct Keys {
    /// For new objects.
    key: Vec<u8>,
    /// Of older objects.
    previous: Option<Vec<u8>>,
}

/// How an object names its client.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Names {
    /// The same for all objects of a client, so that they can be counted. Who may edit objects may copy it.
    pub(crate) label: String,
    /// Fits this object alone.
    pub(crate) mark: String,
}

impl Names {
    fn new(key: &[u8], client: &Client, object: &str) -> Result<Self, KubernetesError> {
        let label = keyed_hash(key, &[client.key()])?;
        let mark = keyed_hash(key, &["object", &label, object])?;
        Ok(Self { label, mark })
    }
}

impl Keys {
    /// None if the Secret is to be filled.
    fn read(secret: &Secret) -> Result<Option<Self>, KubernetesError> {
        let previous = key_of(secret, PREVIOUS)?;
        let key = key_of(secret, KEY)?;
        Ok(key.map(|key| Self { key, previous }))
    }

    fn fit(&self, client: &Client, object: &str, found: &Names) -> Result<bool, KubernetesError> {
        for key in [Some(&self.key), self.previous.as_ref()].into_iter().flatten() {
            if Names::new(key, client, object)? == *found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl ClientKey {
    /// The key in this Secret; without one, a random key of this process.
    pub(crate) fn new(secret: Option<(Api<Secret>, String)>) -> Self {
        let known = secret.is_none().then(|| Known {
            keys: Arc::new(Keys {
                key: random(),
                previous: None,
            }),
            read_at: Instant::now(),
        });
        Self {
            known: Mutex::new(known),
            reading: tokio::sync::Mutex::default(),
            secret,
        }
    }

    /// The label of a client in the log, if the key is known already.
    pub(crate) fn known_label(&self, client: &Client) -> Option<String> {
        let keys = Arc::clone(&self.known().as_ref()?.keys);
        keyed_hash(&keys.key, &[client.key()]).ok()
    }

    /// Reads the key, until it is known.
    pub(crate) async fn prepare(&self) {
        while self.keys(REFRESH).await.is_err() {
            sleep(PAUSE).await;
        }
    }

    /// How a new object of this name is to name its client.
    pub(crate) async fn names(&self, client: &Client, object: &str) -> Result<Names, KubernetesError> {
        Names::new(&self.keys(REFRESH).await?.key, client, object)
    }

    /// Whether the object of this name, with what was found in it, was made for this client.
    pub(crate) async fn fits(
        &self,
        client: &Client,
        object: &str,
        found: &Names,
    ) -> Result<bool, KubernetesError> {
        let fits = self.keys(REFRESH).await?.fit(client, object, found)?;
        Ok(fits || self.keys(REFRESH_UNKNOWN).await?.fit(client, object, found)?)
    }

    /// The keys as they were read, if that is no longer ago; else as they are. If they cannot be read again, those before count.
    async fn keys(&self, longest: Duration) -> Result<Arc<Keys>, KubernetesError> {
        if let Some(keys) = self.recent(longest) {
            return Ok(keys);
        }
        // Only the first reading is waited for by others.
        let known = self.known().clone();
        let _reading = match &known {
            Some(_) => None,
            None => Some(self.reading.lock().await),
        };
        if let Some(keys) = self.recent(longest) {
            return Ok(keys);
        }
        if let Some(known) = self.known().as_mut() {
            known.read_at = Instant::now();
        }
        match (Box::pin(self.read_or_make()).await, known) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                *self.known() = Some(Known {
                    keys: Arc::clone(&keys),
                    read_at: Instant::now(),
                });
                Ok(keys)
            }
            (Err(error), Some(known)) => {
                if matches!(error, KubernetesError::ShortClientKey(_)) {
                    tracing::warn!("{error}; the key before is used");
                }
                Ok(known.keys)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn recent(&self, longest: Duration) -> Option<Arc<Keys>> {
        let known = self.known();
        let is_recent = |known: &&Known| self.secret.is_none() || known.read_at.elapsed() < longest;
        known
            .as_ref()
            .filter(is_recent)
            .map(|known| Arc::clone(&known.keys))
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_or_make(&self) -> Result<Keys, KubernetesError> {
        let (secrets, name) = self.secret.as_ref().ok_or(KubernetesError::NoClientKey)?;
        for _ in 0..MAX_TRIES {
            let secret = within(REQUEST_TIMEOUT, secrets.get(name)).await?;
            if let Some(keys) = Keys::read(&secret)? {
                return Ok(keys);
            }
            // With the version that was read: if another process was faster, its key counts.
            let filled = json!({
                "metadata": {"resourceVersion": secret.metadata.resource_version},
                "data": {KEY: STANDARD.encode(random())},
            });
            let params = PatchParams::default();
            let patch = Patch::Merge(filled);
            match within(REQUEST_TIMEOUT, secrets.patch(name, &params, &patch)).await {
                Ok(secret) => return Keys::read(&secret)?.ok_or(KubernetesError::NoClientKey),
                Err(error) if error.code() == Some(409) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KubernetesError::NoClientKey)
    }
}

/// A hash of these words, as hexadecimal digits.
fn keyed_hash(key: &[u8], words: &[&str]) -> Result<String, KubernetesError> {
    let hmac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| KubernetesError::NoClientKey)?;
    let hash = hmac
        .chain_update(words.join("\0").as_bytes())
        .finalize()
        .into_bytes();
    Ok(hex(&hash[..LABEL_LENGTH]))
}

/// The key of this name in a Secret, if it is there. One that is too short is an error.
fn key_of(secret: &Secret, name: &'static str) -> Result<Option<Vec<u8>>, KubernetesError> {
    let key = secret.data.as_ref().and_then(|data| data.get(name));
    match key.map_or(0, |key| key.0.len()) {
        0 => Ok(None),
        1..LENGTH => Err(KubernetesError::ShortClientKey(name)),
        _ => Ok(key.map(|key| key.0.clone())),
    }
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
        key.names(&client(), "object").await.unwrap().label
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
        let other = first
            .names(&Client::at([192, 0, 2, 2].into()), "object")
            .await
            .unwrap();
        assert_ne!(other.label, made);
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

    #[tokio::test(start_paused = true)]
    async fn key_that_is_too_short_is_reported_and_neither_used_nor_replaced() {
        let (secret, short) = (empty(), STANDARD.encode([7; LENGTH - 1]));
        let new = || ClientKey::new(Some((secrets(&secret, None), "key".into())));
        let running = new();
        let before = label(&running).await;
        let right = secret.lock().unwrap()["data"][KEY].clone();
        let previous = json!({KEY: right, PREVIOUS: short});
        for (data, part) in [(json!({KEY: short}), KEY), (previous, PREVIOUS)] {
            secret.lock().unwrap()["data"] = data.clone();
            let error = new().names(&client(), "object").await.unwrap_err();
            assert!(matches!(error, KubernetesError::ShortClientKey(of) if of == part));
            assert_eq!(secret.lock().unwrap()["data"], data);
            // Who knows a key continues with it.
            tokio::time::advance(REFRESH).await;
            assert_eq!(label(&running).await, before);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn key_that_is_replaced_is_used_for_new_objects_and_the_one_before_still_fits() {
        let secret = empty();
        let new = || ClientKey::new(Some((secrets(&secret, None), "key".into())));
        let (first, second) = (new(), new());
        let before = label(&first).await;
        assert_eq!(label(&second).await, before);
        let names = async |process: &ClientKey| process.names(&client(), "object").await.unwrap();
        let old_object = names(&first).await;
        let replace = |data: Value| secret.lock().unwrap()["data"] = data;
        let key = |byte: u8| STANDARD.encode([byte; LENGTH]);
        let old = secret.lock().unwrap()["data"][KEY].clone();
        replace(json!({KEY: key(1), PREVIOUS: old}));
        assert_eq!(
            label(&first).await,
            before,
            "the Secret is not read for each object"
        );
        tokio::time::advance(REFRESH).await;
        let after = label(&first).await;
        assert_ne!(after, before);
        let new_object = names(&first).await;
        for (process, name) in [(&first, "first"), (&second, "second")] {
            // The second process has not read it before somebody else's new object makes it.
            for object in [&new_object, &old_object] {
                assert!(process.fits(&client(), "object", object).await.unwrap(), "{name}");
                let other = Client::at([192, 0, 2, 9].into());
                assert!(!process.fits(&other, "object", object).await.unwrap(), "{name}");
                assert!(
                    !process.fits(&client(), "copied", object).await.unwrap(),
                    "{name}"
                );
            }
        }
        // Without the key before, its objects are nobody's.
        replace(json!({KEY: key(1)}));
        tokio::time::advance(REFRESH).await;
        assert!(!first.fits(&client(), "object", &old_object).await.unwrap());
    }
}
