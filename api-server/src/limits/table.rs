//! The table of all limits of this process. `docs/limits.md` is generated from it.

use std::{fmt, time::Duration};

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

/// The size of a limit.
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
    /// It waits, and gets this error after that time.
    Wait(Duration, Code),
    /// Something else.
    Other(&'static str),
}

const SECONDS_5: Duration = Duration::from_secs(5);
const SECONDS_10: Duration = Duration::from_secs(10);

pub(crate) const CONNECTIONS: LimitSpec = LimitSpec {
    name: "connections",
    size: Size::Count(1024),
    reason: "Open client connections; below the usual limit of open files. Not divided among clients, since all \
             connections may come from one proxy.",
    when_full: WhenFull::Other("the connection that has been idle for the longest time is closed"),
    metric: "connections",
};
pub(crate) const REQUESTS: LimitSpec = LimitSpec {
    name: "requests",
    size: Size::Count(960),
    reason: "Concurrent requests, from the head to the last byte of the response; fewer than connections, so that new \
             heads can still be read. Requests for health and metrics do not count. Not divided among clients, since \
             who sends a request is not known at its head.",
    when_full: WhenFull::Reject(Code::Overloaded),
    metric: "",
};
pub(crate) const REQUEST_BODIES: LimitSpec = LimitSpec {
    name: "request bodies",
    size: Size::KiB(64 * 1024),
    reason: "Memory of request bodies, each counted by what has arrived of it: two of the longest at once, of different \
             clients.",
    when_full: WhenFull::Wait(SECONDS_5, Code::Overloaded),
    metric: "memory_reserved_bytes{budget=\"request_bodies\"}",
};
pub(crate) const ROWS: LimitSpec = LimitSpec {
    name: "rows",
    size: Size::KiB(48 * 1024),
    reason: "Memory of long responses with rows from the databases, until the client has read them: 24 pages or exports of \
             the longest kind at once, some hundred of the usual size. Responses of up to 32 KiB do not count.",
    when_full: WhenFull::Wait(SECONDS_5, Code::Overloaded),
    metric: "memory_reserved_bytes{budget=\"rows\"}",
};
pub(crate) const PAPERS: LimitSpec = LimitSpec {
    name: "papers",
    size: Size::KiB(60_000),
    reason: "Memory of responses of /arxiv-api, which are kept from the first page of arXiv on: two searches of the longest \
             kind at once. Responses of up to 32 KiB do not count.",
    when_full: WhenFull::Wait(SECONDS_5, Code::Overloaded),
    metric: "memory_reserved_bytes{budget=\"papers\"}",
};
pub(crate) const WAITERS: LimitSpec = LimitSpec {
    name: "waiters",
    size: Size::Count(768),
    reason: "Requests that wait for the end of a query; fewer than connections, so that other requests are served.",
    when_full: WhenFull::Reject(Code::TooManyWaiting),
    metric: "waiters",
};
pub(crate) const STREAMS: LimitSpec = LimitSpec {
    name: "streams",
    size: Size::Count(256),
    reason: "Event streams: a quarter of the connections.",
    when_full: WhenFull::Reject(Code::TooManyStreams),
    metric: "event_streams",
};
pub(crate) const LIST_PAGES: LimitSpec = LimitSpec {
    name: "list pages",
    size: Size::Count(4),
    reason: "Pages of the list of queries in memory, some megabytes each.",
    when_full: WhenFull::Wait(SECONDS_10, Code::Overloaded),
    metric: "list_pages",
};
pub(crate) const LONG_BODIES: LimitSpec = LimitSpec {
    name: "long bodies",
    size: Size::Count(1),
    reason: "Bodies of more than 1 MiB that are parsed and recorded: as JSON they take several times their length.",
    when_full: WhenFull::Wait(SECONDS_10, Code::Overloaded),
    metric: "long_bodies",
};
pub(crate) const COMPRESSIONS: LimitSpec = LimitSpec {
    name: "compressions",
    size: Size::Count(16),
    reason: "Responses that are compressed, at some hundred kilobytes of memory each.",
    when_full: WhenFull::Other("the response is sent uncompressed"),
    metric: "compressions",
};
pub(crate) const KUBERNETES_REQUESTS: LimitSpec = LimitSpec {
    name: "Kubernetes requests",
    size: Size::Count(64),
    reason: "Requests to Kubernetes in flight, without the watch: its throughput peaks at 16, and many more make it refuse \
             requests and end watches.",
    when_full: WhenFull::Wait(SECONDS_5, Code::Overloaded),
    metric: "kubernetes_requests_in_flight",
};
pub(crate) const REVIEWS: LimitSpec = LimitSpec {
    name: "access reviews",
    size: Size::Count(16),
    reason: "Reviews of tokens and rights by Kubernetes, some milliseconds each: a flood of unknown tokens is not passed on.",
    when_full: WhenFull::Wait(SECONDS_5, Code::KubernetesUnavailable),
    metric: "access_reviews",
};
const PENDING: LimitSpec = LimitSpec {
    name: "pending queries",
    size: Size::Settings(
        "`ARXIV_MAX_PENDING`; of one client `ARXIV_MAX_PENDING_PER_CLIENT`, by default half of it",
    ),
    reason: "Queries in the queue of the namespace, of all processes: arXiv answers one request in three seconds.",
    when_full: WhenFull::Reject(Code::TooManyPending),
    metric: "unfinished_queries",
};
const SEARCH_RATE: LimitSpec = LimitSpec {
    name: "search rate",
    size: Size::Settings("`CLIENT_SEARCHES_PER_MINUTE` and `CLIENT_BURST`, of each client"),
    reason: "New searches of one client; off by default.",
    when_full: WhenFull::Reject(Code::ClientRateLimited),
    metric: "",
};
const POOL_CONNECTIONS: LimitSpec = LimitSpec {
    name: "database connections",
    size: Size::Settings("`DATABASE_MAX_CONNECTIONS`, of each pool"),
    reason: "Two for each core of a small database keep it busy.",
    when_full: WhenFull::Wait(SECONDS_5, Code::DatabaseUnavailable),
    metric: "database_connections",
};

