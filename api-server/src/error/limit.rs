//! The limits whose excess is an error.

/// The limit that a response reports; carried in the response's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// One request to arXiv per interval, for all clients together.
    Upstream,
    /// Clients that wait for a query at this process at once.
    Waiting { most: usize },
    /// Those of one client.
    WaitingOfClient { most: usize },
    /// Pending queries in the namespace.
    Pending { most: usize },
    /// Pending queries of one client.
    PendingOfClient { most: usize },
    /// Event streams of this process at once.
    Streams { most: usize },
    /// Event streams of one client.
    StreamsOfClient { most: usize },
    /// A limit of Kubernetes, whose size is not known here.
    Kubernetes,
}
