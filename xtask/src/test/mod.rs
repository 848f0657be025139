//! `cargo xtask test`: all tests, on a real control plane and real Postgres.
//!
//! Test programs are built once and run several at a time, because most tests wait for servers: one program after the other,
//! as `cargo test` runs them, leaves two thirds of the CPU time of two cores unused. A run is: [`arguments`] → [`programs`]
//! (built and asked for their tests) → [`units`] (what is run as one process, in which order) → [`pool`] ([`admission`]: how
//! many at once) → [`process`] and [`libtest`] (the end of each) → [`report`].
//!
//! cargo-nextest is not used: it runs each test in a process of its own, and here tests of one module share servers.

mod admission;
mod arguments;
mod libtest;
mod machine;
mod pool;
mod process;
mod programs;
mod report;
mod times;
mod units;

use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::OptionFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use testbed::ControlPlane;
use testbed::control_plane::SHARED;
use testbed::control_plane::Toolchain;
use tokio::sync::oneshot;

use crate::local::signals;
use crate::{cargo, output};
use arguments::Selection;
use machine::CpuTime;
use pool::Pool;
use process::{Ended, Setup};
use programs::Program;
use times::Times;
use units::{Unit, Work};

/// Longer than any unit takes on a busy machine; for what a person has selected, long forms of tests too.
const LIMIT: Duration = Duration::from_mins(10);
const LIMIT_OF_SELECTED: Duration = Duration::from_hours(1);
/// From so many processes on, one control plane for all of them costs less than that each of them starts its own.
const WORTH_SHARING: usize = 3;
/// Before either was ever run.
const DOC_GUESS: Duration = Duration::from_secs(30);
const NODE_GUESS: Duration = Duration::from_mins(4);

/// Runs all tests on a real control plane and real Postgres, and the short form of `e2e`, where the machine allows a node.
///
/// Ends with the line `N passed, N failed`, and fails when a test did. All output is kept in `target/xtask-test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// As for `cargo test`, for example `-p storage` or `-- --nocapture gate`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let selection = Selection::parse(&arguments.rest);
    // Even a panic must not keep the result from being shown.
    let (passed, failed) = match AssertUnwindSafe(run_selection(&selection)).catch_unwind().await {
        Ok(Ok(sum)) => sum,
        Ok(Err(error)) => {
            output::progress(&format!("error: {error:#}"));
            (0, 1)
        }
        // The panic has been shown already.
        Err(_) => (0, 1),
    };
    output::result(&format!("{passed} passed, {failed} failed"));
    // Nothing may come after that line: the exit code has to do.
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Gives how many tests passed and failed.
async fn run_selection(selection: &Selection) -> Result<(u64, u64)> {
    let mut stop = pin!(signals::shutdown_signal()?);
    let (begun, cpu) = (Instant::now(), CpuTime::now());
    let prepared = tokio::select! {
        prepared = prepare(selection) => prepared?,
        () = &mut stop => bail!("asked to end before the tests were built"),
    };
    say_use("built", begun, cpu);
    let (begun, cpu) = (Instant::now(), CpuTime::now());
    let mut times = prepared.times;
    let pool = Pool::new(
        prepared.units,
        &prepared.setup,
        prepared.node_ready,
        selection.shows_output,
    );
    let stop: Pin<&mut _> = stop;
    let (ended, not_run) = pool.run(stop).await;
    report_all(&ended);
    for (name, time) in report::times(&ended) {
        times.set(name, time);
    }
    if let Err(error) = times.save() {
        output::progress(&format!("the times of tests are not remembered: {error:#}"));
    }
    say_use("tested", begun, cpu);
    let sum = |count: fn(&Ended) -> u64| ended.iter().map(count).sum::<u64>();
    let failed = sum(|ended| ended.results.failed);
    Ok((
        sum(|ended| ended.results.passed),
        failed + u64::try_from(not_run)?,
    ))
}

/// All that a run needs.
struct Prepared {
    units: Vec<Unit>,
    setup: Setup,
    times: Times,
    node_ready: Option<oneshot::Receiver<()>>,
    // Ends with the run.
    _control_plane: Option<ControlPlane>,
}

