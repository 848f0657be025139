//! A stand-in for arXiv's API: feeds of the real shape, every way of failing that has been seen, and a record of what
//! was asked, when, and over how many connections.
//!
//! It can be switched while it runs: by [`FakeArxiv::set`], or over HTTP (see the `control` module).

mod behaviour;
mod control;
mod feed;
mod record;
mod server;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::oneshot;
use url::Url;

pub use behaviour::{Behaviour, FeedFormat, Mode};
use record::Record;
pub use record::{Connection, Request};

use crate::wait;

/// The server. It runs on a thread of its own, so nothing that a test does can hold it up, and stops when dropped.
#[derive(Debug)]
pub struct FakeArxiv {
    address: SocketAddr,
    state: Arc<State>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    behaviour: Mutex<Behaviours>,
    record: Mutex<Record>,
}

/// What stands, and what comes before it for a number of requests.
#[derive(Debug, Default)]
struct Behaviours {
    standing: Behaviour,
    passing: VecDeque<Behaviour>,
}

impl FakeArxiv {
    /// Starts one on a free port.
    pub fn start() -> Result<Self> {
        Self::start_on(0)
    }

    /// Starts one on a given port of loopback (0: a free one).
    pub fn start_on(port: u16) -> Result<Self> {
        Self::listen((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Starts one on an address that others may reach.
    pub fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::<State>::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&state);
        std::thread::Builder::new()
            .name("stand-in arXiv".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = server::serve(listener, served) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            state,
            _stop: stop,
        })
    }

    /// The search endpoint.
    pub fn url(&self) -> Url {
        let mut url = self.root();
        url.set_path("/api/query");
        url
    }

    /// The server's root; `/_control` and `/_record` are below it.
    pub fn root(&self) -> Url {
        let mut url = Url::parse("http://localhost").unwrap_or_else(|_| unreachable!("a constant"));
        let _ = url.set_ip_host(self.address.ip());
        let _ = url.set_port(Some(self.address.port()));
        url
    }

    /// From now on (or with `times`, for that many requests) answers like this. Without `times` it also ends what was
    /// set for a number of requests before.
    pub fn set(&self, behaviour: impl Into<Behaviour>) {
        self.state.set(behaviour.into());
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.state.record().requests().to_vec()
    }

    /// The connections so far by their numbers, in order.
    pub fn connections(&self) -> Vec<(u64, Connection)> {
        self.state.record().connections().collect()
    }

    /// How many connections are open now.
    pub fn open(&self) -> usize {
        self.state.record().open()
    }

    /// How many connections were ever open at once.
    pub fn max_open(&self) -> usize {
        self.state.record().max_open()
    }

    /// The shortest time between two requests, if there were two.
    pub fn min_spacing(&self) -> Option<Duration> {
        self.state.record().min_spacing()
    }

    /// Forgets the requests and closed connections so far.
    pub fn clear_record(&self) {
        self.state.record().clear();
    }

    /// Waits until at least `count` requests have come.
    pub async fn wait_for_requests(&self, count: usize, limit: Duration) -> Result<()> {
        wait::until(&format!("{count} requests to arXiv"), limit, async || {
            Ok((self.state.record().requests().len() >= count).then_some(()))
        })
        .await
    }

    /// Waits until no connection is open.
    pub async fn wait_for_no_connection(&self, limit: Duration) -> Result<()> {
        wait::until("connections to arXiv closed", limit, async || {
            Ok((self.open() == 0).then_some(()))
        })
        .await
    }
}

impl State {
    fn set(&self, behaviour: Behaviour) {
        let mut behaviours = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        if behaviour.times.is_some() {
            behaviours.passing.push_back(behaviour);
        } else {
            *behaviours = Behaviours {
                standing: behaviour,
                passing: VecDeque::new(),
            };
        }
    }

    /// How a request for results from `start` on is to be answered.
    fn behaviour(&self, start: u32) -> Behaviour {
        let mut behaviours = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |behaviour: &Behaviour| start >= behaviour.from_start;
        if let Some(index) = behaviours.passing.iter().position(fits) {
            let left = behaviours.passing[index].times.unwrap_or_default();
            if left > 1 {
                behaviours.passing[index].times = Some(left - 1);
                return behaviours.passing[index].clone();
            }
            if let Some(last) = behaviours.passing.remove(index) {
                return last;
            }
        }
        if fits(&behaviours.standing) {
            behaviours.standing.clone()
        } else {
            behaviours.standing.without_faults()
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
