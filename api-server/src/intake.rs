//! What the endpoints read from a request before they ask anybody for anything: to try any input at all on it.

use axum::response::IntoResponse;
use bytes::Bytes;
use futures::FutureExt;
use http::HeaderMap;
use http_body_util::BodyExt;

use crate::{
    error::ApiError,
    jobs::idempotency::IdempotencyKey,
    routes::arxiv::list::{self, ListParams},
    routes::arxiv::new_query::{Limits, NewQuery},
    routes::arxiv::query::is_name,
    routes::arxiv::search_params::SearchParams,
    routes::results::{PageDefaults, Wanted, WantedOfOne},
    routes::{queries, writes},
};
use wire::{body::Body as WireBody, dates::Zone, headers::prefer::Preferences, query::QueryString};

/// The endpoints that read something, by method and path; `{name}` is what stands in its place.
pub const READERS: [&str; 11] = [
    "GET /arxiv",
    "POST /arxiv",
    "GET /arxiv-api",
    "GET /arxiv/{name}/results",
    "GET /queries",
    "POST /queries",
    "GET /results",
    "GET /read-queries",
    "GET /read-results",
    "POST /write-queries",
    "POST /write-results",
];

/// Hours from UTC of dates without an offset.
const ZONE_HOURS: i64 = 2;
const DEFAULTS: PageDefaults = PageDefaults {
    page: 0,
    items_per_page: 10,
};

const LIMITS: Limits = Limits {
    default_max_results: 8,
    max_priority: crd::fields::MAX_PRIORITY,
};

/// As far as endpoints look at a request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// What stands in the place of `{name}`.
    pub name: String,
    /// What stands after the `?`.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// An answer that is an error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body: `{"detail": …}`.
    pub body: Bytes,
}

/// What one of the [`READERS`] makes of a request, as text for people; `None` if there is no such reader.
///
/// Defaults are those of a process without settings.
pub fn read(reader: &str, request: &Request) -> Option<Result<String, Refusal>> {
    let zone = Zone::new(ZONE_HOURS)?;
    let understood = match reader {
        "GET /arxiv" => {
            let (query, list) = (query(request), ListParams::read(&query(request)));
            if list::is_wanted(&query) {
                list.map(|list| format!("{list:?}"))
            } else {
                search(request).and_then(|text| Ok(format!("{text} {}", headers(request)?)))
            }
        }
        "POST /arxiv" => WireBody::read(&request.headers, &request.body)
            .and_then(WireBody::into_object)
            .map_err(ApiError::from)
            .and_then(|body| NewQuery::of_body(&body, LIMITS))
            .and_then(|query| Ok(format!("{query:?} {}", headers(request)?))),
        "GET /arxiv-api" => search(request),
        "GET /arxiv/{name}/results" => page(request).map(|text| format!("{text} {}", is_name(&request.name))),
        "GET /results" | "GET /read-results" => {
            Wanted::read(&query(request), &request.headers, DEFAULTS, zone)
                .map(|wanted| format!("{wanted:?} {}", wanted.call("results")))
                .map_err(ApiError::from)
        }
        "GET /queries" => queries::Wanted::of_query(&query(request), &request.headers).and_then(|wanted| {
            let seconds = queries::dates_of_query(&query(request)).seconds(zone)?;
            Ok(format!("{seconds:?} {wanted:?}"))
        }),
        "POST /queries" => queries::dates_of_body(&request.headers, &request.body)
            .and_then(|dates| dates.seconds(zone))
            .map(|seconds| format!("{seconds:?}")),
        "GET /read-queries" => {
            let wanted = queries::Wanted::of_query(&query(request), &request.headers);
            queries::seconds_of_query(&query(request))
                .and_then(|seconds| Ok(format!("{seconds:?} {:?}", wanted?)))
        }
        "POST /write-queries" => {
            writes::query_row(&request.headers, &request.body).map(|row| format!("{row:?}"))
        }
        "POST /write-results" => {
            writes::results_body(&request.headers, &request.body).map(|body| format!("{body:?}"))
        }
        _ => return None,
    };
    Some(understood.map_err(refusal))
}

fn query(request: &Request) -> QueryString {
    QueryString::parse(request.query.as_deref())
}

fn search(request: &Request) -> Result<String, ApiError> {
    SearchParams::read(&query(request), 8).map(|params| format!("{params:?} {}", params.call("search")))
}

fn headers(request: &Request) -> Result<String, ApiError> {
    let key = IdempotencyKey::read(&request.headers)?;
    let name = key.map(|key| key.object_name(Some(&request.name)));
    Ok(format!("{:?} {name:?}", Preferences::read(&request.headers)))
}

fn page(request: &Request) -> Result<String, ApiError> {
    let wanted = WantedOfOne::read(&query(request), &request.headers, DEFAULTS)?;
    Ok(format!("{wanted:?}"))
}

fn refusal(error: ApiError) -> Refusal {
    let (parts, body) = error.into_response().into_parts();
    // It is there as a whole, so there is nothing to wait for.
    let body = body.collect().now_or_never().and_then(Result::ok);
    Refusal {
        status: parts.status.as_u16(),
        body: body.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_read() {
        let request = Request {
            query: Some("start_timestamp=2024-03-31&page=x".into()),
            ..Request::default()
        };
        for reader in READERS {
            assert!(read(reader, &request).is_some(), "{reader}");
        }
        assert!(read("GET /", &request).is_none());
        assert!(
            read("GET /queries", &request)
                .unwrap()
                .unwrap()
                .contains("1711836000")
        );
        let refusal = read("GET /results", &request).unwrap().unwrap_err();
        assert_eq!(refusal.status, 422);
        assert!(refusal.body.starts_with(br#"{"detail":[{"#), "{refusal:?}");
    }
}
