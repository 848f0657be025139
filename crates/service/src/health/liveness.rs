//! Liveness is progress: a loop that has not made a round in its time is stuck, even while the port answers.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// The loops of this process that must keep going, each as long as its [`Heartbeat`] exists.
#[derive(Clone, Default)]
pub struct Liveness(Arc<Mutex<Vec<Weak<Loop>>>>);

struct Loop {
    name: &'static str,
    longest_round: Duration,
    last: Mutex<Instant>,
}

/// What a loop beats once per round.
#[derive(Clone)]
pub struct Heartbeat(Arc<Loop>);

impl Liveness {
    /// Registers a loop that makes at least one round in `longest_round`.
    pub fn watch(&self, name: &'static str, longest_round: Duration) -> Heartbeat {
        let watched = Arc::new(Loop {
            name,
            longest_round,
            last: Mutex::new(Instant::now()),
        });
        let mut loops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|watched| watched.strong_count() > 0);
        loops.push(Arc::downgrade(&watched));
        Heartbeat(watched)
    }

    /// The names of the loops that have made no round in their time.
    pub fn stuck(&self) -> Vec<&'static str> {
        let loops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = loops.iter().filter_map(Weak::upgrade).filter(|watched| {
            let last = watched.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.elapsed() > watched.longest_round
        });
        stuck.map(|watched| watched.name).collect()
    }
}

impl Heartbeat {
    /// Reports a round of the loop.
    pub fn beat(&self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loop_without_a_beat_in_time_is_stuck() {
        let liveness = Liveness::default();
        let prompt = liveness.watch("prompt", Duration::from_hours(1));
        let never = liveness.watch("never", Duration::ZERO);
        prompt.beat();
        assert_eq!(liveness.stuck(), ["never"]);
        drop(never);
        assert_eq!(liveness.stuck(), [""; 0], "a loop that has ended is not stuck");
    }
}
