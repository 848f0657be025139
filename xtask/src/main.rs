//! `cargo xtask …`: the one entry point for developers and CI.

mod bench;
mod chaos;
mod corpus;
mod crds;
mod e2e;
mod fuzz;
mod images;
mod lint;
mod local;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use local::{demo, up};
use tools::{cargo, output, sources, tool};

/// Runs, tests and checks the project on this machine.
///
/// Needs Rust, Go (for a Kubernetes control plane, built once in about five minutes) and PostgreSQL's server programs
/// (installed with apt-get when run by root on Debian). What takes long to build is kept in the user's cache folder
/// (`~/.cache/arxiv-operator`). If `KUBEBUILDER_ASSETS` is set, etcd, kube-apiserver and kubectl are taken from there.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Up(up::Arguments),
    Test(test::Arguments),
    Chaos(chaos::Arguments),
    Bench(bench::Arguments),
    Fuzz(fuzz::Arguments),
    Images(images::Arguments),
    E2e(e2e::Arguments),
    /// Checks formatting, lints, dependencies, generated files and documentation.
    ///
    /// Known vulnerabilities are not checked: that needs a database from the internet (`cargo deny check advisories`).
    Lint,
    /// Writes crds/*.yaml from the types in crates/crd.
    Crds,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Demo(arguments) => on_runtime(demo::run(arguments)).map(success),
        Command::Up(arguments) => on_runtime(up::run(arguments)).map(success),
        Command::Test(arguments) => on_runtime(test::run(arguments)),
        Command::Chaos(arguments) => on_runtime(chaos::run(arguments)),
        Command::Bench(arguments) => on_runtime(bench::run(arguments)),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Images(arguments) => images::run(&arguments).map(success),
        Command::E2e(arguments) => e2e::run(&arguments),
        Command::Lint => lint::run().map(success),
        Command::Crds => crds::write().map(success),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::progress(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn success((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn on_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
