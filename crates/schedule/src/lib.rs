//! The times of a schedule: five cron fields in a time zone, as of a CronJob.
//!
//! Around changes of clocks, a schedule with one time a day has it once each day, as Vixie's cron documents: if it is left
//! out when clocks are put forward, it comes right after the change; if it comes twice when they are put back, the first one
//! counts. A schedule with several hours or minutes goes by what clocks show: it has no time that is left out, and both of
//! what comes twice.

use std::{fmt, time::Duration};

use croner::{
    Cron,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

mod fields;

/// A text that is no schedule.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields of CronJob's syntax, nor a nickname.
    #[error(
        "the schedule {0:?} must be five fields, for example 17 6 * * 1-5, or a nickname, for example @daily"
    )]
    Syntax(String),
    /// A field with a value or a range that it cannot have.
    #[error(
        "a field of the schedule {0:?} has a value or a range that it cannot have: minute 0-59, hour 0-23, day of the month 1-31, \
         month 1-12, day of the week 0-7 from Sunday; the end of a range is not before its start"
    )]
    Value(String, #[source] CronError),
    /// No time ever comes: the 30th of February.
    #[error("the schedule {0:?} has no time that ever comes")]
    Never(String),
    /// Not in the IANA database.
    #[error("the time zone {0:?} is not in the IANA database")]
    TimeZone(String, #[source] jiff::Error),
}

/// A schedule in a time zone.
#[derive(Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Reads a schedule; `zone` is a name of the IANA database.
    pub fn new(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let syntax = || ScheduleError::Syntax(text.to_owned());
        let pattern = fields::read(text).ok_or_else(syntax)?;
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(&pattern)
            .map_err(|error| ScheduleError::Value(text.to_owned(), error))?;
        let zone = TimeZone::get(zone).map_err(|error| ScheduleError::TimeZone(zone.to_owned(), error))?;
        let schedule = Self { cron, zone };
        match schedule.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(text.to_owned())),
        }
    }

    /// The first time after this one.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&self.local(time), false);
        next.ok().map(|next| next.timestamp())
    }

    /// The last time up to this one.
    pub fn latest_until(&self, time: Timestamp) -> Option<Timestamp> {
        let latest = self.cron.find_previous_occurrence(&self.local(time), true);
        latest.ok().map(|latest| latest.timestamp())
    }

    fn local(&self, time: Timestamp) -> jiff::Zoned {
        time.to_zoned(self.zone.clone())
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The library's own is 50 kB long.
        write!(f, "Schedule({} in {:?})", self.cron.pattern, self.zone)
    }
}

/// The delay of everything that this object starts, in whole seconds up to `most`: the same one each time.
pub fn jitter(uid: Uuid, most: Duration) -> Duration {
    // The uid is random, but for six bits.
    let random = uid.as_u128() % u128::from(most.as_secs().saturating_add(1));
    Duration::from_secs(u64::try_from(random).unwrap_or(0))
}

#[cfg(test)]
mod tests;
