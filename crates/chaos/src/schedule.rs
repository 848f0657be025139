//! Which faults come in which order: the same for the same seed.

use std::time::Duration;

use testbed::arxiv::{Behaviour, Mode};
use testbed::net::ProxyMode;
use testbed::stack::Server;

use crate::random::Random;

/// What is done to the system.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// SIGKILL, and a start after some time.
    Kill { victim: usize, down: Duration },
    /// SIGTERM, and a start.
    Restart { victim: usize },
    /// SIGSTOP, and SIGCONT after some time.
    Pause { victim: usize, lasts: Duration },
    /// A database server.
    Database { server: Server, outage: Outage },
    /// This happens to the primary, and its replica takes over.
    FailOver { outage: Outage },
    /// The replica shows the past for some time.
    StaleReads { lasts: Duration },
    /// A part of Kubernetes.
    Kubernetes { part: Part, outage: Outage },
    /// The connections of an operator or API server (of all, to that of results) to a server; those that stand are reset
    /// where no other way is named.
    Cut {
        victim: usize,
        server: Server,
        link: Option<ProxyMode>,
        lasts: Duration,
    },
    /// arXiv, for some requests.
    Upstream(Box<Behaviour>),
    /// Rows of nobody under a number that the sequence is about to give.
    Stranger,
}

/// What is done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// SIGKILL, and a start after some time.
    Kill(Duration),
    /// An orderly stop and a start.
    Restart,
    /// SIGSTOP, and SIGCONT after some time.
    Freeze(Duration),
}

/// A part of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// kube-apiserver.
    ApiServer,
    /// etcd.
    Etcd,
}

impl Fault {
    /// For counting.
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
            Self::Cut { server, link, .. } => match (server, link) {
                (Server::Kubernetes, _) => "link-to-kubernetes",
                (_, Some(ProxyMode::Refused)) => "link-refused",
                (_, Some(ProxyMode::Hanging)) => "link-hanging",
                (_, Some(ProxyMode::Slow(_))) => "link-slow",
                (_, Some(ProxyMode::ResetsResponses)) => "link-reset-mid-answer",
                (_, Some(ProxyMode::Open) | None) => "link-reset",
            },
            Self::Upstream(_) => "upstream",
            Self::Stranger => "stranger",
        }
    }
}

/// What there is to be broken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Operators; they come before the API servers.
    pub(crate) operators: usize,
    /// Operators and API servers together.
    pub(crate) services: usize,
    /// There is a server for the `results` table alone.
    pub(crate) split: bool,
    /// Some processes are paused for longer than a lease of leadership lasts.
    pub(crate) long_pauses: bool,
}

/// Faults of one kind, one after the other; those of different lanes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Operators and API servers.
    Processes,
    /// Databases and Kubernetes.
    Servers,
    /// Connections to databases and to Kubernetes.
    Links,
    /// arXiv.
    Upstream,
    /// Rows of others.
    Strangers,
}

impl Lane {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Processes,
        Self::Servers,
        Self::Links,
        Self::Upstream,
        Self::Strangers,
    ];
}

/// Past every usual lease of leadership (15 s).
const LONG_PAUSE: (u64, u64) = (17_000, 22_000);

/// The faults of a lane, without end, each with the pause before it.
pub(crate) fn faults(lane: Lane, seed: u64, shape: Shape) -> impl Iterator<Item = (Duration, Fault)> {
    let mut random = Random::new(seed, &format!("{lane:?}"));
    std::iter::repeat_with(move || {
        let random = &mut random;
        match lane {
            Lane::Processes => (random.millis(300, 2_500), of_process(random, shape)),
            Lane::Servers => (random.millis(1_000, 6_000), of_server(random, shape)),
            Lane::Links => (random.millis(300, 2_000), of_link(random, shape)),
            Lane::Upstream => (
                random.millis(200, 1_600),
                Fault::Upstream(Box::new(behaviour(random))),
            ),
            Lane::Strangers => (random.millis(3_000, 9_000), Fault::Stranger),
        }
    })
}

