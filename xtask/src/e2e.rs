//! `cargo xtask e2e`: the chart on a real cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use e2e::cluster::{Cluster, Kind};
use e2e::parts::Programs;

use crate::{cargo, output, signals};

/// Installs the Helm chart on a real node on this machine, with the images that are shipped, and does to it what users do.
///
/// The node is containerd, the kubelet and the controllers of Kubernetes in namespaces of their own, built from Go modules
/// (about ten minutes, once) and Debian's packages; databases run beside it, arXiv's stand-in as a pod. Steps: install and
/// helm test; the main job by kubectl and REST; the three modes; upgrade and rollback under load; a pod killed under load; a
/// drain; the autoscaler up and down; uninstall and back. Needs root, for the namespaces.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only install, the main job in one mode, and one scale-up.
    #[arg(long)]
    short: bool,
    /// In kind, with your own `docker`, `kind` and `kubectl`, in place of a node on this machine. Network policies are tried there.
    #[arg(long)]
    kind: bool,
    /// With the programs as tests build them in place of the shipped images: there is no release build to wait for.
    #[arg(long)]
    dev: bool,
    /// Where the images and the autoscaler's timeline go.
    #[arg(long, value_name = "DIR", default_value = "target/e2e")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if e2e::room::inside() {
        let on_node = async {
            e2e::room::furnish()?;
            steps(arguments).await
        };
        return crate::on_runtime(on_node).map(|()| ExitCode::SUCCESS);
    }
    let missing = if arguments.kind {
        Kind::missing()
    } else {
        e2e::room::missing().map(|reason| format!("this machine cannot have a node: {reason}"))
    };
    if let Some(reason) = missing {
        anyhow::bail!("{reason}");
    }
    testbed::postgres::ensure_installed()?;
    if !arguments.kind {
        crate::on_runtime(e2e::node::prepare())?;
    }
    chart::helm()?;
    let programs = if arguments.dev {
        Programs::Built(cargo::build_binaries(false)?)
    } else {
        Programs::Shipped
    };
    e2e::parts::build(&out(arguments), &programs)?;
    if arguments.kind {
        let in_docker = async {
            let asked_to_end = signals::asked_to_end()?;
            tokio::select! {
                done = steps(arguments) => done,
                // The cluster goes with the steps.
                () = asked_to_end => anyhow::bail!("asked to end"),
            }
        };
        return crate::on_runtime(in_docker).map(|()| ExitCode::SUCCESS);
    }
    let status = e2e::room::enter(std::env::args_os().skip(1))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn steps(arguments: &Arguments) -> Result<()> {
    let out = out(arguments);
    let parts = e2e::parts::built(&out)?;
    let cluster = async {
        if arguments.kind {
            Cluster::kind(&parts).await
        } else {
            Cluster::node(&parts).await
        }
    };
    let report = e2e::steps::run(cluster, arguments.short).await?;
    for (step, took, outcome) in &report.steps {
        let told = match outcome {
            Ok(found) => found.trim_end(),
            Err(_) => "FAILED, see above",
        };
        output::result(&format!("{step} ({:.0} s): {told}", took.as_secs_f64()));
    }
    report.timeline.write(&out)?;
    anyhow::ensure!(report.passed(), "not all steps passed");
    output::result(&format!(
        "all steps passed; the autoscaler's timeline is in {}, as .csv and .svg",
        out.join("autoscaler").display()
    ));
    Ok(())
}

fn out(arguments: &Arguments) -> PathBuf {
    cargo::root().join(&arguments.out)
}
