//! What the machine has left: CPU time and memory, as Linux counts them (proc(5)).

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

/// The CPU time of the last seconds decides whether another program is started.
const WINDOW: Duration = Duration::from_secs(3);

/// CPU time since the machine started, in ticks of all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    busy: u64,
    idle: u64,
}

impl CpuTime {
    /// What has been counted up to now; nothing where there is no `/proc/stat`.
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guests are in user already.
        let ticks: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self {
            busy: ticks.iter().sum::<u64>() - idle,
            idle,
        })
    }

    /// The share of all cores that was in use since `earlier`, from 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "ticks of a few hours")]
    pub(super) fn used_since(self, earlier: Self) -> Option<f64> {
        let busy = self.busy.checked_sub(earlier.busy)? as f64;
        let idle = self.idle.checked_sub(earlier.idle)? as f64;
        (busy + idle > 0.0).then(|| busy / (busy + idle))
    }
}

/// Memory that programs can still take, in bytes; nothing where there is no `/proc/meminfo`.
pub(super) fn available_memory() -> Option<u64> {
    memory(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The use of the CPU over the last seconds.
#[derive(Debug, Default)]
pub(super) struct Recent {
    samples: VecDeque<(Instant, CpuTime)>,
}

impl Recent {
    /// Takes a sample; gives the share of CPU time that was idle over the last seconds, from 0 to 1.
    pub(super) fn idle(&mut self) -> Option<f64> {
        let (now, cpu) = (Instant::now(), CpuTime::now()?);
        self.samples.push_back((now, cpu));
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW)
        {
            self.samples.pop_front();
        }
        let (_, first) = self.samples.front()?;
        Some(1.0 - cpu.used_since(*first)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_the_first_line_of_stat() {
        let before = CpuTime::parse("cpu  10 0 5 80 5 0 0 0 7 0\ncpu0 1 2 3 4\n").unwrap();
        assert_eq!(before, CpuTime { busy: 15, idle: 85 });
        let after = CpuTime::parse("cpu  70 0 20 100 10 0 0 0 0 0\n").unwrap();
        assert_eq!(after.used_since(before), Some(0.75));
        assert_eq!(before.used_since(before), None, "no time has passed");
        assert_eq!(CpuTime::parse("intr 1\n"), None);
    }

    #[test]
    fn available_memory_is_in_kilobytes() {
        let meminfo = "MemTotal:       24000000 kB\nMemFree:  1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(memory(meminfo), Some(2 << 20));
        assert_eq!(memory("MemTotal: 1 kB\n"), None);
    }
}
