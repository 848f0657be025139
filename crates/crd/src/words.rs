//! The values that are words in objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares an enum whose values are words in objects: the variants' names.
macro_rules! words {
    ($(#[$of_enum:meta])+ pub enum $name:ident {
        $($(#[$of_variant:meta])+ $variant:ident,)+
    }) => {
        $(#[$of_enum])+
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $($(#[$of_variant])+ $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Every value as it is written in objects.
            pub const WORDS: &'static [&'static str] = &[$(stringify!($variant)),+];

            /// The value as it is written in objects.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What papers are sorted by.
    #[derive(Default, Deserialize, JsonSchema, Serialize)]
    pub enum SortBy {
        /// How well a paper matches.
        #[default]
        Relevance,
        /// The date of a paper's last version.
        LastUpdatedDate,
        /// The date of a paper's first version.
        SubmittedDate,
    }
}

words! {
    /// The sort direction.
    #[derive(Default, Deserialize, JsonSchema, Serialize)]
    pub enum SortOrder {
        /// The best match or the newest date first.
        #[default]
        Descending,
        /// The worst match or the oldest date first.
        Ascending,
    }
}

words! {
    /// What the first error of arXiv does to a query.
    #[derive(Default, Deserialize, JsonSchema, Serialize)]
    pub enum FailurePolicy {
        /// It waits and is tried again, within its limits.
        #[default]
        Retry,
        /// It fails, whatever the class of the error.
        FailFast,
    }
}

words! {
    /// Whether pages that were fetched before the query was created may be used.
    #[derive(Default, Deserialize, JsonSchema, Serialize)]
    pub enum CachePolicy {
        /// Every page of arXiv's current day may be used.
        #[default]
        Reuse,
        /// Only pages that were fetched after the query's object was created.
        Refresh,
    }
}

words! {
    /// The phase of a query.
    #[derive(Default, Deserialize, JsonSchema, Serialize)]
    pub enum Phase {
        /// Waiting for its turn.
        #[default]
        Pending,
        /// It had a turn and needs more: further slices, or a retry.
        Running,
        /// It does not run until `spec.suspend` is false again.
        Suspended,
        /// Its rows are recorded. Final.
        Succeeded,
        /// It will not be tried again. Final.
        Failed,
    }
}

words! {
    /// The conditions of a status. Kubernetes stores each one twice, so there are few.
    pub enum ConditionType {
        /// True after success; kstatus, Flux and `kubectl wait` read it. While it is false, its reason says
        /// what the query waits for.
        Ready,
        /// True after success and after failure: one condition to wait for, whatever the outcome.
        Finished,
        /// True after failure; absent otherwise. For kstatus it means that an object will not become ready by
        /// itself, so a query that only waits (for arXiv, for a database) never has it.
        Stalled,
        /// True after success; absent otherwise, as that of a Job.
        Complete,
        /// True after failure; absent otherwise, as that of a Job.
        Failed,
    }
}

impl Phase {
    /// Whether this phase is final.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}
