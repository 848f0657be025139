//! A fake of arXiv's API: feeds in the real format, every kind of failure that has been observed, and a record of the
//! requests with their times and connections.
//!
//! Papers are invented for each search, as many as it wants, or are those of an [`Archive`] on one of its days
//! ([`FakeArxiv::set_day`]). Its behaviour can be changed while it runs: by [`FakeArxiv::set`], or over HTTP (see the `control` module).

pub mod archive;
mod behaviour;
mod control;
mod entry;
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

use archive::Sorted;
pub use archive::{Archive, ArchiveSpec, DayKind};
pub use behaviour::{Behaviour, FeedFormat, Mode};
use feed::{Results, SearchRequest};
use record::Record;
pub use record::{Connection, Request};

use crate::wait;

/// The server. It runs on its own thread, so a test cannot block it, and stops when dropped.
#[derive(Debug)]
pub struct FakeArxiv {
    address: SocketAddr,
    state: Arc<ServerState>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct ServerState {
    behaviour: Mutex<Behaviours>,
    present: Mutex<Option<Present>>,
    record: Mutex<Record>,
}

/// The papers of an archive on one of its days.
#[derive(Debug)]
struct Present {
    /// Searches with this text in them find its papers.
    searches: String,
    archive: Arc<Archive>,
    day: u32,
    /// How many searches were answered: each answer has its own order among equal dates.
    answers: u64,
}

/// The default behaviour, and those that come first, each for a number of requests.
#[derive(Debug, Default)]
struct Behaviours {
    default: Behaviour,
    queued: VecDeque<Behaviour>,
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

    /// Starts one on an address that other machines can reach.
    pub fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::<ServerState>::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&state);
        std::thread::Builder::new()
            .name("fake arXiv".into())
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

    /// Sets the behaviour from now on, or with `times` for that many requests. Without `times` it also ends what was
    /// set for a number of requests before.
    pub fn set(&self, behaviour: impl Into<Behaviour>) {
        self.state.set(behaviour.into());
    }

    /// From now on there are the papers of this archive, as they are on the morning of a day.
    pub fn set_day(&self, archive: &Arc<Archive>, day: u32) {
        self.set_day_for("", archive, day);
    }

    /// The same for searches with this text in them; for others, papers are invented.
    pub fn set_day_for(&self, searches: &str, archive: &Arc<Archive>, day: u32) {
        self.state.present_at(searches, Arc::clone(archive), day);
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

    /// Removes all requests and closed connections from the record.
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

impl ServerState {
    fn set(&self, behaviour: Behaviour) {
        let mut behaviours = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        if behaviour.times.is_some() {
            behaviours.queued.push_back(behaviour);
        } else {
            *behaviours = Behaviours {
                default: behaviour,
                queued: VecDeque::new(),
            };
        }
    }

    /// The behaviour for a request for results from `start` on.
    fn behaviour(&self, start: u32) -> Behaviour {
        let mut behaviours = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        let applies = |behaviour: &Behaviour| start >= behaviour.from_start;
        if let Some(index) = behaviours.queued.iter().position(applies) {
            let left = behaviours.queued[index].times.unwrap_or_default();
            if left > 1 {
                behaviours.queued[index].times = Some(left - 1);
                return behaviours.queued[index].clone();
            }
            if let Some(last) = behaviours.queued.remove(index) {
                return last;
            }
        }
        if applies(&behaviours.default) {
            behaviours.default.clone()
        } else {
            behaviours.default.without_faults()
        }
    }

    /// As [`FakeArxiv::set_day`]; an archive is made anew only if it is another one.
    fn set_present(&self, spec: ArchiveSpec, day: u32) {
        let same = self
            .present()
            .as_ref()
            .map(|present| Arc::clone(&present.archive));
        let same = same.filter(|archive| *archive.spec() == spec);
        self.present_at("", same.unwrap_or_else(|| Arc::new(Archive::new(spec))), day);
    }

    fn present_at(&self, searches: &str, archive: Arc<Archive>, day: u32) {
        let mut present = self.present();
        let answers = present.as_ref().map_or(0, |present| present.answers);
        *present = Some(Present {
            searches: searches.to_owned(),
            archive,
            day,
            answers,
        });
    }

    /// What a search finds; none while arXiv does not answer.
    fn results(&self, asked: &SearchRequest) -> Result<Option<Results>, String> {
        let mut present = self.present();
        let covers = |present: &&mut Present| asked.search_query.contains(&present.searches);
        let Some(Present {
            archive,
            day,
            answers,
            ..
        }) = present.as_mut().filter(covers)
        else {
            return Ok(Some(Results::Invented));
        };
        if archive.kind(*day) == DayKind::Outage {
            return Ok(None);
        }
        *answers += 1;
        let sorted = Sorted {
            search: &asked.search_query,
            ids: &asked.id_list,
            by: &asked.sort_by,
            order: &asked.sort_order,
        };
        archive
            .results(&sorted, *day, *answers)
            .map(|papers| Some(Results::Papers(papers)))
    }

    fn present(&self) -> MutexGuard<'_, Option<Present>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
