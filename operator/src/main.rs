//! `arxiv-operator`: runs ArxivQuery objects, exactly once and politely.

mod controller;
mod deliveries;
mod feeds;
mod fetch;
mod leader;
mod maintenance;
mod process;
mod run;
mod transfer;

use std::{
    io::{Write, stdout},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use service::{settings::Environment, traces::Traces};

use crate::{
    process::{check, migrate, settings},
    transfer::FeedCommand,
};

/// The resource definitions; a test of the crate `crd` compares them with the types.
const DEFINITIONS: [&str; 2] = [
    include_str!("../../crds/arxivqueries.yaml"),
    include_str!("../../crds/arxivfeeds.yaml"),
];

/// arXiv searches as Kubernetes jobs: the controller, the migrations, the resource definitions.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    logs: service::logs::LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the controller for ArxivQuery objects until SIGTERM or SIGINT.
    Run(Box<settings::RunArgs>),
    /// Creates or updates the tables, users and grants; safe to run again, also while the service runs.
    #[command(after_help = migrate::HELP)]
    Migrate,
    /// Checks that API servers are ready: `helm test` runs it. Needs neither databases nor Kubernetes.
    Check(check::CheckArgs),
    /// Moves the state of a feed (ArxivFeed) to another cluster, so that it goes on where it was.
    #[command(subcommand, after_help = transfer::HELP)]
    Feed(FeedCommand),
    /// Prints the resource definitions as YAML.
    Crd,
}

fn main() -> ExitCode {
    let cli = service::settings::command_line::<Cli>();
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", service::logs::with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<()> {
    // Two libraries use rustls: its cryptography is chosen once, before either uses it.
    let provider = rustls::crypto::ring::default_provider();
    if provider.install_default().is_err() {
        anyhow::bail!("a TLS crypto provider is installed already");
    }
    // With two worker threads, each wakes the other for short tasks, and a search takes 0.5 ms of CPU time in place of 0.4.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    let traces = {
        let _within = runtime.enter();
        match cli.command {
            Command::Run(_) => Traces::start("arxiv-operator", &Environment::of_process()),
            Command::Migrate | Command::Check(_) | Command::Feed(_) | Command::Crd => Ok(Traces::off()),
        }
    };
    let off = Traces::off();
    let levels = service::logs::init("operator", cli.logs, traces.as_ref().unwrap_or(&off))?;
    let traces = traces?;
    match cli.command {
        Command::Run(args) => {
            let ended = runtime.block_on(run::run(&args, levels));
            runtime.block_on(traces.end());
            ended
        }
        Command::Check(args) => runtime.block_on(check::check(&args)),
        Command::Feed(command) => runtime.block_on(transfer::feed(&command)),
        Command::Migrate => runtime.block_on(migrate::migrate()),
        Command::Crd => stdout()
            .write_all(DEFINITIONS.join("---\n").as_bytes())
            .context("the definitions cannot be written"),
    }
}