/// All rows, in the order of the documentation.
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "only the test that writes the documentation reads all rows"
    )
)]
const ALL: [&LimitSpec; 15] = [
    &CONNECTIONS,
    &REQUESTS,
    &REQUEST_BODIES,
    &ROWS,
    &PAPERS,
    &WAITERS,
    &STREAMS,
    &LIST_PAGES,
    &LONG_BODIES,
    &COMPRESSIONS,
    &KUBERNETES_REQUESTS,
    &REVIEWS,
    &PENDING,
    &SEARCH_RATE,
    &POOL_CONNECTIONS,
];

impl Size {
    /// The number of KiB, or of things; 0 if a setting has it.
    pub(crate) const fn units(self) -> usize {
        match self {
            Self::KiB(units) | Self::Count(units) => units,
            Self::Settings(_) => 0,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KiB(kib) if kib.is_multiple_of(1024) => write!(f, "{} MiB", kib / 1024),
            Self::KiB(kib) => write!(f, "{kib} KiB"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Settings(names) => f.write_str(names),
        }
    }
}

impl WhenFull {
    /// How long a request waits.
    pub(crate) const fn wait(self) -> Duration {
        match self {
            Self::Wait(time, _) => time,
            Self::Reject(_) | Self::Other(_) => Duration::ZERO,
        }
    }
}

impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reject(code) => write!(f, "{} `{}`", code.status().as_u16(), code.as_str()),
            Self::Wait(time, code) => write!(
                f,
                "waits {} s, then {} `{}`",
                time.as_secs(),
                code.status().as_u16(),
                code.as_str()
            ),
            Self::Other(text) => f.write_str(text),
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
