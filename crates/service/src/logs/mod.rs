//! Logs: one line an event, as text or as JSON, on standard error.
//!
//! Levels, most urgent first: ERROR, WARN, NOTICE, INFO, DEBUG. NOTICE is one line for each call of an endpoint and
//! for what an operator of the system wants to see in normal running; INFO the calls within; DEBUG what they returned.
//! `tracing` has no NOTICE: [`notice!`](crate::notice) writes an INFO event with a target of its own.
//!
//! Two fields have a place of their own in the line: `component` (else the process's own, see [`init`]) and `origin`
//! (else the module that logs).

mod call;
mod change;
mod fields;
mod format;
mod level;

pub use call::Call;
pub use change::LevelControl;
pub use level::{InvalidLevels, Level, Levels};

use std::{error::Error, io, iter::successors, path::PathBuf};

use clap::{Args, ValueEnum};
use tracing_subscriber::{fmt, layer::SubscriberExt, reload, util::SubscriberInitExt, util::TryInitError};

use crate::traces::Traces;

/// The target of NOTICE events.
pub const NOTICE_TARGET: &str = "notice";
/// The target of the access log: one line for each request that has ended, at NOTICE (INFO of `tracing`), or at DEBUG if
/// it was a probe or a scrape.
pub const ACCESS_TARGET: &str = "access";

/// Logs at NOTICE, the level between WARN and INFO. Takes what `tracing::info!` takes.
#[macro_export]
macro_rules! notice {
    ($($arguments:tt)+) => { ::tracing::info!(target: "notice", $($arguments)+) };
}

/// The settings of the log.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// The least urgent level that is logged: error, warn, notice, info or debug; and other ones for parts of the program,
    /// like `notice,storage=debug,access=off`.
    #[arg(long, env = "LOG_LEVEL", default_value = "notice")]
    pub log_level: Levels,
    /// A file with what takes the place of `LOG_LEVEL`, which is read again and again.
    #[arg(long, env = "LOG_LEVEL_FILE")]
    pub log_level_file: Option<PathBuf>,
    /// The format of a line.
    #[arg(long, env = "LOG_FORMAT", ignore_case = true, default_value = "text")]
    pub log_format: Format,
}

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `2024-05-06 18:58:09,788 NOTICE frontend - arxiv.search - search(title="Budapest"): called`
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for this process, and making its traces; `component` is written in every line whose event does not name its own.
pub fn init(
    component: &'static str,
    settings: LogArgs,
    traces: &Traces,
) -> Result<LevelControl, TryInitError> {
    let format = settings.log_format;
    let (filter, handle) = reload::Layer::new(settings.log_level.filter());
    let layer = fmt::layer()
        .fmt_fields(fields::Unformatted)
        .event_format(format::LineFormat { component, format })
        .with_writer(io::stderr);
    tracing_subscriber::registry()
        .with(filter)
        .with(traces.layer())
        .with(fields::KeepSpanFields)
        .with(layer)
        .try_init()?;
    Ok(LevelControl::new(
        handle,
        settings.log_level,
        settings.log_level_file,
    ))
}

/// The text of an error and of the errors that caused it: `outer: cause: cause of the cause`. A cause whose text is part
/// of the text before it is left out. For logs only: causes name hosts and users, which callers should not see.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
