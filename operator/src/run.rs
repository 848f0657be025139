//! `arxiv-operator run`: builds what the tasks use, starts them, and shuts them down in order.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use service::{
    health::{Checks, Liveness, Readiness},
    logs::LevelControl,
    metrics::Metrics as Registry,
    probe_server,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    leader::{
        election::{Election, Leadership},
        tasks::LeaderTasks,
    },
    process::{dependencies::Dependencies, metrics::Metrics, settings::RunArgs, supervisor::Supervisor},
};

/// The pause between two rounds of readiness checks that found all, and the one while something is not there.
const CHECK_PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(args: &RunArgs, levels: LevelControl) -> anyhow::Result<()> {
    let shutdown = service::signals::shutdown().context("signals cannot be handled")?;
    let (liveness, readiness) = (Liveness::default(), Readiness::default());
    let registry = Registry::with_prefix(crate::process::metrics::PREFIX);
    let metrics = Metrics::registered(&registry);
    readiness.register(&registry);
    let mut tasks = Supervisor::new(shutdown.clone());
    let health = service::health::router(liveness.clone(), readiness.clone());
    let address = args.listen;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen at {address}: is another process there? LISTEN names another address")
    })?;
    service::notice!("health and metrics on {}", listener.local_addr()?);
    let router = health.merge(service::metrics::router(registry));
    tasks.spawn("health server", probe_server::serve(listener, router));

    let stop = shutdown.clone();
    tasks.spawn("log level", async move {
        stop.run_until_cancelled(levels.follow()).await;
    });

    let mut checks = Checks::new(CHECK_PAUSES.0, CHECK_PAUSES.1);
    let dependencies = Dependencies::open(args, metrics, liveness, &readiness, &mut checks).await?;
    let dependencies = Arc::new(dependencies);
    let (checked, stop) = (readiness.clone(), shutdown.clone());
    tasks.spawn("readiness check", async move {
        stop.run_until_cancelled(checks.run(checked, None)).await;
    });
    tokio::select! {
        () = readiness.until_ready() => {}
        ended = tasks.supervise() => return ended,
    }
    let election = args
        .leader_election
        .then(|| Election::new(args, &dependencies, readiness));
    lead(&mut tasks, election.as_ref(), &dependencies, &shutdown).await?;
    service::notice!("shut down");
    Ok(())
}

/// Runs the tasks of the leader whenever this process leads, until the shutdown.
async fn lead(
    tasks: &mut Supervisor,
    election: Option<&Election>,
    dependencies: &Arc<Dependencies>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let leadership = match election {
            None => Leadership::without_election(&dependencies.metrics),
            Some(election) => tokio::select! {
                leadership = election.acquire() => leadership,
                ended = tasks.supervise() => return ended,
            },
        };
        dependencies.claims.forget();
        let mut leader = LeaderTasks::start(dependencies, shutdown);
        service::notice!("running");
        tokio::select! {
            ended = tasks.supervise() => ended?,
            ended = leader.supervise() => ended?,
            () = leadership.lost() => {
                service::notice!("not the leader any more: all work is aborted");
                leader.abort().await;
                continue;
            }
            () = dependencies.claims.lost() => {
                service::notice!("another installation has claimed queries that this one ran: all work is aborted and begins anew");
                leader.abort().await;
                leadership.release().await;
                continue;
            }
        }
        tokio::select! {
            ended = leader.finish() => ended?,
            () = leadership.lost() => tracing::warn!("not the leader any more: shutting down with work in progress"),
        }
        leadership.release().await;
        return Ok(());
    }
}
