//! Whether the spec of a feed can be carried out. Kubernetes refuses most specs that cannot.

use crd::{ArxivFeed, FeedReason};
use jiff::Timestamp;
use schedule::{Schedule, ScheduleError};
use upstream::ValidatedQuery;

use super::{report::Stall, runs};

/// A feed whose spec can be carried out.
pub(super) struct Valid {
    pub(super) schedule: Schedule,
    /// The search, for people.
    pub(super) title: String,
    /// Papers of the search were submitted at this time or later.
    pub(super) submitted_after: Option<Timestamp>,
}

/// The spec as it is carried out, or why it cannot be.
pub(super) fn validate(feed: &ArxivFeed) -> Result<Valid, Stall> {
    let schedule = Schedule::new(&feed.spec.schedule, &feed.spec.time_zone).map_err(|error| Stall {
        reason: match error {
            ScheduleError::TimeZone(..) => FeedReason::InvalidTimeZone,
            ScheduleError::Syntax(_) | ScheduleError::Value(..) | ScheduleError::Never(_) => {
                FeedReason::InvalidSchedule
            }
        },
        message: error.to_string(),
    })?;
    let query = crd::ArxivQuerySpec {
        search: runs::search(feed, None),
        ..crd::ArxivQuerySpec::default()
    };
    let query = ValidatedQuery::try_from(&query).map_err(|error| Stall {
        reason: FeedReason::InvalidSearch,
        message: error.to_string(),
    })?;
    Ok(Valid {
        schedule,
        title: query.search.display_query(),
        submitted_after: query.submitted_after,
    })
}

#[cfg(test)]
mod tests {
    use crd::ArxivFeedSpec;

    use super::*;

    #[test]
    fn spec_that_kubernetes_lets_through_is_still_validated() {
        let valid = ArxivFeedSpec {
            schedule: "@daily".to_owned(),
            search: crd::ArxivSearch {
                author: Some("knuth".to_owned()),
                ..crd::ArxivSearch::default()
            },
            ..ArxivFeedSpec::default()
        };
        let cases = [
            (
                ArxivFeedSpec {
                    search: crd::ArxivSearch::default(),
                    ..valid.clone()
                },
                FeedReason::InvalidSearch,
            ),
            (
                ArxivFeedSpec {
                    schedule: "0 0 * * 5-1".to_owned(),
                    ..valid.clone()
                },
                FeedReason::InvalidSchedule,
            ),
            (
                ArxivFeedSpec {
                    schedule: "0 0 30 2 *".to_owned(),
                    ..valid.clone()
                },
                FeedReason::InvalidSchedule,
            ),
            (
                ArxivFeedSpec {
                    time_zone: "Mars/Olympus".to_owned(),
                    ..valid.clone()
                },
                FeedReason::InvalidTimeZone,
            ),
        ];
        for (spec, reason) in cases {
            let stall = validate(&ArxivFeed::new("feed", spec)).err().unwrap();
            assert_eq!(stall.reason, reason, "{}", stall.message);
            assert!(
                !stall.message.to_lowercase().contains("error"),
                "{}",
                stall.message
            );
        }
        assert_eq!(
            validate(&ArxivFeed::new("feed", valid)).unwrap().title,
            "au:knuth"
        );
    }
}
