//! The values that are words in objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares an enum whose values are words in objects: the variant's name, or the word after `=`.
macro_rules! words {
    ($(#[$of_enum:meta])+ pub enum $name:ident {
        $($(#[$of_variant:meta])+ $variant:ident $(= $word:literal)?,)+
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
            pub const WORDS: &'static [&'static str] = &[$(words!(@word $variant $($word)?)),+];

            /// The value as it is written in objects.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => words!(@word $variant $($word)?),)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
    (@word $variant:ident) => { stringify!($variant) };
    (@word $variant:ident $word:literal) => { $word };
}

words! {
    /// The sort key.
    #[derive(Deserialize, JsonSchema, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub enum SortBy {
        /// How well a paper matches.
        Relevance = "relevance",
        /// The date of a paper's last version.
        LastUpdatedDate = "lastUpdatedDate",
        /// The date of a paper's first version.
        SubmittedDate = "submittedDate",
    }
}

words! {
    /// The sort direction.
    #[derive(Deserialize, JsonSchema, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub enum SortOrder {
        /// Smallest first.
        Ascending = "ascending",
        /// Largest first.
        Descending = "descending",
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
    }
}

impl Phase {
    /// Whether this phase is final.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}