/// An operator more often than an API server: only operators record.
fn victim(random: &mut Random, shape: Shape) -> usize {
    let among = if random.percent(40) {
        shape.operators
    } else {
        shape.services
    };
    random.index(among)
}

fn of_process(random: &mut Random, shape: Shape) -> Fault {
    let victim = victim(random, shape);
    match random.below(100) {
        0..50 => Fault::Kill {
            victim,
            down: random.millis(0, 1_500),
        },
        50..60 => Fault::Restart { victim },
        60..65 if shape.long_pauses => Fault::Pause {
            victim,
            lasts: random.millis(LONG_PAUSE.0, LONG_PAUSE.1),
        },
        _ => Fault::Pause {
            victim,
            lasts: random.millis(100, 2_500),
        },
    }
}

fn of_server(random: &mut Random, shape: Shape) -> Fault {
    let outage = |random: &mut Random| match random.below(3) {
        0 => Outage::Kill(random.millis(0, 1_500)),
        1 => Outage::Restart,
        _ => Outage::Freeze(random.millis(200, 2_500)),
    };
    match random.below(100) {
        0..10 => Fault::Kubernetes {
            part: Part::ApiServer,
            outage: match outage(random) {
                // An orderly stop takes it longer than everything else together.
                Outage::Restart => Outage::Kill(Duration::ZERO),
                outage => outage,
            },
        },
        10..20 => Fault::Kubernetes {
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
        50..75 if shape.split => Fault::Database {
            server: Server::Results,
            outage: outage(random),
        },
        _ => Fault::Database {
            server: Server::Primary,
            outage: outage(random),
        },
    }
}

fn of_link(random: &mut Random, shape: Shape) -> Fault {
    let server = match random.below(100) {
        0..10 => Server::Replica,
        10..25 => Server::Kubernetes,
        25..60 if shape.split => Server::Results,
        _ => Server::Primary,
    };
    let victim = victim(random, shape);
    let link = match random.below(6) {
        0 => Some(ProxyMode::Refused),
        1 => Some(ProxyMode::Hanging),
        2 => Some(ProxyMode::Slow(random.millis(5, 150))),
        3 => Some(ProxyMode::ResetsResponses),
        _ => None,
    };
    Fault::Cut {
        victim,
        server,
        link,
        lasts: random.millis(50, 2_500),
    }
}

/// arXiv without a fault: what is found, and papers that tell their fetch.
pub(crate) fn well() -> Behaviour {
    Behaviour {
        total: Some(5_000),
        numbered: true,
        ..Behaviour::default()
    }
}

fn behaviour(random: &mut Random) -> Behaviour {
    let mode = |mode| Behaviour { mode, ..well() };
    let after = |status, seconds: &str| Behaviour {
        retry_after: Some(seconds.to_owned()),
        ..mode(Mode::Status(status))
    };
    let delayed = |delay_ms| Behaviour { delay_ms, ..well() };
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
        // So much later than any process waits that it holds up all others: once.
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

    const SHAPE: Shape = Shape {
        operators: 2,
        services: 4,
        split: true,
        long_pauses: true,
    };

    #[test]
    fn a_seed_gives_the_same_faults_and_all_kinds_of_them() {
        let some = |seed| {
            let lanes = Lane::ALL.into_iter();
            lanes
                .flat_map(|lane| faults(lane, seed, SHAPE).take(200))
                .collect::<Vec<_>>()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let names: BTreeSet<_> = some(1).iter().map(|(_, fault)| fault.name()).collect();
        assert_eq!(names.len(), 18, "{names:?}");
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
    fn without_long_pauses_and_a_second_server_there_are_none() {
        let shape = Shape {
            split: false,
            long_pauses: false,
            ..SHAPE
        };
        for lane in Lane::ALL {
            for (_, fault) in faults(lane, 3, shape).take(500) {
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
