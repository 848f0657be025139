//! Error codes, for programs. `docs/errors.md` says of each what it means and what to do; a test compares the lists.

use crd::Reason;
use http::StatusCode;

/// Before a code, in a problem's `type`. A tag (RFC 4151), as RFC 9457 (3.1.1) recommends where there is no page behind it.
pub(crate) const TYPE_PREFIX: &str = "tag:arxiv-operator.dev,2026:error/";

macro_rules! codes {
    ($($code:ident: $slug:literal, $status:ident, $title:literal;)+) => {
        /// One kind of answer.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Code {
            $($code,)+
        }

        impl Code {
            /// The code as clients read it.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$code => $slug,)+ }
            }

            /// The status that this code comes with, unless an answer of arXiv says another one.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status,)+ }
            }

            /// What it is, in a few words that are the same each time.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)+ }
            }

            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$code),+];
        }
    };
}

codes! {
    StillWaiting: "still_waiting", ACCEPTED, "Still waiting";
    MalformedRequest: "malformed_request", BAD_REQUEST, "Malformed request";
    InvalidParameter: "invalid_parameter", UNPROCESSABLE_ENTITY, "Invalid parameter";
    SearchRefused: "search_refused", BAD_REQUEST, "Search refused";
    Unauthenticated: "unauthenticated", UNAUTHORIZED, "Token needed";
    InvalidToken: "invalid_token", UNAUTHORIZED, "Invalid token";
    Forbidden: "forbidden", FORBIDDEN, "Not allowed";
    CrossSite: "cross_site", FORBIDDEN, "Sent by another site";
    ForeignHost: "foreign_host", FORBIDDEN, "Unknown host name";
    NotAdmitted: "not_admitted", UNPROCESSABLE_ENTITY, "Query not admitted";
    NotFound: "not_found", NOT_FOUND, "Not found";
    NothingFound: "nothing_found", NOT_FOUND, "Nothing found";
    MethodNotAllowed: "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    IdempotencyKeyReused: "idempotency_key_reused", UNPROCESSABLE_ENTITY, "Idempotency key reused";
    BodyTooSlow: "body_too_slow", REQUEST_TIMEOUT, "Body too slow";
    Conflict: "conflict", CONFLICT, "Conflict";
    QueryFailed: "query_failed", CONFLICT, "The query failed";
    QueryRemoved: "query_removed", GONE, "The query was removed";
    ResultsRemoved: "results_removed", GONE, "The results were removed";
    ListExpired: "list_expired", GONE, "The list has expired";
    BodyTooLong: "body_too_long", PAYLOAD_TOO_LARGE, "Body too long";
    AddressTooLong: "address_too_long", URI_TOO_LONG, "Address too long";
    HeadersTooLong: "headers_too_long", REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too long";
    UnsupportedMediaType: "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type";
    UnsupportedContentCoding: "unsupported_content_coding", UNSUPPORTED_MEDIA_TYPE, "Unsupported content coding";
    RateLimited: "rate_limited", TOO_MANY_REQUESTS, "Rate limited by arXiv";
    ClientRateLimited: "client_rate_limited", TOO_MANY_REQUESTS, "Rate limited";
    TooManyWaiting: "too_many_waiting", TOO_MANY_REQUESTS, "Too many are waiting";
    TooManyPending: "too_many_pending", TOO_MANY_REQUESTS, "Too many queries are pending";
    TooManyPendingOfClient: "too_many_pending_of_client", TOO_MANY_REQUESTS, "Too many queries of this client are pending";
    TooManyStreams: "too_many_streams", TOO_MANY_REQUESTS, "Too many streams";
    QuotaExceeded: "quota_exceeded", TOO_MANY_REQUESTS, "A quota of the cluster is used up";
    KubernetesBusy: "kubernetes_busy", TOO_MANY_REQUESTS, "Kubernetes is busy";
    UpstreamBusy: "upstream_busy", SERVICE_UNAVAILABLE, "arXiv's turn did not come in time";
    UpstreamUnreachable: "upstream_unreachable", SERVICE_UNAVAILABLE, "arXiv cannot be reached";
    UpstreamError: "upstream_error", BAD_GATEWAY, "arXiv answered with an error";
    BrokenAnswer: "broken_answer", BAD_GATEWAY, "Broken answer of arXiv";
    PendingDeadlineExceeded: "pending_deadline_exceeded", GATEWAY_TIMEOUT, "No turn at arXiv in time";
    DeadlineExceeded: "deadline_exceeded", GATEWAY_TIMEOUT, "Deadline exceeded";
    DatabaseFailed: "database_failed", SERVICE_UNAVAILABLE, "A database failed";
    DatabaseUnavailable: "database_unavailable", SERVICE_UNAVAILABLE, "A database is unavailable";
    KubernetesUnavailable: "kubernetes_unavailable", SERVICE_UNAVAILABLE, "Kubernetes is unavailable";
    NotReplicated: "not_replicated", SERVICE_UNAVAILABLE, "The results are not readable yet";
    Overloaded: "overloaded", SERVICE_UNAVAILABLE, "Overloaded";
    Internal: "internal", INTERNAL_SERVER_ERROR, "Internal error";
}

