//! Running all units, several at a time, to their end.

use std::collections::VecDeque;
use std::num::NonZero;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::admission::Now;
use super::machine::{self, Recent};
use super::process::{Ended, Running, Setup};
use super::report;
use super::units::{Unit, Work};
use crate::output;

/// How often ends and the machine are checked.
const TICK: Duration = Duration::from_millis(100);
/// How long it may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// What is running, and what waits.
pub(super) struct Pool<'a> {
    setup: &'a Setup,
    total: usize,
    waiting: VecDeque<Unit>,
    running: Vec<Running>,
    ended: Vec<Ended>,
    /// Ends when what the node is made of is there.
    node_ready: Option<oneshot::Receiver<()>>,
    recent: Recent,
    begun: Instant,
    last_start: Option<Instant>,
    last_line: Instant,
    shows_output: bool,
}

impl<'a> Pool<'a> {
    /// Units in the order in which they are to be started.
    pub(super) fn new(
        units: Vec<Unit>,
        setup: &'a Setup,
        node_ready: Option<oneshot::Receiver<()>>,
        shows_output: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            setup,
            total: units.len(),
            waiting: units.into(),
            running: Vec::new(),
            ended: Vec::new(),
            node_ready,
            recent: Recent::default(),
            begun: now,
            last_start: None,
            last_line: now,
            shows_output,
        }
    }

    /// Runs them all, or until `stop`: then what runs is killed and counts as failed. Gives what has ended, and how many were not
    /// started.
    pub(super) async fn run(mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> (Vec<Ended>, usize) {
        let mut ticks = tokio::time::interval(TICK);
        while !(self.waiting.is_empty() && self.running.is_empty()) {
            tokio::select! {
                _ = ticks.tick() => {}
                () = &mut stop => {
                    self.interrupted();
                    break;
                }
            }
            self.collect();
            self.start();
            if self.last_line.elapsed() > SILENCE {
                self.say_what_runs();
            }
        }
        (self.ended, self.waiting.len())
    }

    fn collect(&mut self) {
        for running in std::mem::take(&mut self.running) {
            match running.ended() {
                Ok(ended) => self.note(ended),
                Err(running) => self.running.push(running),
            }
        }
    }

    fn note(&mut self, ended: Ended) {
        let (number, elapsed) = (self.ended.len() + 1, self.begun.elapsed());
        output::result(&report::line(&ended, number, self.total, elapsed));
        if self.shows_output {
            output::result(ended.output.trim_end());
        }
        self.last_line = Instant::now();
        self.ended.push(ended);
    }

    fn start(&mut self) {
        let idle = self.recent.idle();
        while let Some(unit) = self.next(idle) {
            if unit.estimate >= Duration::from_secs(1) {
                self.last_start = Some(Instant::now());
            }
            match Running::start(unit.clone(), self.setup) {
                Ok(running) => self.running.push(running),
                Err(error) => self.note(Ended::not_started(unit, &error)),
            }
        }
    }

    /// The first one that may be started now.
    fn next(&mut self, idle: Option<f64>) -> Option<Unit> {
        let now = Now {
            cores: std::thread::available_parallelism().map_or(1, NonZero::get),
            running: self.running.len(),
            timed: self.running.iter().any(|running| running.unit.timed),
            since_start: self.last_start.map_or(Duration::MAX, |start| start.elapsed()),
            idle,
            memory: machine::available_memory(),
        };
        // What is at work on the node's programs ends either way: what it lacks, the node says itself.
        let is_made = |receiver: &mut oneshot::Receiver<()>| {
            !matches!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Empty))
        };
        if self.node_ready.as_mut().is_some_and(is_made) {
            self.node_ready = None;
        }
        // The node runs alone: its pods are limited to a fraction of a core, and time out next to other tests.
        let node_runs = self
            .running
            .iter()
            .any(|running| matches!(running.unit.work, Work::Node));
        if node_runs {
            return None;
        }
        let alone = self.running.is_empty() && self.node_ready.is_none();
        let index = self.waiting.iter().position(|unit| match unit.work {
            Work::Node => alone,
            Work::Tests { .. } | Work::Doc => now.admits(unit.estimate, unit.timed),
        })?;
        self.waiting.remove(index)
    }

    fn say_what_runs(&mut self) {
        let running = self.running.iter().map(|running| {
            let seconds = running.began.elapsed().as_secs();
            format!("{} ({seconds} s)", running.unit.name)
        });
        let mut running: Vec<String> = running.collect();
        if running.is_empty() {
            running.push("nothing: the programs of the node are being built".into());
        }
        let elapsed = report::clock(self.begun.elapsed());
        output::progress(&format!("[{elapsed}] running: {}", running.join("; ")));
        self.last_line = Instant::now();
    }

    fn interrupted(&mut self) {
        output::progress("asked to end: programs that run are killed");
        for running in std::mem::take(&mut self.running) {
            let ended = running.kill();
            self.note(ended);
        }
        if !self.waiting.is_empty() {
            output::progress(&format!("{} were not started", self.waiting.len()));
        }
    }
}
