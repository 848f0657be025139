//! Child processes that write to log files, can be killed, frozen and started again, and never outlive us.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// How long a dropped child gets between the first signal and SIGKILL.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// What to run. The environment holds only what is said here and PATH, HOME, TMPDIR and LANG.
#[derive(Clone, Debug)]
pub struct Spec {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log: PathBuf,
    user: Option<Account>,
    stop: Signal,
    death: Death,
}

/// How a child is ended when we are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// SIGKILL.
    Kill,
    /// SIGQUIT: the immediate shutdown of Postgres, which frees its shared memory.
    Quit,
}

impl Death {
    fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::KILL,
            Self::Quit => Signal::QUIT,
        }
    }

    /// As `setpriv` wants it: it takes no numbers.
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
        }
    }
}

/// The environment variables that children inherit; settings of the developer's shell must not reach them.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// A user to run as, by number (only root can).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Spec {
    /// `program`, with standard output and error appended to `log`.
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            log: log.into(),
            user: None,
            stop: Signal::TERM,
            death: Death::Kill,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets environment variables.
    #[must_use]
    pub fn envs(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.env.extend(variables);
        self
    }

    /// Runs as another user.
    #[must_use]
    pub fn user(mut self, account: Option<Account>) -> Self {
        self.user = account;
        self
    }

    /// The signal that asks for an orderly end (SIGTERM unless said).
    #[must_use]
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop = signal;
        self
    }

    /// What is sent when we end or the child is dropped (SIGKILL unless said).
    #[must_use]
    pub fn death(mut self, death: Death) -> Self {
        self.death = death;
        self
    }

    /// Where output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Runs it to its end (it dies with us too) and gives an error with the end of its output when it fails.
    pub async fn run(self, limit: Duration) -> Result<()> {
        let child = Child::spawn(self)?;
        let status = child.wait(limit).await?;
        if !status.success() {
            bail!(
                "{} failed ({status})\n{}",
                child.spec.program.display(),
                child.log_tail()
            );
        }
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = if let Some(setpriv) = setpriv() {
            // The death signal has to be set between fork and exec. Doing that here would take unsafe code; setpriv
            // does it and then becomes the program, with the same process id.
            let mut command = Command::new(setpriv);
            if let Some(Account { uid, gid }) = self.user {
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .arg("--clear-groups");
            }
            command
                .arg("--pdeathsig")
                .arg(self.death.name())
                .arg("--")
                .arg(&self.program);
            command
        } else {
            // Without it the child still ends when its `Child` is dropped, only not when we are killed.
            let mut command = Command::new(&self.program);
            if let Some(Account { uid, gid }) = self.user {
                command.uid(uid).gid(gid);
            }
            command
        };
        command.args(&self.args).env_clear();
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        // A process group of its own: Ctrl-C in a terminal reaches us alone, and we stop children in order.
        command.process_group(0).stdin(Stdio::null()).current_dir("/");
        command
    }
}

/// A child process. Dropping it sends its death signal, and SIGKILL when that does not end it.
#[derive(Debug)]
pub struct Child {
    spec: Spec,
    running: Mutex<std::process::Child>,
}

impl Child {
    /// Starts it.
    pub fn spawn(spec: Spec) -> Result<Self> {
        let running = Mutex::new(launch(&spec)?);
        Ok(Self { spec, running })
    }

    /// Starts it again as it was started before; it must have ended.
    pub fn start_again(&self) -> Result<()> {
        if self.is_running() {
            bail!("{} is still running", self.spec.program.display());
        }
        *self.lock() = launch(&self.spec)?;
        Ok(())
    }

    /// Process id (of the last start).
    pub fn pid(&self) -> u32 {
        self.lock().id()
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.lock().try_wait().ok().flatten()
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        matches!(self.lock().try_wait(), Ok(None))
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&self) {
        self.signal(Signal::KILL);
        let _ = self.lock().wait();
    }

    /// SIGSTOP: frozen until [`Child::cont`].
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a signal; nothing happens when the process has ended.
    pub fn signal(&self, signal: Signal) {
        let mut running = self.lock();
        // Until it is waited for, the id of an ended child cannot go to another process.
        if let (Ok(None), Some(pid)) = (running.try_wait(), pid_of(running.id())) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks for an orderly end and waits for it; after `limit` SIGKILL and an error.
    pub async fn terminate(&self, limit: Duration) -> Result<ExitStatus> {
        self.signal(self.spec.stop);
        let ended = self.wait(limit).await;
        if ended.is_err() {
            self.kill9();
        }
        ended
    }

    /// Waits until it ends by itself.
    pub async fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("end of {}", self.spec.program.display());
        crate::wait::until(&what, limit, async || Ok(self.lock().try_wait()?)).await
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    /// The last lines of its log, with its name before them; for error messages.
    pub fn log_tail(&self) -> String {
        const LINES: usize = 25;
        let mut text = Vec::new();
        let _ = File::open(&self.spec.log).and_then(|mut file| file.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        format!("--- end of {} ---\n{}", self.spec.log.display(), last.join("\n"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::process::Child> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A frozen process takes no signal but SIGKILL before it is woken.
        self.signal(Signal::CONT);
        self.signal(self.spec.death.signal());
        let deadline = Instant::now() + DROP_LIMIT;
        while self.is_running() {
            if Instant::now() > deadline {
                self.kill9();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A positive process id as the system calls take it.
pub(crate) fn pid_of(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

type Job = Box<dyn FnOnce() + Send>;

/// A child's death signal comes when the *thread* that started it ends, and tests run on threads that end early. So all
/// children are started from this one, which lives as long as the process.
static STARTER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (sender, jobs) = mpsc::channel::<Job>();
    std::thread::spawn(move || {
        for job in jobs {
            job();
        }
    });
    sender
});

fn launch(spec: &Spec) -> Result<std::process::Child> {
    let log = File::options().create(true).append(true).open(&spec.log);
    let log = log.with_context(|| format!("cannot write {}", spec.log.display()))?;
    let mut command = spec.command();
    command.stdout(log.try_clone()?).stderr(log);
    let (reply, answer) = mpsc::sync_channel(1);
    let job: Job = Box::new(move || {
        let _ = reply.send(command.spawn());
    });
    STARTER.send(job).ok().context("the starter thread is gone")?;
    answer
        .recv()?
        .with_context(|| format!("cannot start {}", spec.program.display()))
}

/// Where `setpriv` (util-linux) is, if it is there and knows `--pdeathsig` (that of busybox does not).
fn setpriv() -> Option<&'static Path> {
    static FOUND: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let path = find_program("setpriv")?;
        let works = Command::new(&path)
            .args(["--pdeathsig", "keep", "--", "true"])
            .output();
        works.is_ok_and(|output| output.status.success()).then_some(path)
    });
    FOUND.as_deref()
}

/// Looks a program up on PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
