//! Which lines are logged.

use std::{fmt, str::FromStr};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::{ACCESS_TARGET, NOTICE_TARGET};

/// The crates of this project that log.
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
/// What turns a part off.
const OFF: &str = "off";

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

/// The least urgent level that is logged, and other ones for parts: `notice,storage=debug,access=off`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    level: Level,
    /// None for a part that is off.
    parts: Vec<(&'static str, Option<Level>)>,
}

/// Why a text says no levels.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLevels {
    /// The text begins with something else.
    #[error("{0:?} is no level: it must be error, warn, notice, info or debug")]
    Level(String),
    /// Another part has no level.
    #[error("{0:?} is not like PART=LEVEL, with a level that is off, error, warn, notice, info or debug")]
    PartLevel(String),
    /// There is no such part.
    #[error("{0:?} is no part of this program that logs; parts are access and {ours}", ours = OURS.join(", "))]
    Part(String),
}

impl FromStr for Levels {
    type Err = InvalidLevels;

    fn from_str(text: &str) -> Result<Self, InvalidLevels> {
        let shown = |text: &str| text.chars().take(64).collect();
        let mut words = text.split(',').map(str::trim);
        let first = words.next().unwrap_or_default();
        let level = Level::from_str(first, true).map_err(|_| InvalidLevels::Level(shown(first)))?;
        let mut parts = Vec::new();
        for word in words {
            let invalid = || InvalidLevels::PartLevel(shown(word));
            let (part, level) = word.split_once('=').ok_or_else(invalid)?;
            let level = if level.eq_ignore_ascii_case(OFF) {
                None
            } else {
                Some(Level::from_str(level, true).map_err(|_| invalid())?)
            };
            let mut known = OURS.into_iter().chain([ACCESS_TARGET]);
            let part = known.find(|known| *known == part);
            let part = part.ok_or_else(|| InvalidLevels::Part(shown(word)))?;
            parts.retain(|(other, _)| *other != part);
            parts.push((part, level));
        }
        Ok(Self { level, parts })
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Some(self.level)))?;
        self.parts
            .iter()
            .try_for_each(|(part, level)| write!(f, ",{part}={}", name_of(*level)))
    }
}

fn name_of(level: Option<Level>) -> &'static str {
    match level {
        None => OFF,
        Some(Level::Error) => "error",
        Some(Level::Warn) => "warn",
        Some(Level::Notice) => "notice",
        Some(Level::Info) => "info",
        Some(Level::Debug) => "debug",
    }
}

impl Level {
    /// What passes of our own events, and of those with the targets of NOTICE and of the access log.
    fn filters(self) -> (LevelFilter, LevelFilter) {
        match self {
            Self::Error => (LevelFilter::ERROR, LevelFilter::WARN),
            Self::Warn => (LevelFilter::WARN, LevelFilter::WARN),
            Self::Notice => (LevelFilter::WARN, LevelFilter::INFO),
            Self::Info => (LevelFilter::INFO, LevelFilter::INFO),
            Self::Debug => (LevelFilter::DEBUG, LevelFilter::DEBUG),
        }
    }
}

impl Levels {
    /// What passes. Libraries never get below WARN: their INFO is not ours, and their DEBUG may hold headers. Spans pass
    /// always, as they are of the most urgent level, and a part that is off still has its errors.
    pub(super) fn filter(&self) -> Targets {
        let (ours, notice) = self.level.filters();
        let targets = Targets::new()
            .with_default(ours.min(LevelFilter::WARN))
            // It logs each new connection that a check of ours refuses; readiness logs that once.
            .with_target("sqlx::pool", LevelFilter::OFF)
            .with_targets(OURS.map(|target| (target, ours)))
            .with_target(NOTICE_TARGET, notice)
            .with_target(ACCESS_TARGET, notice);
        self.parts.iter().fold(targets, |targets, (part, level)| {
            let (ours, notice) = level.map_or((LevelFilter::ERROR, LevelFilter::OFF), Level::filters);
            let passes = if *part == ACCESS_TARGET { notice } else { ours };
            targets.with_target(*part, passes)
        })
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level as Tracing;

    use super::*;

    fn passes(levels: &str) -> [bool; 7] {
        let filter = levels.parse::<Levels>().unwrap().filter();
        [
            ("arxiv_operator::steps", Tracing::ERROR),
            ("arxiv_operator::steps", Tracing::WARN),
            (NOTICE_TARGET, Tracing::INFO),
            (ACCESS_TARGET, Tracing::INFO),
            ("arxiv_operator::steps", Tracing::INFO),
            ("storage::gate", Tracing::DEBUG),
            (ACCESS_TARGET, Tracing::DEBUG),
        ]
        .map(|(target, at)| filter.would_enable(target, &at))
    }

    #[test]
    fn level_passes_itself_and_more_urgent_ones() {
        for (levels, expected) in [
            ("error", [true, false, false, false, false, false, false]),
            ("warn", [true, true, false, false, false, false, false]),
            ("WARNING", [true, true, false, false, false, false, false]),
            ("notice", [true, true, true, true, false, false, false]),
            ("info", [true, true, true, true, true, false, false]),
            ("debug", [true, true, true, true, true, true, true]),
            (
                "notice,storage=debug",
                [true, true, true, true, false, true, false],
            ),
            (
                "notice, access=off",
                [true, true, true, false, false, false, false],
            ),
            (
                "warn,access=notice",
                [true, true, false, true, false, false, false],
            ),
            (
                "debug,arxiv_operator=off",
                [true, false, true, true, false, true, true],
            ),
        ] {
            assert_eq!(passes(levels), expected, "{levels}");
            let filter = levels.parse::<Levels>().unwrap().filter();
            assert!(!filter.would_enable("hyper::client", &Tracing::INFO), "{levels}");
        }
    }

    #[test]
    fn levels_are_written_as_they_are_read() {
        for text in ["notice", "warn,storage=debug,access=off"] {
            assert_eq!(text.parse::<Levels>().unwrap().to_string(), text);
        }
        let last: Levels = "info,storage=off,storage=info".parse().unwrap();
        assert_eq!(last.to_string(), "info,storage=info");
    }

    #[test]
    fn invalid_levels_are_refused_with_what_is_wrong() {
        for (text, named) in [
            ("", "\"\" is no level"),
            ("verbose", "\"verbose\" is no level"),
            ("storage=debug", "is no level"),
            ("notice,debug", "\"debug\" is not like PART=LEVEL"),
            ("notice,storage=loud", "is not like PART=LEVEL"),
            // Its DEBUG may hold credentials.
            ("notice,hyper=debug", "parts are access and arxiv,"),
        ] {
            let error = text.parse::<Levels>().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let long = "x".repeat(100_000).parse::<Levels>().unwrap_err();
        assert!(long.to_string().len() < 200);
    }
}
