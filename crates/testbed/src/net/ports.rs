//! Reserved loopback ports: no other test, test process or outgoing connection uses them.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};
use tokio::net::TcpSocket;

use crate::temp_dir;

/// Below the usual ephemeral ranges (Linux: from 32768), so no outgoing connection can use one of these.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port that is reserved until this value is dropped. A server that is restarted finds it free.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let folder = temp_dir::per_user(&std::env::temp_dir(), "ports")?;
        // Processes start the search at different numbers, so that they rarely collide.
        let start = std::process::id().wrapping_mul(97);
        for _ in 0..COUNT {
            let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let offset = start.wrapping_add(step) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset)?;
            let lock = temp_dir::try_lock(&folder.join(format!("{number}.lock")))?;
            // The lock excludes other test processes, the bind detects all other programs.
            if lock.is_some() && probe(number).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no free port between {FIRST} and {}", FIRST + COUNT - 1)
    }

    /// The port that the user asked for.
    pub fn exactly(number: u16) -> Result<Self> {
        probe(number).with_context(|| format!("port {number} cannot be used"))?;
        Ok(Self { number, _lock: None })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Fails when a program listens on the port.
///
/// It binds without listening: a process that is forked just now holds a copy of every socket until it executes its
/// program, and the copy of a listening one would block the server that the port is reserved for.
fn probe(number: u16) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, number).into())
}
