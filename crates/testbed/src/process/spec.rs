//! How a child is started, so that it ends with this process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{Child, Signal, find_program};

/// How a child is started. Its environment contains only the variables set here and PATH, HOME, TMPDIR and LANG.
#[derive(Clone, Debug)]
pub struct Spec {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log: PathBuf,
    folder: PathBuf,
    user: Option<Account>,
    stop: Signal,
    death: Death,
}

/// The signal that ends a child when this process has ended.
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

    /// The name for `setpriv`, which accepts no numbers.
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
        }
    }
}

/// The environment variables that children inherit. No other setting of the developer's shell may reach them.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// The user to run as, by number (only root can do that).
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
            folder: "/".into(),
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
    pub fn envs(
        self,
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Self {
        let variables = variables.into_iter();
        variables.fold(self, |spec, (name, value)| spec.env(name, value))
    }

    /// Runs in this folder (in `/` unless set).
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Runs as another user.
    #[must_use]
    pub fn user(mut self, account: Option<Account>) -> Self {
        self.user = account;
        self
    }

    /// The signal that requests an orderly end (default: SIGTERM).
    #[must_use]
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop = signal;
        self
    }

    /// The signal that is sent when this process ends or the child is dropped (default: SIGKILL).
    #[must_use]
    pub fn death(mut self, death: Death) -> Self {
        self.death = death;
        self
    }

    /// The log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Runs it to its end. When it fails, the error contains the end of its output.
    pub async fn run(self, limit: Duration) -> Result<()> {
        let child = Child::spawn(self)?;
        let status = child.wait(limit).await?;
        if !status.success() {
            // Tools print the reason of a failure above their summary.
            bail!(
                "{} failed ({status})\n{}",
                child.spec.program().display(),
                child.last_of_log(200)
            );
        }
        Ok(())
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn stop(&self) -> Signal {
        self.stop
    }

    pub(super) fn death_as_signal(&self) -> Signal {
        self.death.signal()
    }

    pub(super) fn command(&self) -> Command {
        let mut command = if let Some(setpriv) = setpriv() {
            // The death signal must be set between fork and exec. That would need unsafe code here; setpriv does it and
            // then becomes the program, with the same process id.
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
            // Without it the child still ends when its `Child` is dropped, but not when this process is killed.
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
        // Its own process group: Ctrl-C in a terminal reaches only this process, which stops its children in order.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .current_dir(&self.folder);
        command
    }
}

/// The path of `setpriv` (util-linux), if it supports `--pdeathsig` (that of busybox does not).
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
