//! Error codes, for programs. `docs/errors.md` says for each what it means and what to do; a test compares the page with
//! this list.

use crd::Reason;
use http::StatusCode;

/// Before a code, in a problem's `type`. A tag (RFC 4151), as RFC 9457 (3.1.1) recommends where there is no page behind it.
pub(crate) const TYPE_PREFIX: &str = "tag:arxiv-operator.dev,2026:error/";

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident: $slug:literal, $status:ident, $title:literal;)+) => {
        /// One kind of answer.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Code {
            $($(#[$doc])* $code,)+
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
    /// The query is kept and has not ended.
    StillWaiting: "still_waiting", ACCEPTED, "Still waiting";

    /// A head or a body that is no HTTP.
    MalformedRequest: "malformed_request", BAD_REQUEST, "Malformed request";
    /// A parameter, or a member of the body.
    InvalidParameter: "invalid_parameter", UNPROCESSABLE_ENTITY, "Invalid parameter";
    /// arXiv, or a check before it, does not take this search.
    SearchRefused: "search_refused", BAD_REQUEST, "Search refused";
    /// A token is needed, and none was sent.
    Unauthenticated: "unauthenticated", UNAUTHORIZED, "Token needed";
    /// The token is nobody's, or not meant for this service.
    InvalidToken: "invalid_token", UNAUTHORIZED, "Invalid token";
    /// The user has no role that allows this.
    Forbidden: "forbidden", FORBIDDEN, "Not allowed";
    /// A page of another site sent a request that would have an effect.
    CrossSite: "cross_site", FORBIDDEN, "Sent by another site";
    /// Kubernetes, by a rule or a policy, does not take this query.
    NotAdmitted: "not_admitted", UNPROCESSABLE_ENTITY, "Query not admitted";
    /// No such path, or no such query.
    NotFound: "not_found", NOT_FOUND, "Not found";
    /// arXiv knows no such paper.
    NothingFound: "nothing_found", NOT_FOUND, "Nothing found";
    /// The path is there, the method is not.
    MethodNotAllowed: "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// Another request under this key was for something else.
    IdempotencyKeyReused: "idempotency_key_reused", UNPROCESSABLE_ENTITY, "Idempotency key reused";
    /// The body came too slowly.
    BodyTooSlow: "body_too_slow", REQUEST_TIMEOUT, "Body too slow";
    /// What is written is there already, and is something else.
    Conflict: "conflict", CONFLICT, "Conflict";
    /// A query that failed has no results; or it failed for a reason that this version does not know.
    QueryFailed: "query_failed", CONFLICT, "The query failed";
    /// Somebody removed the query before it ended.
    QueryRemoved: "query_removed", GONE, "The query was removed";
    /// What the query recorded is not there any more.
    ResultsRemoved: "results_removed", GONE, "The results were removed";
    /// A list's snapshot is not kept any more.
    ListExpired: "list_expired", GONE, "The list has expired";
    /// The body is too long.
    BodyTooLong: "body_too_long", PAYLOAD_TOO_LARGE, "Body too long";
    /// The path and query are too long.
    AddressTooLong: "address_too_long", URI_TOO_LONG, "Address too long";
    /// The headers are too long or too many.
    HeadersTooLong: "headers_too_long", REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too long";
    /// The body's declared type is not one that is read here.
    UnsupportedMediaType: "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type";

    /// arXiv asks everybody to slow down.
    RateLimited: "rate_limited", TOO_MANY_REQUESTS, "Rate limited by arXiv";
    /// This client searches too often.
    ClientRateLimited: "client_rate_limited", TOO_MANY_REQUESTS, "Rate limited";
    /// As many clients wait as this process holds.
    TooManyWaiting: "too_many_waiting", TOO_MANY_REQUESTS, "Too many are waiting";
    /// As many queries are pending as may be.
    TooManyPending: "too_many_pending", TOO_MANY_REQUESTS, "Too many queries are pending";
    /// As many queries of this client are pending as may be.
    TooManyPendingOfClient: "too_many_pending_of_client", TOO_MANY_REQUESTS, "Too many queries of this client are pending";
    /// As many clients follow events as this process serves.
    TooManyStreams: "too_many_streams", TOO_MANY_REQUESTS, "Too many streams";
    /// Kubernetes asks to slow down.
    KubernetesBusy: "kubernetes_busy", TOO_MANY_REQUESTS, "Kubernetes is busy";
    /// The turn at arXiv did not come in time.
    UpstreamBusy: "upstream_busy", SERVICE_UNAVAILABLE, "arXiv's turn did not come in time";
    /// arXiv does not answer.
    UpstreamUnreachable: "upstream_unreachable", SERVICE_UNAVAILABLE, "arXiv cannot be reached";
    /// arXiv answered with an error of its own.
    UpstreamError: "upstream_error", BAD_GATEWAY, "arXiv answered with an error";
    /// arXiv's answer cannot be read.
    BrokenAnswer: "broken_answer", BAD_GATEWAY, "Broken answer of arXiv";

    /// The query was not done in the time that its client gave it.
    DeadlineExceeded: "deadline_exceeded", GATEWAY_TIMEOUT, "Deadline exceeded";

    /// A database refused to store arXiv's answer.
    DatabaseFailed: "database_failed", SERVICE_UNAVAILABLE, "A database failed";
    /// A database is unavailable.
    DatabaseUnavailable: "database_unavailable", SERVICE_UNAVAILABLE, "A database is unavailable";
    /// Kubernetes is unavailable.
    KubernetesUnavailable: "kubernetes_unavailable", SERVICE_UNAVAILABLE, "Kubernetes is unavailable";
    /// What was recorded has not come to the database for reading.
    NotReplicated: "not_replicated", SERVICE_UNAVAILABLE, "The results are not readable yet";
    /// This process has too much to do, or the request took too long.
    Overloaded: "overloaded", SERVICE_UNAVAILABLE, "Overloaded";
    /// An error of this service.
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
