//! What is done inside before a node can start: a network, and folders and settings that are not the machine's.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Where containerd, the network plug-ins and the kubelet leave things whatever they are told.
const FOLDERS: [&str; 3] = ["/run", "/var/lib", "/var/log"];
/// Settings of the whole machine that the kubelet would change to these values. It is shown that they are so already.
const KERNEL: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Makes the room what a node needs: nothing that is done in it reaches the machine.
pub fn furnish() -> Result<()> {
    ensure!(super::inside(), "the machine is not to be changed");
    network()?;
    for folder in FOLDERS {
        tool("mount", &["-t", "tmpfs", "room", folder])?;
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

/// A network with no way out: loopback, and a link whose one end has the node's address.
fn network() -> Result<()> {
    for step in [
        "link set lo up".to_owned(),
        "link add node0 type veth peer name node1".into(),
        format!("address add {}/24 dev node0", crate::node::ADDRESS),
        "link set node0 up".into(),
        "link set node1 up".into(),
        // Leads nowhere. Without a default route addresses of Services have none, and are not looked at.
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
        let told = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), told.trim());
    }
    Ok(())
}
