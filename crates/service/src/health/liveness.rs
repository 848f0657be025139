//! Liveness is progress: a loop that has not come round in its time is stuck, however open the port may be.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// The loops of this process that must keep coming round, each for as long as somebody holds its [`Heartbeat`].
#[derive(Clone, Default)]
pub struct Liveness(Arc<Mutex<Vec<Weak<Loop>>>>);

struct Loop {
    name: &'static str,
    patience: Duration,
    last: Mutex<Instant>,
}

/// A loop's way to tell that it came round.
#[derive(Clone)]
pub struct Heartbeat(Arc<Loop>);

impl Liveness {
    /// Registers a loop that comes round at least once in `patience`.
    pub fn watch(&self, name: &'static str, patience: Duration) -> Heartbeat {
        let watched = Arc::new(Loop {
            name,
            patience,
            last: Mutex::new(Instant::now()),
        });
        let mut loops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|watched| watched.strong_count() > 0);
        loops.push(Arc::downgrade(&watched));
        Heartbeat(watched)
    }

    /// The names of the loops that have not come round in time.
    pub fn stuck(&self) -> Vec<&'static str> {
        let loops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loops
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|watched| watched.is_stuck())
            .map(|watched| watched.name)
            .collect()
    }
}

impl Loop {
    fn is_stuck(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > self.patience
    }
}

impl Heartbeat {
    /// Tells that the loop came round.
    pub fn beat(&self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_without_a_beat_in_its_time_is_stuck() {
        let liveness = Liveness::default();
        let prompt = liveness.watch("prompt", Duration::from_hours(1));
        let never = liveness.watch("never", Duration::ZERO);
        prompt.beat();
        assert_eq!(liveness.stuck(), ["never"]);
        drop(never);
        assert_eq!(liveness.stuck(), [""; 0], "it is not to go on any more");
    }
}
