//! Which faults come in which order. A seed always gives the same schedule.

use std::time::Duration;

use testbed::arxiv::{Behaviour, Mode};
use testbed::net::ProxyMode;
use testbed::stack::Server;

use super::credentials::USERS;
use crate::harness::healthy_arxiv;
use crate::random::Random;

/// A fault. `victim` is the index of an operator or API server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// SIGKILL, and a start after some time.
    Kill { victim: usize, down: Duration },
    /// SIGTERM, and a start.
    Restart { victim: usize },
    /// SIGSTOP, and SIGCONT after some time.
    Pause { victim: usize, lasts: Duration },
    /// An outage of a database server.
    Database { server: Server, outage: Outage },
    /// An outage of the primary, after which its replica takes over.
    FailOver { outage: Outage },
    /// The replica stops replaying for some time.
    StaleReads { lasts: Duration },
    /// An outage of a component of Kubernetes.
    Kubernetes { part: Part, outage: Outage },
    /// A policy of Kubernetes refuses statuses for some time.
    DeniedWrites { lasts: Duration },
    /// etcd gets back the state that it had before so long.
    RestoredEtcd { after: Duration },
    /// The connections of an operator or API server to a server (those of all processes, to the server of results). Open
    /// connections are reset when there is no `mode`.
    Cut {
        victim: usize,
        server: Server,
        mode: Option<ProxyMode>,
        lasts: Duration,
    },
    /// Other answers of arXiv, for some requests.
    Upstream(Box<Behaviour>),
    /// A row in each table that belongs to no object, with a number that the sequence will issue soon.
    ForeignRow,
    /// A new password of a database user: first in the files of all processes, and after some time in Postgres.
    RotatedPassword { user: usize, after: Duration },
}

/// How a server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// SIGKILL, and a start after some time.
    Kill(Duration),
    /// An orderly stop and a start.
    Restart,
    /// SIGSTOP, and SIGCONT after some time.
    Freeze(Duration),
}

/// An outage of a component of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// kube-apiserver.
    ApiServer,
    /// etcd.
    Etcd,
}

impl Fault {
    /// The name under which it is counted.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Restart { .. } => "restart",
            Self::Pause { .. } => "pause",
            Self::Database { server, .. } => match server {
                Server::Replica => "replica",
                Server::Results => "results-server",
                Server::Primary | Server::Kubernetes => "primary",
            },
            Self::FailOver { .. } => "fail-over",
            Self::StaleReads { .. } => "stale-reads",
            Self::Kubernetes { part, .. } => match part {
                Part::ApiServer => "kube-apiserver",
                Part::Etcd => "etcd",
            },
            Self::DeniedWrites { .. } => "denied-writes",
            Self::RestoredEtcd { .. } => "restored-etcd",
            Self::Cut {
                server: Server::Kubernetes,
                lasts,
                ..
            } if *lasts >= DISCONNECTED.0 => "disconnected-from-kubernetes",
            Self::Cut { server, mode, .. } => match (server, mode) {
                (Server::Kubernetes, _) => "connection-to-kubernetes",
                (_, Some(ProxyMode::Refused)) => "connection-refused",
                (_, Some(ProxyMode::Hanging)) => "connection-hanging",
                (_, Some(ProxyMode::Slow(_))) => "connection-slow",
                (_, Some(ProxyMode::ResetsResponses)) => "connection-reset-mid-response",
                (_, Some(ProxyMode::Open) | None) => "connection-reset",
            },
            Self::Upstream(_) => "upstream",
            Self::ForeignRow => "foreign-row",
            Self::RotatedPassword { .. } => "rotated-password",
        }
    }
}

/// What faults can affect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topology {
    /// The number of operators. Their indices come before those of the API servers.
    pub(crate) operators: usize,
    /// Operators and API servers together.
    pub(crate) services: usize,
    /// The `results` table is on a server of its own.
    pub(crate) split: bool,
    /// Some processes are paused for longer than a lease of leadership lasts.
    pub(crate) long_pauses: bool,
}

