//! The Linux namespaces of a run, and how a process enters them.

mod cgroups;
mod setup;

use std::ffi::OsStr;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};
use testbed::process::find_program;

pub use setup::set_up;

/// Set inside, so that no process enters twice.
const INSIDE: &str = "ARXIV_OPERATOR_E2E_SANDBOX";
/// What a node cannot do without, tried in namespaces of its own.
const TRIAL: &str = "mount -t tmpfs sandbox /run && { ! command -v ip >/dev/null || ip link add node0 type veth peer name node1; }";

/// The reason why this machine cannot run a node, if there is one.
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
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program again with these arguments, inside. When it ends, for any reason, all that it started ends too.
pub fn enter<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<ExitStatus> {
    ensure!(!inside(), "already inside");
    let mut command = Command::new(find_program("setpriv").context("setpriv (util-linux) is missing")?);
    command.args(["--pdeathsig", "KILL", "--"]);
    command.arg(unshare().get_program()).args(unshare().get_args());
    // The first process is a shell, because it adopts orphans: containers outlive the process that started them.
    command.args(["sh", "-c", "\"$@\"; exit $?", "sh"]);
    command.arg(std::env::current_exe()?).args(arguments);
    let before = cgroups::present();
    let status = command.env(INSIDE, "1").status();
    cgroups::sweep(&before);
    Ok(status?)
}

/// Runs the following command with its own network, processes and mounts, which end with it.
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
