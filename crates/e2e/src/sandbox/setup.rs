//! Setting up the sandbox before a node starts: a network, and folders and kernel settings that are not the machine's.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Folders in which containerd, the network plug-ins and the kubelet write files whatever their settings are.
const FOLDERS: [&str; 3] = ["/run", "/var/lib", "/var/log"];
/// Settings of the whole machine that the kubelet would change to these values. It is made to see that they are set already.
const KERNEL: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Prepares the sandbox for a node. Nothing in it changes the machine.
pub fn set_up() -> Result<()> {
    ensure!(super::inside(), "the machine must not be changed");
    network()?;
    for folder in FOLDERS {
        tool("mount", &["-t", "tmpfs", "sandbox", folder])?;
    }
    for (setting, value) in KERNEL {
        let real = Path::new("/proc/sys").join(setting);
        if real.exists() {
            let shown = Path::new("/run").join(setting.replace('/', "."));
            fs::write(&shown, value)?;
            tool(
                "mount",
                &[
                    "--bind",
                    &shown.display().to_string(),
                    &real.display().to_string(),
                ],
            )?;
        }
    }
    Ok(())
}

/// A network without a connection to the outside: loopback, and a link whose one end has the node's address.
fn network() -> Result<()> {
    for step in [
        "link set lo up".to_owned(),
        "link add node0 type veth peer name node1".into(),
        format!("address add {}/24 dev node0", crate::node::ADDRESS),
        "link set node0 up".into(),
        "link set node1 up".into(),
        // It leads nowhere, but without a default route the kernel would reject addresses of Services before kube-proxy's rules.
        "route add default dev node0".into(),
    ] {
        tool("ip", &step.split(' ').collect::<Vec<_>>())?;
    }
    for setting in ["net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet"] {
        fs::write(Path::new("/proc/sys").join(setting), "1").with_context(|| setting.to_owned())?;
    }
    Ok(())
}

fn tool(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| program.to_owned())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), text.trim());
    }
    Ok(())
}