/// A sequence of faults of one kind, one after the other. Several streams run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultStream {
    /// Operators and API servers.
    Processes,
    /// Databases and Kubernetes.
    Servers,
    /// Connections to databases and to Kubernetes.
    Connections,
    /// arXiv.
    Upstream,
    /// Foreign rows.
    ForeignRows,
    /// Passwords of database users.
    Passwords,
}

impl FaultStream {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Processes,
        Self::Servers,
        Self::Connections,
        Self::Upstream,
        Self::ForeignRows,
        Self::Passwords,
    ];
}

/// Longer than a leader may work without a renewal of its lease.
const DISCONNECTED: (Duration, Duration) = (Duration::from_secs(9), Duration::from_secs(14));
/// Past every usual lease of leadership (15 s).
const LONG_PAUSE: (u64, u64) = (17_000, 22_000);

/// The endless sequence of faults of a stream, each with the pause before it.
pub(crate) fn faults(
    stream: FaultStream,
    seed: u64,
    topology: Topology,
) -> impl Iterator<Item = (Duration, Fault)> {
    let mut random = Random::new(seed, &format!("{stream:?}"));
    std::iter::repeat_with(move || {
        let random = &mut random;
        match stream {
            FaultStream::Processes => (random.millis(300, 2_500), of_process(random, topology)),
            FaultStream::Servers => (random.millis(1_000, 6_000), of_server(random, topology)),
            FaultStream::Connections => (random.millis(300, 2_000), of_connection(random, topology)),
            FaultStream::Upstream => (
                random.millis(200, 1_600),
                Fault::Upstream(Box::new(behaviour(random))),
            ),
            FaultStream::ForeignRows => (random.millis(3_000, 9_000), Fault::ForeignRow),
            FaultStream::Passwords => (
                random.millis(1_000, 5_000),
                Fault::RotatedPassword {
                    user: random.index(USERS.len()),
                    after: random.millis(0, 3_000),
                },
            ),
        }
    })
}

/// Operators are chosen more often than API servers, because only they record results.
fn victim(random: &mut Random, topology: Topology) -> usize {
    let among = if random.percent(40) {
        topology.operators
    } else {
        topology.services
    };
    random.index(among)
}

fn of_process(random: &mut Random, topology: Topology) -> Fault {
    let victim = victim(random, topology);
    match random.below(100) {
        0..50 => Fault::Kill {
            victim,
            down: random.millis(0, 1_500),
        },
        50..60 => Fault::Restart { victim },
        60..65 if topology.long_pauses => Fault::Pause {
            victim,
            lasts: random.millis(LONG_PAUSE.0, LONG_PAUSE.1),
        },
        _ => Fault::Pause {
            victim,
            lasts: random.millis(100, 2_500),
        },
    }
}

fn of_server(random: &mut Random, topology: Topology) -> Fault {
    let outage = |random: &mut Random| match random.below(3) {
        0 => Outage::Kill(random.millis(0, 1_500)),
        1 => Outage::Restart,
        _ => Outage::Freeze(random.millis(200, 2_500)),
    };
    match random.below(100) {
        0..6 => Fault::RestoredEtcd {
            after: random.millis(5_000, 15_000),
        },
        6..11 => Fault::DeniedWrites {
            lasts: random.millis(1_000, 6_000),
        },
        11..16 => Fault::Kubernetes {
            part: Part::ApiServer,
            outage: match outage(random) {
                // Its orderly stop takes longer than everything else together.
                Outage::Restart => Outage::Kill(Duration::ZERO),
                outage => outage,
            },
        },
        16..20 => Fault::Kubernetes {
            part: Part::Etcd,
            outage: outage(random),
        },
        20..32 => Fault::Database {
            server: Server::Replica,
            outage: outage(random),
        },
        32..38 => Fault::StaleReads {
            lasts: random.millis(500, 5_000),
        },
        38..50 => Fault::FailOver {
            outage: outage(random),
        },
        50..75 if topology.split => Fault::Database {
            server: Server::Results,
            outage: outage(random),
        },
        _ => Fault::Database {
            server: Server::Primary,
            outage: outage(random),
        },
    }
}

