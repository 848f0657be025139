//! The response to the caller of a query that has finished.

use crd::{ArxivQuery, ConditionType, Phase, Reason};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{ApiError, Code};

/// The response of GET /arxiv.
#[derive(Debug, JsonSchema, PartialEq, Serialize)]
pub(crate) struct SearchResponse {
    /// When arXiv responded, in Unix seconds.
    timestamp: i64,
    /// arXiv's HTTP status.
    status: i32,
    /// The total number of papers found.
    num_results: i64,
    /// The number of papers recorded.
    num_entries: i64,
}

/// The result of a query, or why it failed; `None` if it has not finished. A pure function of the object and the time.
pub(crate) fn outcome(object: &ArxivQuery, now: Timestamp) -> Option<Result<SearchResponse, ApiError>> {
    let status = object.status.as_ref()?;
    Some(match status.phase {
        Phase::Pending | Phase::Running | Phase::Suspended => return None,
        Phase::Succeeded if status.total_results.unwrap_or(0) == 0 => Err(ApiError::nothing_found()),
        Phase::Succeeded => Ok(SearchResponse {
            timestamp: status.answer_time.as_ref().map_or(0, |time| time.0.as_second()),
            status: status.http_status.unwrap_or(200),
            num_results: status.total_results.unwrap_or_default(),
            num_entries: status.stored_results.unwrap_or_default(),
        }),
        Phase::Failed => {
            let ready = object.condition(ConditionType::Ready);
            let reason = ready.map_or(Reason::Failed, |ready| Reason::of_failure(&ready.reason));
            let code = Code::of_failure(reason);
            let status_code = match code {
                // Not failures of arXiv, whatever its last response was.
                Code::PendingDeadlineExceeded | Code::DeadlineExceeded | Code::DatabaseFailed => {
                    code.status().as_u16()
                }
                // A failure is never reported with a success status of arXiv; without a response from arXiv it is a 502.
                _ => {
                    let code = status.http_status.and_then(|code| u16::try_from(code).ok());
                    code.filter(|code| (400..600).contains(code)).unwrap_or(502)
                }
            };
            let message = status.message.as_deref().unwrap_or("The query failed");
            let retry_after = status.retry_after.as_ref().map(|at| at.0.duration_since(now));
            let retry_after = retry_after.and_then(|left| left.try_into().ok());
            Err(ApiError::upstream(code, status_code, message, retry_after))
        }
    })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use crd::{ArxivQuerySpec, ArxivQueryStatus};
    use http::header::RETRY_AFTER;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn response(phase: Phase, http_status: Option<i32>, num_results: Option<i64>) -> String {
        let mut object = ArxivQuery::new("x", ArxivQuerySpec::default());
        object.status = Some(ArxivQueryStatus {
            phase,
            http_status,
            total_results: num_results,
            stored_results: num_results.map(|n| n.min(8)),
            answer_time: Timestamp::from_second(1_700_000_000).ok().map(Time),
            message: Some("why".into()),
            ..ArxivQueryStatus::default()
        });
        match outcome(&object, Timestamp::UNIX_EPOCH) {
            None => "unfinished".into(),
            Some(Ok(found)) => serde_json::to_string(&found).unwrap(),
            Some(Err(error)) => format!("{} {}", error.status().as_u16(), error.body()["detail"]),
        }
    }

    #[test]
    fn finished_query_has_the_response_of_its_phase_and_status() {
        assert_eq!(response(Phase::Pending, None, None), "unfinished");
        assert_eq!(response(Phase::Running, Some(503), None), "unfinished");
        assert_eq!(
            response(Phase::Succeeded, Some(200), Some(1234)),
            r#"{"timestamp":1700000000,"status":200,"num_results":1234,"num_entries":8}"#
        );
        let nothing = r#"404 "No results found for the given search parameters""#;
        assert_eq!(response(Phase::Succeeded, Some(200), Some(0)), nothing);
        for code in [400, 403, 404, 429, 500, 502, 503] {
            assert_eq!(
                response(Phase::Failed, Some(code), None),
                format!("{code} \"why\"")
            );
        }
        assert_eq!(response(Phase::Failed, Some(200), None), "502 \"why\"");
        assert_eq!(response(Phase::Failed, None, None), "502 \"why\"");
        let untouched = ArxivQuery::new("x", ArxivQuerySpec::default());
        assert!(outcome(&untouched, Timestamp::UNIX_EPOCH).is_none());
    }

    #[test]
    fn failed_query_has_status_and_code_of_its_reason() {
        let cases = [
            (
                "PendingDeadlineExceeded",
                None,
                504,
                Code::PendingDeadlineExceeded,
            ),
            ("DeadlineExceeded", None, 504, Code::DeadlineExceeded),
            ("DeadlineExceeded", Some(503), 504, Code::DeadlineExceeded),
            ("NotStored", None, 503, Code::DatabaseFailed),
            ("NotStored", Some(502), 503, Code::DatabaseFailed),
            ("Throttled", Some(429), 429, Code::RateLimited),
            ("Throttled", Some(503), 503, Code::RateLimited),
            ("UnexpectedStatus", Some(403), 403, Code::UpstreamError),
            ("BrokenFeed", Some(502), 502, Code::BrokenAnswer),
            ("FromTheFuture", None, 502, Code::QueryFailed),
            ("FromTheFuture", Some(429), 429, Code::QueryFailed),
        ];
        for (reason, http_status, expected, code) in cases {
            let mut object = ArxivQuery::new("x", ArxivQuerySpec::default());
            object.status = Some(ArxivQueryStatus {
                phase: Phase::Failed,
                http_status,
                conditions: vec![Condition {
                    type_: ConditionType::Ready.as_str().into(),
                    status: "False".into(),
                    reason: reason.into(),
                    message: String::new(),
                    last_transition_time: Time(Timestamp::UNIX_EPOCH),
                    observed_generation: None,
                }],
                ..ArxivQueryStatus::default()
            });
            let Some(Err(error)) = outcome(&object, Timestamp::UNIX_EPOCH) else {
                panic!("{reason}")
            };
            assert_eq!(
                (error.status().as_u16(), error.code()),
                (expected, code),
                "{reason} {http_status:?}"
            );
        }
    }

    #[test]
    fn throttled_query_has_retry_after_of_the_pause() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut object = ArxivQuery::new("x", ArxivQuerySpec::default());
        object.status = Some(ArxivQueryStatus {
            phase: Phase::Failed,
            http_status: Some(503),
            retry_after: Some(Time(at(160))),
            ..ArxivQueryStatus::default()
        });
        // After the pause, the default of a 503.
        for (now, seconds) in [(100, "60"), (159, "1"), (200, "5")] {
            let Some(Err(error)) = outcome(&object, at(now)) else {
                panic!("{now}")
            };
            assert_eq!(error.into_response().headers()[RETRY_AFTER], seconds, "{now}");
        }
    }
}
