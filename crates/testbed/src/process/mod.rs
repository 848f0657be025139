//! Child processes that write to log files, can be killed, frozen and restarted, and never outlive this process.

mod memory;
mod spec;
mod starter;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

pub use memory::Memory;
pub use spec::{Account, Death, Spec};

/// The time between the first signal to a dropped child and SIGKILL.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// A child process. Dropping it sends its death signal, and SIGKILL if that does not end it.
#[derive(Debug)]
pub struct Child {
    spec: Spec,
    running: Mutex<std::process::Child>,
}

impl Child {
    /// Starts it.
    pub fn spawn(spec: Spec) -> Result<Self> {
        let running = Mutex::new(starter::launch(&spec)?);
        Ok(Self { spec, running })
    }

    /// Starts it again with the same settings; it must have ended.
    pub fn start_again(&self) -> Result<()> {
        if self.is_running() {
            bail!("{} is still running", self.spec.program().display());
        }
        *self.lock() = starter::launch(&self.spec)?;
        Ok(())
    }

    /// Process id (of the last start).
    pub fn pid(&self) -> u32 {
        self.lock().id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.lock().try_wait().ok().flatten()
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        matches!(self.lock().try_wait(), Ok(None))
    }

    /// Sends SIGKILL, and waits until it has ended.
    pub fn kill9(&self) {
        self.signal(Signal::KILL);
        let _ = self.lock().wait();
    }

    /// SIGKILL to it and to the processes it has started (those without a process group of their own), and waits until it is gone.
    pub fn kill9_group(&self) {
        let mut running = self.lock();
        if let (Ok(None), Some(pid)) = (running.try_wait(), pid_of(running.id())) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = running.wait();
        }
    }

    /// SIGSTOP: frozen until [`Child::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&self, signal: Signal) {
        let mut running = self.lock();
        // The id of an ended child is not reused before it is waited for.
        if let (Ok(None), Some(pid)) = (running.try_wait(), pid_of(running.id())) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Requests an orderly end and waits for it. After `limit` sends SIGKILL and returns an error.
    pub async fn terminate(&self, limit: Duration) -> Result<ExitStatus> {
        self.signal(self.spec.stop());
        let ended = self.wait(limit).await;
        if ended.is_err() {
            self.kill9();
        }
        ended
    }

    /// Waits until it ends.
    pub async fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("end of {}", self.spec.program().display());
        crate::wait::until(&what, limit, async || Ok(self.lock().try_wait()?)).await
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        self.spec.log()
    }

    /// The last lines of its log with a headline, for error messages.
    pub fn log_tail(&self) -> String {
        self.last_of_log(25)
    }

    fn last_of_log(&self, count: usize) -> String {
        let mut text = Vec::new();
        let _ = File::open(self.spec.log()).and_then(|mut file| file.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(count)..];
        format!(
            "--- end of {} ---\n{}",
            self.spec.log().display(),
            last.join("\n")
        )
    }

    fn lock(&self) -> MutexGuard<'_, std::process::Child> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A frozen process handles no signal except SIGKILL.
        self.signal(Signal::CONT);
        self.signal(self.spec.death_as_signal());
        let deadline = Instant::now() + DROP_LIMIT;
        while self.is_running() {
            if Instant::now() > deadline {
                self.kill9();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A process id in the form that system calls need.
pub(crate) fn pid_of(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Finds a program on PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