async fn prepare(selection: &Selection) -> Result<Prepared> {
    testbed::postgres::ensure_installed()?;
    let node = selection.everything && node_is_possible();
    // On a thread that does not keep this process from ending.
    let (toolchain, node_ready) = (oneshot::channel(), oneshot::channel());
    in_background(async move || {
        let _ = toolchain.0.send(Toolchain::ready().await.map(drop));
        if node {
            // What it lacks, the run on the node says itself.
            let _ = e2e::node::prepare().await;
        }
        let _ = node_ready.0.send(());
    })?;
    let control_plane = async {
        toolchain.1.await.context("the programs of the control plane")??;
        // For a selection it is not known yet whether there is more than one program.
        let plane = selection.everything.then(ControlPlane::start);
        anyhow::Ok(OptionFuture::from(plane).await.transpose()?)
    };
    let built = async {
        let programs = if selection.builds {
            programs::build(&selection.cargo).await?
        } else {
            Vec::new()
        };
        // What tests start: not all of it is built for the tests of one package.
        let binaries = tokio::task::spawn_blocking(|| cargo::build_binaries(false)).await??;
        anyhow::Ok((programs, binaries))
    };
    let (mut control_plane, (programs, binaries)) = tokio::try_join!(control_plane, built)?;

    let target = binaries.parent().unwrap_or(&binaries);
    let logs = target.join("xtask-test");
    std::fs::create_dir_all(&logs)?;
    let times = Times::load(&logs.join("times.json"));
    let mut units = Vec::new();
    if selection.programs {
        units = units_of(&programs, selection, &times).await?;
    }
    if control_plane.is_none() && units.len() >= WORTH_SHARING {
        control_plane = Some(ControlPlane::start().await?);
    }
    let mut add = |work: Work, name: &str, guess, timed| {
        units.push(Unit {
            name: name.to_owned(),
            work,
            estimate: times.of(name).unwrap_or(guess),
            timed,
        });
    };
    if selection.doc {
        add(Work::Doc, "documentation tests", DOC_GUESS, false);
    }
    if node {
        let name = "the chart on a real node (cargo xtask e2e --short --dev)";
        add(Work::Node, name, NODE_GUESS, false);
    }
    Unit::sort(&mut units);
    let shared = control_plane.as_ref().map(ControlPlane::share).transpose()?;
    Ok(Prepared {
        units,
        setup: Setup {
            logs,
            cargo: selection.cargo.clone(),
            program: selection.program.clone(),
            xtask: binaries.join("xtask"),
            control_plane: shared.map(|folder| (SHARED, folder.to_owned())),
            limit: if selection.everything {
                LIMIT
            } else {
                LIMIT_OF_SELECTED
            },
        },
        times,
        node_ready: node.then_some(node_ready.1),
        _control_plane: control_plane,
    })
}

/// The units of all programs that have tests to run.
async fn units_of(programs: &[Program], selection: &Selection, times: &Times) -> Result<Vec<Unit>> {
    const AT_ONCE: usize = 4;
    let arguments = &selection.program;
    let listed: Vec<Vec<String>> = stream::iter(programs.iter().map(|program| program.tests(arguments)))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    // What a person selects is not divided.
    let whole = !arguments.is_empty();
    let pairs = programs.iter().zip(listed);
    Ok(pairs
        .flat_map(|(program, tests)| Unit::of_program(program, &tests, times, whole))
        .collect())
}

fn node_is_possible() -> bool {
    let missing = e2e::sandbox::missing();
    if let Some(reason) = &missing {
        output::progress(&format!(
            "\n*** NOT TESTED: the chart on a real node (`cargo xtask e2e`). This machine cannot have one: {reason}\n"
        ));
    }
    missing.is_none()
}

/// Runs something that may take minutes on a thread of its own.
fn in_background<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || runtime.block_on(work()));
    Ok(())
}

fn report_all(ended: &[Ended]) {
    let failures = report::failures(ended);
    if !failures.is_empty() {
        output::result(&failures);
    }
    output::result(&report::slowest(report::times(ended)));
}

/// How long a part of the run took, and how busy the cores were.
fn say_use(what: &str, begun: Instant, cpu: Option<CpuTime>) {
    let mut line = format!("{what} in {}", report::clock(begun.elapsed()));
    if let Some(used) = CpuTime::now()
        .zip(cpu)
        .and_then(|(now, before)| now.used_since(before))
    {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let _ = write!(line, ", with {:.0} % of {cores} cores in use", used * 100.0);
    }
    output::result(&line);
}
