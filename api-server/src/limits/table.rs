//! The table of all limits of this process. `docs/limits.md` is generated from it.

use std::{fmt, time::Duration};

use self::{
    Size::{Count, KiB, Settings},
    WhenFull::{Other, Reject, Wait},
};
use crate::error::Code;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct LimitSpec {
    /// What is limited; unique.
    pub(crate) name: &'static str,
    pub(crate) size: Size,
    /// Why it is limited, and why to this size.
    pub(crate) reason: &'static str,
    pub(crate) when_full: WhenFull,
    /// The gauge of what is used, without the prefix `arxiv_api_server_`; empty if there is none.
    pub(crate) metric: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Size {
    KiB(usize),
    Count(usize),
    /// The names of the settings that have the size.
    Settings(&'static str),
}

/// What happens to a request when the limit is used up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WhenFull {
    /// It gets this error at once.
    Reject(Code),
    /// It waits for so many seconds, and gets this error after that.
    Wait(u64, Code),
    /// Something else.
    Other(&'static str),
}

macro_rules! limits {
    ($($limit:ident: $name:literal, $size:expr, metric $metric:literal, $when_full:expr, $reason:literal;)+) => {
        $(pub(crate) const $limit: LimitSpec = LimitSpec {
            name: $name,
            size: $size,
            reason: $reason,
            when_full: $when_full,
            metric: $metric,
        };)+

        /// All rows, in the order of the documentation.
        #[cfg_attr(not(test), expect(dead_code, reason = "only a test, which writes the documentation, reads all rows"))]
        const ALL: &[&LimitSpec] = &[$(&$limit),+];
    };
}

limits! {
    CONNECTIONS: "connections", Count(1024), metric "connections",
        Other("the connection that has been idle for the longest time is closed"),
        "Open client connections; below the usual limit of open files. A peer that has its half is refused a further one \
         unless one of its own is idle; a trusted proxy is not.";
    REQUESTS: "requests", Count(960), metric "", Reject(Code::Overloaded),
        "Concurrent requests, from the head to the last byte of the response; fewer than connections, so that new \
         heads can still be read. Requests for health and metrics do not count. A client is an address here.";
    REQUEST_BODIES: "request bodies", KiB(64 * 1024), metric "memory_reserved_bytes{budget=\"request_bodies\"}",
        Wait(5, Code::Overloaded),
        "Memory of request bodies, each counted by what has arrived of it: two of the longest at once, of different \
         clients.";
    DECODINGS: "decodings", Count(2), metric "decodings", Wait(10, Code::Overloaded),
        "Request bodies that are decoded (`Content-Encoding`), once they have arrived: up to 16 MiB each in addition to \
         their memory.";
    ROWS: "rows", KiB(48 * 1024), metric "memory_reserved_bytes{budget=\"rows\"}", Wait(5, Code::Overloaded),
        "Memory of long responses with rows from the databases, until the client has read them: 24 pages or exports of \
         the longest kind at once, some hundred of the usual size. Responses of up to 32 KiB do not count.";
    PAPERS: "papers", KiB(60_000), metric "memory_reserved_bytes{budget=\"papers\"}", Wait(5, Code::Overloaded),
        "Memory of responses of /arxiv-api, which are kept from the first page of arXiv on: two searches of the longest \
         kind at once. Responses of up to 32 KiB do not count.";
    WAITERS: "waiters", Count(768), metric "waiters", Reject(Code::TooManyWaiting),
        "Requests that wait for the end of a query; fewer than connections, so that other requests are served.";
    STREAMS: "streams", Count(256), metric "event_streams", Reject(Code::TooManyStreams),
        "Event streams: a quarter of the connections.";
    LIST_PAGES: "list pages", Count(4), metric "list_pages", Wait(10, Code::Overloaded),
        "Pages of the list of queries in memory, some megabytes each.";
    LONG_BODIES: "long bodies", Count(1), metric "long_bodies", Wait(10, Code::Overloaded),
        "Bodies of more than 1 MiB that are parsed and recorded: as JSON they take several times their length.";
    COMPRESSIONS: "compressions", Count(16), metric "compressions", Other("the response is sent uncompressed"),
        "Responses that are compressed, at some hundred kilobytes of memory each.";
    KUBERNETES_REQUESTS: "Kubernetes requests", Count(32), metric "kubernetes_requests_in_flight",
        Wait(5, Code::Overloaded),
        "Requests to Kubernetes in flight, without the watch: its throughput peaks at 16, and many more make it refuse \
         requests and end watches.";
    REVIEWS: "access reviews", Count(16), metric "access_reviews", Wait(5, Code::KubernetesUnavailable),
        "Reviews of tokens and rights by Kubernetes, some milliseconds each: a flood of unknown tokens is not passed on.";
    PENDING: "pending queries",
        Settings("`ARXIV_MAX_PENDING`; of one client `ARXIV_MAX_PENDING_PER_CLIENT`, by default 100"),
        metric "unfinished_queries", Reject(Code::TooManyPending),
        "Queries in the queue of the namespace, of all processes: arXiv answers one request in three seconds.";
    SEARCH_RATE: "search rate",
        Settings("`CLIENT_SEARCHES_PER_MINUTE` and `CLIENT_BURST`, of each client"),
        metric "", Reject(Code::ClientRateLimited),
        "New searches of one client, by their requests to arXiv, and removals; off by default.";
    LOOKUPS: "lookup rate", Settings("`CLIENT_LOOKUPS_PER_MINUTE`, of each client"), metric "",
        Reject(Code::ClientRateLimited),
        "States of queries that are read from Kubernetes for one client; off by default. Within a second, all who ask for \
         the same query share one read.";
    POOL_CONNECTIONS: "database connections", Settings("`DATABASE_MAX_CONNECTIONS`, of each pool"),
        metric "database_connections", Wait(5, Code::DatabaseUnavailable),
        "Two for each core of a small database keep it busy.";
}

impl Size {
    /// How many slots: one for each KiB, or for each thing; 0 if a setting has the size.
    pub(crate) const fn slots(self) -> usize {
        match self {
            KiB(slots) | Count(slots) => slots,
            Settings(_) => 0,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KiB(kib) if kib.is_multiple_of(1024) => write!(f, "{} MiB", kib / 1024),
            KiB(kib) => write!(f, "{kib} KiB"),
            Count(count) => write!(f, "{count}"),
            Settings(names) => f.write_str(names),
        }
    }
}

impl WhenFull {
    /// How long a request waits.
    pub(crate) const fn wait(self) -> Duration {
        match self {
            Wait(seconds, _) => Duration::from_secs(seconds),
            Reject(_) | Other(_) => Duration::ZERO,
        }
    }
}

impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait(seconds, code) => write!(f, "waits {seconds} s, then {}", Reject(*code)),
            Reject(code) => write!(f, "{} `{}`", code.status().as_u16(), code.as_str()),
            Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const INTRODUCTION: &str = "# Limits of an API server process\n\n\
        <!-- Written by `LIMITS_UPDATE=1 cargo test -p arxiv-api-server --lib limits`. -->\n\n\
        One client gets at most half of each limit (and at least one unit), except where the table says otherwise. A client\n\
        is a user if the endpoint requires a token, else an address; see `TRUSTED_PROXIES` for servers behind a proxy.\n\
        The metrics have the prefix `arxiv_api_server_`.\n\n";

    #[test]
    fn documentation_has_the_table_of_limits() {
        let mut page = INTRODUCTION.to_owned();
        page.push_str(
            "| limit | size | reason | when it is used up | metric |\n| --- | --- | --- | --- | --- |\n",
        );
        for limit in ALL {
            let metric = if limit.metric.is_empty() {
                String::new()
            } else {
                format!("`{}`", limit.metric)
            };
            let LimitSpec {
                name,
                size,
                reason,
                when_full,
                ..
            } = limit;
            writeln!(page, "| {name} | {size} | {reason} | {when_full} | {metric} |").unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
        if std::env::var_os("LIMITS_UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            page,
            "docs/limits.md has changed: run `LIMITS_UPDATE=1 cargo test -p arxiv-api-server --lib limits`"
        );
    }

    #[test]
    fn names_of_limits_are_unique() {
        let mut names: Vec<_> = ALL.iter().map(|limit| limit.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
