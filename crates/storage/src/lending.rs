//! Connections for reads that go from one read to the next.
//!
//! sqlx tests a connection each time that it comes back to its pool, twice for ours: that is two more round trips, as long as
//! a short read. A read that ended well leaves its connection in order, so here it goes on to whoever waits, or rests for the
//! next one. Soon it goes back to the pool all the same, which tests it, renews it, and serves others. When a read does not end
//! well, those that rest go back at once: what broke its connection may have broken theirs.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

/// How long a connection stays away from its pool.
const AWAY: Duration = Duration::from_secs(1);

/// A pool whose connections go from read to read.
#[derive(Clone)]
pub(crate) struct Lending {
    pub(crate) pool: PgPool,
    /// How many connections it may have.
    most: usize,
    /// How long a read waits for one.
    patience: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    resting: Vec<Lent>,
    /// Oldest first. Those that have given up are closed.
    waiting: VecDeque<Hand>,
    /// Tasks that wait for the pool on behalf of those.
    fetching: usize,
    /// Whether a task looks after those that rest.
    tended: bool,
}

type Hand = oneshot::Sender<Result<Lent, sqlx::Error>>;

/// A connection that is out. Dropped, it goes back to the pool and is tested, whatever state it is in.
pub(crate) struct Lent {
    pub(crate) connection: PoolConnection<Postgres>,
    since: Instant,
    /// No read is under way on it, and the last one ended well.
    is_well: bool,
    state: Weak<Mutex<State>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.is_well {
            return;
        }
        if let Some(state) = self.state.upgrade() {
            // Dropped when the state is let go of: each goes back to its pool.
            let _resting = std::mem::take(&mut lock(&state).resting);
        }
    }
}

impl Lent {
    fn is_due(&self) -> bool {
        self.since.elapsed() >= AWAY
    }
}

impl Lending {
    pub(crate) fn new(pool: PgPool) -> Self {
        let options = pool.options();
        Self {
            most: usize::try_from(options.get_max_connections()).unwrap_or(usize::MAX),
            patience: options.get_acquire_timeout(),
            pool,
            state: Arc::default(),
        }
    }

    /// Whether both are of one pool: a pool has its options for itself.
    pub(crate) fn is_of(&self, pool: &PgPool) -> bool {
        Arc::ptr_eq(&self.pool.connect_options(), &pool.connect_options())
    }

    /// A connection that rests; else one that another read gives back, or that the pool gives.
    pub(crate) async fn take(&self) -> Result<Lent, sqlx::Error> {
        let handed = {
            let mut state = lock(&self.state);
            while let Some(mut lent) = state.resting.pop() {
                if !lent.is_due() {
                    lent.is_well = false;
                    return Ok(lent);
                }
            }
            while state.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                state.waiting.pop_front();
            }
            let (hand, handed) = oneshot::channel();
            state.waiting.push_back(hand);
            if state.fetching < self.most.min(state.waiting.len()) {
                state.fetching += 1;
                tokio::spawn(self.clone().fetch());
            }
            handed
        };
        match timeout(self.patience, handed).await {
            Ok(Ok(handed)) => handed,
            Ok(Err(_)) | Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// Fetches connections from the pool as long as somebody waits. On its own: were it part of who waits, then one that is
    /// just being made would be thrown away whenever another comes first.
    async fn fetch(self) {
        loop {
            let fetched = self.pool.acquire().await;
            let mut state = lock(&self.state);
            match fetched {
                Ok(connection) => {
                    let lent = Lent {
                        connection,
                        since: Instant::now(),
                        is_well: true,
                        state: Arc::downgrade(&self.state),
                    };
                    self.hand_on(&mut state, lent);
                }
                // Who waits has a limit of its own, which began later.
                Err(sqlx::Error::PoolTimedOut) => {}
                Err(error) => {
                    if let Some(hand) = state.next() {
                        let _ = hand.send(Err(error));
                    }
                }
            }
            if state.fetching > state.waiting.len() {
                state.fetching -= 1;
                return;
            }
        }
    }

    /// Only after a read that ended well.
    pub(crate) fn give_back(&self, mut lent: Lent) {
        lent.is_well = true;
        if !lent.is_due() {
            self.hand_on(&mut lock(&self.state), lent);
        }
    }

    fn hand_on(&self, state: &mut State, mut lent: Lent) {
        while let Some(hand) = state.waiting.pop_front() {
            lent.is_well = false;
            match hand.send(Ok(lent)) {
                Ok(()) | Err(Err(_)) => return,
                Err(Ok(unwanted)) => lent = unwanted,
            }
        }
        lent.is_well = true;
        state.resting.push(lent);
        if !state.tended {
            state.tended = true;
            tokio::spawn(tend(Arc::downgrade(&self.state)));
        }
    }
}

impl State {
    /// Who waits longest.
    fn next(&mut self) -> Option<Hand> {
        while let Some(hand) = self.waiting.pop_front() {
            if !hand.is_closed() {
                return Some(hand);
            }
        }
        None
    }
}

/// Sends those that rested long enough back to the pool, until none is left.
async fn tend(state: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(AWAY).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = lock(&state);
        state.resting.retain(|lent| !lent.is_due());
        if state.resting.is_empty() {
            state.tended = false;
            return;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Lending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lending")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
