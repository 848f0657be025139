//! The values that are words in a feed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

words! {
    /// What the first run of a feed does with the papers that it finds.
    #[derive(Default, Deserialize, JsonSchema, Serialize)]
    pub enum InitialItems {
        /// They become items.
        #[default]
        Include,
        /// They are only marked as seen.
        Skip,
    }
}

words! {
    /// Whether a new version of a paper that is in the feed becomes an item.
    #[derive(Default, Deserialize, JsonSchema, Serialize)]
    pub enum Revisions {
        /// Each version becomes an item.
        #[default]
        Include,
        /// Only the first version that is found does.
        Ignore,
    }
}

words! {
    /// The conditions of a feed.
    pub enum FeedCondition {
        /// True while runs start on schedule and the last one did not fail; kstatus, Flux and `kubectl wait` read it.
        Ready,
        /// True when the last run looked at everything that had changed since the complete run before it.
        Complete,
        /// False while a webhook fails, or did not get something; absent for a feed without webhooks.
        Delivered,
        /// True while no run can start before the spec, or what the message names, is changed; absent otherwise.
        Stalled,
    }
}

words! {
    /// The `reason` of a feed's condition or Event. Written in CamelCase, as Kubernetes wants it.
    pub enum FeedReason {
        /// Runs start on schedule. Nothing to do.
        Scheduled,
        /// `spec.suspend` is true. Runs start again when it is false.
        Suspended,
        /// The last run failed; the next one covers its time. The message names its ArxivQuery, whose status says why.
        RunFailed,
        /// A database does not answer. Retried until it does. The operator of the system checks the database.
        DatabaseUnavailable,
        /// The last run looked at everything that had changed.
        AllRead,
        /// More papers had changed than `spec.maxResultsPerRun`: the next run goes on.
        MoreToRead,
        /// No run has ended yet.
        NoRunYet,
        /// The webhooks have got everything.
        AllDelivered,
        /// Something is about to be delivered, and no webhook fails.
        Delivering,
        /// The last attempt of a webhook has failed; the message says why. It is attempted again for three days.
        DeliveryRetried,
        /// A webhook has missed something that was attempted for three days. It can be requested again.
        DeliveryFailed,
        /// A receiver has answered with status 410 (Gone): it gets nothing any more. The author changes or removes the webhook.
        ReceiverGone,
        /// The schedule cannot be read, or has no time that ever comes. The author changes it.
        InvalidSchedule,
        /// The time zone is not one of the IANA database. The author changes it.
        InvalidTimeZone,
        /// The search cannot be sent to arXiv. The author changes it.
        InvalidSearch,
        /// Kubernetes refuses the next run, in the words of the message: a quota, a policy or a webhook. Retried until it is created.
        RunRefused,
        /// An ArxivQuery that is not a run of this feed has the name of the next one. Its author removes it; retried until then.
        NameTaken,
        /// Only in Events: a run was created.
        RunCreated,
        /// Only in Events: a run has ended, and its new papers are items.
        RunSucceeded,
        /// Only in Events: the search is another one, so everything that it finds is new.
        SearchChanged,
        /// Only in Events: two scheduled times have passed since the feed was last complete. The conditions say what it waits for.
        Overdue,
    }
}