fn of_connection(random: &mut Random, topology: Topology) -> Fault {
    let server = match random.below(100) {
        0..10 => Server::Replica,
        10..25 => Server::Kubernetes,
        25..60 if topology.split => Server::Results,
        _ => Server::Primary,
    };
    let victim = victim(random, topology);
    if server == Server::Kubernetes && random.percent(25) {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        return Fault::Cut {
            victim,
            server,
            mode: Some(ProxyMode::Hanging),
            lasts: random.millis(millis(DISCONNECTED.0), millis(DISCONNECTED.1)),
        };
    }
    let mode = match random.below(6) {
        0 => Some(ProxyMode::Refused),
        1 => Some(ProxyMode::Hanging),
        2 => Some(ProxyMode::Slow(random.millis(5, 150))),
        3 => Some(ProxyMode::ResetsResponses),
        _ => None,
    };
    Fault::Cut {
        victim,
        server,
        mode,
        lasts: random.millis(50, 2_500),
    }
}

fn behaviour(random: &mut Random) -> Behaviour {
    let mode = |mode| Behaviour {
        mode,
        ..healthy_arxiv()
    };
    let after = |status, seconds: &str| Behaviour {
        retry_after: Some(seconds.to_owned()),
        ..mode(Mode::Status(status))
    };
    let delayed = |delay_ms| Behaviour {
        delay_ms,
        ..healthy_arxiv()
    };
    let behaviour = match random.below(22) {
        0 => mode(Mode::Status(429)),
        1 => after(429, "1"),
        2 => mode(Mode::Status(503)),
        3 => after(503, "1"),
        4 => after(503, "0"),
        5 => mode(Mode::RateExceeded(200)),
        6 => mode(Mode::CoolDown),
        7 | 8 => mode(Mode::Zero),
        9 | 10 => mode(Mode::EmptyPage),
        11 => mode(Mode::Truncated),
        12 => mode(Mode::Cut),
        13 => mode(Mode::Close),
        14 => mode(Mode::Malformed),
        15 => mode(Mode::Html),
        16 => mode(Mode::Status(500)),
        17 => mode(Mode::Redirect),
        // Once only: it is longer than any process waits, and delays all others.
        18 => return delayed(3_000).times(1),
        19 if random.percent(40) => mode(Mode::ErrorFeed(400)),
        _ => delayed(50 + random.below(450)),
    };
    let times = 1 + random.below(3);
    behaviour.times(u32::try_from(times).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TOPOLOGY: Topology = Topology {
        operators: 2,
        services: 4,
        split: true,
        long_pauses: true,
    };

    #[test]
    fn schedule_is_same_for_same_seed_and_has_all_kinds() {
        let some = |seed| {
            let streams = FaultStream::ALL.into_iter();
            streams
                .flat_map(|stream| faults(stream, seed, TOPOLOGY).take(200))
                .collect::<Vec<_>>()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let names: BTreeSet<_> = some(1).iter().map(|(_, fault)| fault.name()).collect();
        assert_eq!(names.len(), 22, "{names:?}");
        let on = |wanted: Server| {
            some(1).iter().any(|(_, fault)| {
                matches!(fault, Fault::Cut { server, .. } | Fault::Database { server, .. } if *server == wanted)
            })
        };
        assert!(
            [Server::Primary, Server::Replica, Server::Results]
                .into_iter()
                .all(on)
        );
    }

    #[test]
    fn schedule_has_no_long_pause_or_second_server_when_topology_has_none() {
        let topology = Topology {
            split: false,
            long_pauses: false,
            ..TOPOLOGY
        };
        for stream in FaultStream::ALL {
            for (_, fault) in faults(stream, 3, topology).take(500) {
                match fault {
                    Fault::Pause { lasts, .. } => assert!(lasts <= Duration::from_millis(2_500)),
                    Fault::Cut { server, .. } | Fault::Database { server, .. } => {
                        assert_ne!(server, Server::Results);
                    }
                    _ => {}
                }
            }
        }
    }
}
