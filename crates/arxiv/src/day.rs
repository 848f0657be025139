//! arXiv's day.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

/// The date in New York at `at`: arXiv's results change at midnight there, so a result stays valid until the
/// end of that day.
pub fn arxiv_day(at: jiff::Timestamp) -> Date {
    // The zone is compiled in, so the lookup cannot fail; standard time would be off by an hour at most.
    let zone = TimeZone::get("America/New_York").unwrap_or_else(|_| TimeZone::fixed(Offset::constant(-5)));
    at.to_zoned(zone).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_changes_at_midnight_in_new_york() {
        let cases = [
            // Winter: five hours behind.
            ("2024-01-15T04:59:59Z", "2024-01-14"),
            ("2024-01-15T05:00:00Z", "2024-01-15"),
            // Summer: four.
            ("2024-07-15T03:59:59Z", "2024-07-14"),
            ("2024-07-15T04:00:00Z", "2024-07-15"),
            // The night the clocks go back.
            ("2024-11-03T03:59:59Z", "2024-11-02"),
            ("2024-11-03T06:30:00Z", "2024-11-03"),
            ("2024-11-04T04:59:59Z", "2024-11-03"),
            ("2024-11-04T05:00:00Z", "2024-11-04"),
            // The night they go forward: it begins in winter and ends in summer.
            ("2024-03-10T04:59:59Z", "2024-03-09"),
            ("2024-03-10T05:00:00Z", "2024-03-10"),
            ("2024-03-10T07:00:00Z", "2024-03-10"),
            ("2024-03-11T03:59:59Z", "2024-03-10"),
            ("2024-03-11T04:00:00Z", "2024-03-11"),
        ];
        for (at, day) in cases {
            assert_eq!(arxiv_day(at.parse().unwrap()).to_string(), day, "{at}");
        }
    }
}
