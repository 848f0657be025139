//! Dates: those of /queries, in and out, in a fixed offset from UTC; and those of searches, in UTC.

use std::{ops::RangeInclusive, str::FromStr};

use jiff::{SignedDuration, civil::DateTime};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// The valid dates, local and in UTC: years 1 to 9999, as in Python.
const FIRST: DateTime = DateTime::constant(1, 1, 1, 0, 0, 0, 0);
const LAST: DateTime = DateTime::constant(9999, 12, 31, 23, 59, 59, 0);
/// No clock on earth is further from UTC.
const MAX_OFFSET_MINUTES: i64 = 24 * 60 - 1;

/// A fixed offset from UTC; no daylight saving.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Zone {
    offset: SignedDuration,
}

/// Why a text is no [`Zone`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is no offset from UTC in hours, such as 2, -5 or 5.5; quarters of an hour are the finest")]
pub struct NoZone;

/// Which end of a range a date is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RangeEnd {
    /// A date alone means its first second.
    Start,
    /// A date alone means its last second.
    End,
}

/// A date and time as `2024-03-31T02:00:00`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DateText([u8; 19]);

impl DateText {
    /// A year of up to four digits. Written by hand, as a `strftime` for each of a thousand rows takes as long as reading
    /// them.
    fn of(date: DateTime) -> Self {
        let mut text = *b"0000-00-00T00:00:00";
        let mut put = |at: usize, number: i16| {
            for (byte, digit) in text[at..at + 2].iter_mut().zip([number / 10, number % 10]) {
                *byte = b"0123456789"[usize::from(digit.unsigned_abs() % 10)];
            }
        };
        put(0, date.year() / 100);
        put(2, date.year() % 100);
        let others = [
            date.month(),
            date.day(),
            date.hour(),
            date.minute(),
            date.second(),
        ];
        for (at, number) in [5, 8, 11, 14, 17].into_iter().zip(others) {
            put(at, number.into());
        }
        Self(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        // Always, as it is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The unix seconds of a date of a search: a date alone, which is one of UTC, or a date and time in any form of RFC 3339,
/// as [`Zone::parse`] reads them.
pub fn of_search(text: &str, bound: RangeEnd) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let has_digits = date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let is_whole = time.is_empty() || time.get(1..).is_some_and(is_full_time);
    Zone::UTC.parse(text, bound).filter(|_| has_digits && is_whole)
}

impl Zone {
    /// UTC itself.
    pub const UTC: Self = Self {
        offset: SignedDuration::ZERO,
    };

    /// The unix seconds of a date: `2024-03-31T02:00:00` as `strptime` reads it (in this zone), in any form of RFC 3339, or
    /// a date alone. A fraction of a second is rounded into the range.
    pub fn parse(self, text: &str, bound: RangeEnd) -> Option<i64> {
        // RFC 3339 allows a space, but `strptime` none, so it has to have an offset then.
        let with_space = || {
            text.split_once(' ')
                .filter(|(date, time)| date.len() == 10 && is_full_time(time))
        };
        let (date, (clock, offset)) = match (text.split_once(['T', 't']).or_else(with_space), bound) {
            (Some((date, time)), _) => (date, split_offset(time)?),
            (None, RangeEnd::Start) => (text, ("00:00:00", None)),
            (None, RangeEnd::End) => (text, ("23:59:59", None)),
        };
        let (clock, has_fraction) = split_fraction(clock)?;
        // A leap second counts as the one before, as unix time has none.
        let clock = match clock.strip_suffix(":60").filter(|_| offset.is_some()) {
            Some(minute) => format!("{minute}:59"),
            None => clock.to_owned(),
        };
        let after_fraction = i64::from(has_fraction && bound == RangeEnd::Start);
        let local = date_time(date, &clock)?
            .checked_add(SignedDuration::from_secs(after_fraction))
            .ok()?;
        let utc = local.checked_sub(offset.unwrap_or(self.offset)).ok()?;
        (FIRST..=LAST)
            .contains(&utc)
            .then(|| utc.duration_since(EPOCH).as_secs())
    }

    /// The date of these unix seconds; `None` outside years 1 to 9999.
    pub fn format(self, seconds: i64) -> Option<DateText> {
        let since = SignedDuration::from_secs(seconds).checked_add(self.offset)?;
        let local = EPOCH.checked_add(since).ok()?;
        (FIRST..=LAST).contains(&local).then(|| DateText::of(local))
    }

    /// The unix seconds that have a date.
    pub fn range(self) -> (i64, i64) {
        let seconds = |local: DateTime| (local.duration_since(EPOCH) - self.offset).as_secs();
        (seconds(FIRST), seconds(LAST))
    }
}

impl FromStr for Zone {
    type Err = NoZone;

    /// Hours with a sign or none, to a quarter: `2`, `-5`, `+5.5`, `5.75`.
    fn from_str(text: &str) -> Result<Self, NoZone> {
        let text = text.trim();
        let (sign, amount) = match text.strip_prefix('-') {
            Some(amount) => (-1, amount),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (hours, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
        let hours: i64 = number(hours, 1..=2).ok_or(NoZone)?;
        let minutes = match fraction.trim_end_matches('0') {
            "" if !fraction.is_empty() => 0,
            "25" => 15,
            "5" => 30,
            "75" => 45,
            _ => return Err(NoZone),
        };
        let minutes = hours * 60 + minutes;
        (minutes <= MAX_OFFSET_MINUTES)
            .then(|| Self {
                offset: SignedDuration::from_mins(sign * minutes),
            })
            .ok_or(NoZone)
    }
}

/// What somebody may have meant by a text that is no date, as the rest of a sentence; empty for anything else.
pub fn hint(text: &str) -> &'static str {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // `2024-03-31T02:00:00 02:00`, where there was a + before the address was read.
    let lost_plus = || {
        text.rsplit_once(' ')
            .map(|(time, offset)| format!("{time}+{offset}"))
    };
    if is_number && text.len() > 11 {
        "; these look like unix milliseconds"
    } else if is_number {
        "; these look like unix seconds"
    } else if lost_plus().is_some_and(|text| Zone::default().parse(&text, RangeEnd::Start).is_some()) {
        "; in an address + means a space, so write it as %2B"
    } else {
        ""
    }
}

/// Whether a time of RFC 3339 has an offset.
fn is_full_time(time: &str) -> bool {
    split_offset(time).is_some_and(|(_, offset)| offset.is_some())
}

/// The time without its fraction of a second, and whether that is more than 0.
fn split_fraction(clock: &str) -> Option<(&str, bool)> {
    let Some((whole, fraction)) = clock.split_once('.') else {
        return Some((clock, false));
    };
    let is_number = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    (is_number && full(whole)).then(|| (whole, fraction.bytes().any(|b| b != b'0')))
}

/// `strptime`'s `%Y-%m-%d` and `%H:%M:%S`: the year has four digits, the others one or two, and a day of one digit may
/// have a space before it.
fn date_time(date: &str, clock: &str) -> Option<DateTime> {
    let [year, month, day] = fields(date, '-')?;
    let [hour, minute, second] = fields(clock, ':')?;
    let day = day.strip_prefix(' ').filter(|day| day.len() == 1).unwrap_or(day);
    let short = |text| number(text, 1..=2);
    let (month, day) = (short(month)?, short(day)?);
    let time = (short(hour)?, short(minute)?, short(second)?);
    DateTime::new(number(year, 4..=4)?, month, day, time.0, time.1, time.2, 0).ok()
}

/// Exactly three parts.
fn fields(text: &str, separator: char) -> Option<[&str; 3]> {
    let parts: Vec<_> = text.splitn(4, separator).collect();
    parts.try_into().ok()
}

/// So many ASCII digits: no sign, no space.
fn number<T: FromStr>(text: &str, digits: RangeInclusive<usize>) -> Option<T> {
    let is_number = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Splits `Z` or `+HH:MM` from a time; the offset is subtracted from the local time to get UTC.
fn split_offset(time: &str) -> Option<(&str, Option<SignedDuration>)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return full(clock).then_some((clock, Some(SignedDuration::ZERO)));
    }
    let Some(at) = time.rfind(['+', '-']) else {
        return Some((time, None));
    };
    let (clock, offset) = time.split_at_checked(at)?;
    let (sign, amount) = offset.split_at_checked(1)?;
    let (hours, minutes) = amount.split_once(':')?;
    let (hours, minutes): (i64, i64) = (number(hours, 2..=2)?, number(minutes, 2..=2)?);
    if hours > 23 || minutes > 59 || !full(clock) {
        return None;
    }
    let amount = SignedDuration::from_mins(hours * 60 + minutes);
    Some((clock, Some(if sign == "-" { -amount } else { amount })))
}

/// RFC 3339 has two digits for each of hour, minute and second; a fraction may follow.
fn full(clock: &str) -> bool {
    let whole = clock.split('.').next().unwrap_or_default();
    fields(whole, ':').is_some_and(|parts| parts.iter().all(|part| part.len() == 2))
}

#[cfg(test)]
mod tests;
