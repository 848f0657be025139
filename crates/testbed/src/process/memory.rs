//! The memory use of a process.

use std::fs;

use anyhow::{Context, Result};

use super::Child;

/// Physical memory of a process, in bytes, as Linux counts it (proc(5), `/proc/PID/status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The current use (`VmRSS`).
    pub resident: u64,
    /// The peak since its start, or since [`Child::reset_peak`] (`VmHWM`).
    pub peak: u64,
}

impl Child {
    /// Its memory use; an error when it has ended.
    pub fn memory(&self) -> Result<Memory> {
        read(&fs::read_to_string(format!("/proc/{}/status", self.pid()))?)
    }

    /// Resets the peak.
    pub fn reset_peak(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")?)
    }
}

fn read(status: &str) -> Result<Memory> {
    let bytes = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim_start_matches(':').trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes
            .with_context(|| format!("no {name}: has the process ended?"))?
            .parse()?;
        Ok(kilobytes * 1024)
    };
    Ok(Memory {
        resident: bytes("VmRSS")?,
        peak: bytes("VmHWM")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_in_kilobytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let memory = Memory {
            resident: 1 << 20,
            peak: 2 << 20,
        };
        assert_eq!(read(status).unwrap(), memory);
        assert!(read("Name:\tx\nState:\tZ (zombie)\n").is_err());
    }
}
