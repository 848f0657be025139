//! The namespaces that a run has to itself, and the way into them.

mod cgroups;
mod furnishing;

use std::ffi::OsStr;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};
use testbed::process::find_program;

pub use furnishing::furnish;

/// Set inside, so that nobody goes in twice.
const ROOM: &str = "ARXIV_OPERATOR_E2E_ROOM";
/// What a node cannot do without, tried in a room that is thrown away.
const TRIAL: &str = "mount -t tmpfs room /run && { ! command -v ip >/dev/null || ip link add node0 type veth peer name node1; }";

/// Why this machine cannot have a node, if it cannot.
pub fn missing() -> Option<String> {
    if std::env::consts::OS != "linux" {
        return Some("nodes need Linux".into());
    }
    if let Err(error) = cgroups::trial() {
        return Some(format!("{error:#}"));
    }
    match unshare().args(["sh", "-ec", TRIAL]).output() {
        Err(error) => Some(format!("unshare (util-linux) cannot be run: {error}")),
        Ok(output) if !output.status.success() => Some(format!(
            "namespaces cannot be made (root is needed): {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Ok(_) => None,
    }
}

/// Whether this process is inside.
pub fn inside() -> bool {
    std::env::var_os(ROOM).is_some()
}

/// Runs this program once more with these arguments, inside. When it ends, however it ends, all that it started ends too.
pub fn enter<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<ExitStatus> {
    ensure!(!inside(), "already inside");
    let mut command = Command::new(find_program("setpriv").context("setpriv (util-linux) is missing")?);
    command.args(["--pdeathsig", "KILL", "--"]);
    command.arg(unshare().get_program()).args(unshare().get_args());
    // A shell as the first process: it takes in orphans (containers outlive who started them), and we need not.
    command.args(["sh", "-c", "\"$@\"; exit $?", "sh"]);
    command.arg(std::env::current_exe()?).args(arguments);
    let before = cgroups::present();
    let status = command.env(ROOM, "1").status();
    cgroups::sweep(&before);
    Ok(status?)
}

/// Runs what follows with a network, processes and mounts of its own; they end with it.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--net",
        "--pid",
        "--mount",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ]);
    command
}
