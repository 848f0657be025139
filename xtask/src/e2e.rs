//! `cargo xtask e2e`: the chart on a real node.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use e2e::test_images::Programs;

use crate::{cargo, output};

/// Installs the Helm chart with the shipped images on a real Kubernetes node on this machine, and uses it as users do.
///
/// The node is containerd, the kubelet and Kubernetes' controllers in their own Linux namespaces, built from Go modules (about
/// ten minutes, once) and Debian packages. The databases run next to it, the fake arXiv as a pod. Steps: install and helm
/// test; the main job by kubectl and REST; the three modes; upgrade and rollback under load; a pod killed under load; a
/// drain; the autoscaler up and down; uninstall and install again. Needs root, for the namespaces.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only install, the main job in one mode, and one scale-up.
    #[arg(long)]
    short: bool,
    /// Use the programs that tests use instead of the shipped images. Saves waiting for a release build.
    #[arg(long)]
    dev: bool,
    /// The folder for the images and the autoscaler's timeline.
    #[arg(long, value_name = "DIR", default_value = "target/e2e")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if e2e::sandbox::inside() {
        let on_node = async {
            e2e::sandbox::set_up()?;
            steps(arguments).await
        };
        return crate::on_runtime(on_node).map(|()| ExitCode::SUCCESS);
    }
    if let Some(reason) = e2e::sandbox::missing() {
        anyhow::bail!("this machine cannot run a node: {reason}");
    }
    testbed::postgres::ensure_installed()?;
    crate::on_runtime(e2e::node::prepare())?;
    chart::helm()?;
    let programs = if arguments.dev {
        Programs::Built(cargo::build_binaries(false)?)
    } else {
        Programs::Shipped
    };
    e2e::test_images::build(&out(arguments), &programs)?;
    let status = e2e::sandbox::enter(std::env::args_os().skip(1))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn steps(arguments: &Arguments) -> Result<()> {
    let out = out(arguments);
    let images = e2e::test_images::built(&out)?;
    let report = e2e::steps::run(&images, arguments.short).await?;
    for (step, took, outcome) in &report.steps {
        let text = match outcome {
            Ok(found) => found.trim_end(),
            Err(_) => "FAILED, see above",
        };
        output::result(&format!("{step} ({:.0} s): {text}", took.as_secs_f64()));
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
