//! `cargo xtask up`: the whole system, until Ctrl-C.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;
use testbed::Stack;
use testbed::stack::Options;
use testbed::stack::prometheus::Prometheus;
use url::Url;

use super::{gitops, signals};
use crate::{cargo, output};

/// Starts the whole system on this machine and keeps it running.
///
/// Postgres (primary and streaming replica), a Kubernetes control plane, migrations, operators, API servers, and a fake
/// arXiv (POST {"mode": "503"} to its /_control changes its answers, GET /_record shows the requests it received).
/// When everything is ready, one line of JSON on standard output contains all addresses; progress goes to standard error.
/// An operator or API server that ends is restarted on the same port. Ctrl-C or SIGTERM stops everything.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Keep all state in this folder, and continue with the state that it contains. By default everything starts empty.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Use release builds.
    #[arg(long)]
    release: bool,
    /// Port of the first API server; a free one by default.
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,
    /// Minimum time between two requests to arXiv.
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    min_interval_ms: u64,
    /// Search endpoint of another arXiv. The fake arXiv is not started then.
    #[arg(long, value_name = "URL")]
    arxiv_url: Option<Url>,
    /// Number of operators.
    #[arg(long, value_name = "N", default_value_t = 1)]
    operators: usize,
    /// What an API server serves: all, frontend, backend, or a list of endpoints. Repeat it for each API server.
    #[arg(long, value_name = "LIST", default_value = "all")]
    serve: Vec<String>,
    /// Also run Flux, which applies what is committed to a Git repository on this machine. Its folder is in the JSON line.
    /// Flux is built once, in about five minutes.
    #[arg(long, conflicts_with = "data")]
    flux: bool,
    /// Also run Prometheus, which scrapes all processes and evaluates the chart's alerts. Its address is in the JSON line.
    /// It is built once, in about four minutes.
    #[arg(long)]
    prometheus: bool,
    /// A further environment variable of the operators and API servers.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    env: Vec<(String, String)>,
}

fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("is not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let binaries = cargo::build_binaries(arguments.release)?;
    // Only from here on: before, a signal may simply end the process.
    let end = signals::shutdown_signal()?;
    tokio::pin!(end);
    let options = Options {
        operators: arguments.operators,
        api_servers: arguments.serve,
        min_interval: Duration::from_millis(arguments.min_interval_ms),
        arxiv_url: arguments.arxiv_url,
        // kubectl's default namespace. Queries in other namespaces run too.
        namespace: Some("default".into()),
        cluster_wide: true,
        own_control_plane: true,
        fsync: arguments.data.is_some(),
        folder: arguments.data,
        binaries: Some(binaries),
        api_port: arguments.api_port,
        environment: arguments.env,
        ..Options::default()
    };
    output::progress("starting Postgres, Kubernetes, the operator and the API server");
    let stack = tokio::select! {
        started = Stack::start(options) => started?,
        () = &mut end => bail!("stopped before everything was ready"),
    };
    let mut description = describe(&stack)?;
    let flux = if arguments.flux {
        output::progress("starting Flux");
        let flux = tokio::select! {
            started = gitops::start(&stack) => started?,
            () = &mut end => bail!("stopped before everything was ready"),
        };
        description["git"] =
            json!({"files": flux.repository.files(), "url": flux.repository.url()?.as_str()});
        Some(flux)
    } else {
        None
    };
    let prometheus = if arguments.prometheus {
        output::progress("starting Prometheus");
        let prometheus = tokio::select! {
            started = prometheus(&stack) => started?,
            () = &mut end => bail!("stopped before everything was ready"),
        };
        description["prometheus_url"] = prometheus.url().as_str().trim_end_matches('/').into();
        Some(prometheus)
    } else {
        None
    };
    output::progress(&format!(
        "ready; logs are in {}",
        stack.folder().join("logs").display()
    ));
    output::result(&description.to_string());
    // They end first: the control plane does not end while Flux watches it.
    until_end(&stack, end, (flux, prometheus)).await
}

/// Restarts processes that end, until `end`, then stops everything: first what is dropped, which uses the stack.
pub(crate) async fn until_end<T>(stack: &Stack, end: impl Future<Output = ()>, dependents: T) -> Result<()> {
    tokio::select! {
        () = stack.supervise(output::progress) => {}
        () = end => {}
    }
    output::progress("stopping");
    drop(dependents);
    stack.stop().await
}

/// A Prometheus with the rules of the chart, as a release of these names would have them.
async fn prometheus(stack: &Stack) -> Result<Prometheus> {
    const INTERVAL: Duration = Duration::from_secs(5);
    let rules =
        tokio::task::spawn_blocking(|| chart::render("monitoring: {prometheusRule: {enabled: true}}"));
    let rules = rules.await??.only("PrometheusRule")?["spec"].clone();
    let targets = stack.targets(&format!("{}-arxiv-operator", chart::RELEASE), None);
    Prometheus::start(chart::NAMESPACE, &targets, &rules, INTERVAL).await
}

fn describe(stack: &Stack) -> Result<serde_json::Value> {
    let databases = &stack.databases;
    let pids = |services: &[testbed::stack::Service]| -> Vec<u32> {
        services.iter().map(|service| service.child().pid()).collect()
    };
    let metrics = stack
        .operators
        .first()
        .map(|operator| operator.url().join("/metrics"))
        .transpose()?;
    Ok(json!({
        "api": stack.api_url()?.as_str().trim_end_matches('/'),
        "kubeconfig": stack.control_plane().admin_kubeconfig(),
        "database_rw_url": databases.rw_url(),
        "database_ro_url": databases.ro_url(),
        "database_sequence_url": databases.sequence_url(),
        "database_admin_url": databases.admin_url(),
        "arxiv_url": stack.arxiv_url().as_str(),
        "operator_metrics": metrics.as_ref().map(Url::as_str),
        "pids": {
            "operator": pids(&stack.operators),
            "api_server": pids(&stack.api_servers),
            "postgres_primary": databases.primary.pid(),
            "postgres_replica": databases.replica.pid(),
            "kube_apiserver": stack.control_plane().api_server().pid(),
            "etcd": stack.control_plane().etcd().pid(),
        },
    }))
}
