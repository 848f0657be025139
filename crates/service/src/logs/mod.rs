//! Logs: one line an event, as text or as JSON, on standard error.
//!
//! Levels, most urgent first: ERROR, WARN, NOTICE, INFO, DEBUG. NOTICE is one line for each call of an endpoint and
//! for what an operator of the system wants to see in normal running; INFO the calls within; DEBUG what they returned.
//! `tracing` has no NOTICE: [`notice!`](crate::notice) writes an INFO event with a target of its own.
//!
//! Two fields have a place of their own in the line: `component` (else the process's own, see [`init`]) and `origin`
//! (else the module that logs).

mod call;
mod format;

pub use call::Call;

use std::{error::Error, io, iter::successors};

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt, util::TryInitError,
};

/// The target of NOTICE events.
pub const NOTICE_TARGET: &str = "notice";

/// Logs at NOTICE, the level between WARN and INFO. Takes what `tracing::info!` takes.
#[macro_export]
macro_rules! notice {
    ($($arguments:tt)+) => { ::tracing::info!(target: "notice", $($arguments)+) };
}

/// The settings of the log.
#[derive(Args, Clone, Copy, Debug)]
pub struct LogArgs {
    /// The least urgent level that is logged.
    #[arg(long, env = "LOG_LEVEL", ignore_case = true, default_value = "notice")]
    pub log_level: Level,
    /// The format of a line.
    #[arg(long, env = "LOG_FORMAT", ignore_case = true, default_value = "text")]
    pub log_format: Format,
}

/// The levels, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something failed and will be tried again.
    #[value(alias = "warning")]
    Warn,
    /// One line for each call of an endpoint.
    Notice,
    /// The calls within, with their parameters.
    Info,
    /// What they returned, together with their parameters.
    Debug,
}

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `2024-05-06 18:58:09,788 NOTICE frontend - arxiv.search - search(title="Budapest"): called`
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for this process; `component` is written in every line whose event does not name its own.
pub fn init(component: &'static str, settings: LogArgs) -> Result<(), TryInitError> {
    let format = settings.log_format;
    let layer = fmt::layer()
        .fmt_fields(format::SpanFields)
        .event_format(format::LineFormat { component, format })
        .with_writer(io::stderr);
    tracing_subscriber::registry()
        .with(filter(settings.log_level))
        .with(layer)
        .try_init()
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

/// What passes at a level. Libraries never get below WARN: their INFO is not ours, and their DEBUG may hold headers.
fn filter(level: Level) -> Targets {
    const OURS: [&str; 8] = [
        "arxiv",
        "arxiv_api_server",
        "arxiv_operator",
        "cluster",
        "databases",
        "service",
        "storage",
        "upstream",
    ];
    let (ours, notice) = match level {
        Level::Error => (LevelFilter::ERROR, LevelFilter::WARN),
        Level::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        Level::Notice => (LevelFilter::WARN, LevelFilter::INFO),
        Level::Info => (LevelFilter::INFO, LevelFilter::INFO),
        Level::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
    };
    Targets::new()
        .with_default(ours.min(LevelFilter::WARN))
        // It logs each new connection that a check of ours refuses; readiness logs that once.
        .with_target("sqlx::pool", LevelFilter::OFF)
        .with_targets(OURS.map(|target| (target, ours)))
        .with_target(NOTICE_TARGET, notice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level as Tracing;

    #[test]
    fn level_passes_itself_and_more_urgent_ones() {
        let cases = [
            (Level::Error, [true, false, false, false, false]),
            (Level::Warn, [true, true, false, false, false]),
            (Level::Notice, [true, true, true, false, false]),
            (Level::Info, [true, true, true, true, false]),
            (Level::Debug, [true, true, true, true, true]),
        ];
        for (level, passes) in cases {
            let filter = filter(level);
            let events = [
                ("arxiv_operator::steps", Tracing::ERROR),
                ("arxiv_operator::steps", Tracing::WARN),
                (NOTICE_TARGET, Tracing::INFO),
                ("arxiv_operator::steps", Tracing::INFO),
                ("arxiv_operator::steps", Tracing::DEBUG),
            ];
            assert_eq!(
                events.map(|(target, at)| filter.would_enable(target, &at)),
                passes,
                "{level:?}"
            );
            assert!(!filter.would_enable("hyper::client", &Tracing::INFO), "{level:?}");
        }
    }
}