impl Code {
    /// The code of an answer that the framework made by itself.
    pub(super) fn of_framework(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::BodyTooSlow,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLong,
            StatusCode::URI_TOO_LONG => Self::AddressTooLong,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::InvalidParameter,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadersTooLong,
            StatusCode::SERVICE_UNAVAILABLE => Self::Overloaded,
            other if other.is_client_error() => Self::MalformedRequest,
            _ => Self::Internal,
        }
    }

    /// The code of a query that failed for this reason.
    pub(crate) fn of_failure(reason: Reason) -> Self {
        match reason {
            Reason::InvalidSearch | Reason::SearchRefused => Self::SearchRefused,
            Reason::Throttled => Self::RateLimited,
            Reason::Unreachable
            | Reason::ConnectionLost
            | Reason::TimedOut
            | Reason::Cancelled
            | Reason::NotSent => Self::UpstreamUnreachable,
            Reason::UnexpectedStatus => Self::UpstreamError,
            Reason::BadRedirect
            | Reason::NotAFeed
            | Reason::ErrorFeed
            | Reason::BrokenFeed
            | Reason::IncompleteFeed => Self::BrokenAnswer,
            Reason::PendingDeadlineExceeded => Self::PendingDeadlineExceeded,
            Reason::DeadlineExceeded => Self::DeadlineExceeded,
            Reason::NotStored => Self::DatabaseFailed,
            // Reasons of other phases, and those that only a newer operator knows.
            Reason::Pending
            | Reason::Running
            | Reason::Suspended
            | Reason::UpstreamThrottled
            | Reason::UpstreamUnreachable
            | Reason::DatabaseUnavailable
            | Reason::Retrying
            | Reason::Succeeded
            | Reason::Failed => Self::QueryFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_one_and_is_documented() {
        let page = include_str!("../../../docs/errors.md");
        let documented: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .collect();
        let slugs: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(
            documented.iter().map(|(slug, _)| *slug).collect::<Vec<_>>(),
            slugs
        );
        for (code, (_, rest)) in Code::ALL.iter().zip(documented) {
            let (statuses, _) = rest.split_once(" | ").unwrap();
            assert!(statuses.contains(code.status().as_str()), "{code:?}: {statuses}");
        }
        let mut sorted = slugs.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), slugs.len());
        for slug in slugs {
            assert!(
                slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{slug}"
            );
        }
    }

    #[test]
    fn every_reason_is_documented_with_its_code() {
        let page = include_str!("../../../docs/conditions.md");
        let (_, page) = page.split_once("## Reasons").unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<_> = rows
            .map(|row| {
                let mut cells = row.split('|').map(|cell| cell.trim().trim_end_matches('`'));
                let reason = cells.next().unwrap();
                (reason, cells.nth(1).unwrap().trim_start_matches('`'))
            })
            .collect();
        let codes: Vec<_> = Reason::ALL
            .iter()
            .map(|reason| (reason.as_str(), Code::of_failure(*reason).as_str()))
            .collect();
        assert_eq!(documented.len(), codes.len());
        for (documented, code) in documented.into_iter().zip(codes) {
            // A reason of a query that has not failed has no code.
            let ends_in_failure = !documented.1.is_empty();
            assert_eq!(documented, (code.0, if ends_in_failure { code.1 } else { "" }));
            assert!(ends_in_failure || code.1 == "query_failed", "{documented:?}");
        }
    }

    #[test]
    fn failed_query_has_a_code_for_each_reason() {
        let cases = [
            ("InvalidSearch", Code::SearchRefused),
            ("SearchRefused", Code::SearchRefused),
            ("Throttled", Code::RateLimited),
            ("Unreachable", Code::UpstreamUnreachable),
            ("TimedOut", Code::UpstreamUnreachable),
            ("BrokenFeed", Code::BrokenAnswer),
            ("ErrorFeed", Code::BrokenAnswer),
            ("UnexpectedStatus", Code::UpstreamError),
            ("PendingDeadlineExceeded", Code::PendingDeadlineExceeded),
            ("DeadlineExceeded", Code::DeadlineExceeded),
            ("NotStored", Code::DatabaseFailed),
            ("Failed", Code::QueryFailed),
            ("FromTheFuture", Code::QueryFailed),
            ("", Code::QueryFailed),
        ];
        for (reason, code) in cases {
            assert_eq!(Code::of_failure(Reason::of_failure(reason)), code, "{reason:?}");
        }
    }
}
