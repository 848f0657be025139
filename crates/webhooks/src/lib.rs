//! Webhooks: events as `CloudEvents`, signatures as Standard Webhooks has them, sending them to addresses that may be reached, and when
//! they are sent again. No SQL, no Kubernetes.

mod addresses;
mod event;
mod retry;
mod secrets;
mod sender;

pub use self::{
    addresses::{Networks, NetworksError, is_public},
    event::{Event, EventFeed, EventItem, MEDIA_TYPE},
    retry::{GIVE_UP_AFTER, Retry, after_failure},
    secrets::{SecretError, Secrets},
    sender::{Answer, SendError, Sender, SenderError, Target, TargetError, address_hash},
};
