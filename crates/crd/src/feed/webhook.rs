//! Receivers of new items.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A receiver of the new items of a feed.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The name of this webhook, one of its own in the feed. What waits for one that is removed is not sent any more.
    pub name: String,

    /// The address that the requests are sent to (POST). It begins with `https://`, and its host has a public address; the
    /// people who run the system can allow others. Another address is another receiver, which gets what still waits.
    pub url: String,

    /// The Secret, in the namespace of the feed, with what the requests are signed with.
    pub secret_ref: SecretKeyRef,
}

/// A key of a Secret.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The name of the Secret.
    pub name: String,

    /// The key in it whose value is `whsec_` and then 24 to 64 bytes in base64 (Standard Webhooks); or up to five such
    /// secrets with spaces or newlines between, each of which signs, so that one can be replaced by the next.
    pub key: String,
}
