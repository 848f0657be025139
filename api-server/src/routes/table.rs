//! The table of routes. The router, the methods and parameters that are allowed, access control, the `OpenAPI` document,
//! the redirect from a path with a slash at its end, and the labels of the metrics and the log all come from it: a new
//! endpoint is a row here (with a name in [`Endpoint`]) and a handler.

use crate::{
    app::endpoints::Endpoint,
    auth::Effect,
    routes::arxiv::{Arxiv, create, list, query, query_results, search},
    routes::arxiv_api::{self, Fetches},
    routes::feeds::{
        self, Deliveries, DeliveriesRequest, FeedStreams, Feeds, FeedsRequest, ItemsRequest, RedeliverRequest,
    },
    routes::papers::{self, PaperRequest, Papers, PapersRequest},
    routes::queries::{
        self, QueryLog,
        params::{QueriesGet, QueriesPost, ReadQueries},
    },
    routes::request::FollowRequest,
    routes::results::{self, QueryResultsParams, ResultPages, ResultsRequest},
    routes::route::{LagOf, Operation, Route, service},
    routes::writes,
};

const QUERIES: LagOf = |stores| &stores.queries_lag;
const RESULTS: LagOf = |stores| &stores.results_lag;

pub(crate) static ROUTES: [Route; 19] = [
    Route {
        // POST is allowed too. The framework of the existing service names the first methods of a path alone.
        allow: "GET",
        no_store: true,
        operations: &[
            // A search field makes the request a search, so the list is only for those without.
            Operation::new::<list::ListRequest>("GET", None, |app| {
                Some(service(list::list_queries, Arxiv::of(app)?))
            })
            .only_if(list::is_requested)
            .no_head(),
            Operation::new::<search::SearchRequest>("GET", Some(search::describe), |app| {
                Some(service(search::search, Arxiv::of(app)?))
            })
            .effect(Effect::Counted)
            // It would make a query that no response names.
            .no_head(),
            Operation::new::<create::CreateRequest>("POST", Some(create::describe), |app| {
                Some(service(create::create_query, Arxiv::of(app)?))
            })
            .new_here()
            .effect(Effect::Counted),
        ],
        ..Route::of(Endpoint::Arxiv)
    },
    Route {
        path: "/arxiv/{name}",
        allow: "GET, DELETE",
        no_store: true,
        operations: &[
            Operation::new::<()>("GET", Some(query::describe_read), |app| {
                Some(service(query::read_query, Arxiv::of(app)?))
            })
            .new_here()
            .reads_from(&[QUERIES]),
            Operation::new::<()>("DELETE", Some(query::describe_delete), |app| {
                Some(service(query::delete_query, Arxiv::of(app)?))
            })
            .new_here()
            .effect(Effect::Counted),
        ],
        ..Route::of(Endpoint::Arxiv)
    },
    Route {
        path: "/arxiv/{name}/events",
        no_store: true,
        operations: &[
            Operation::new::<FollowRequest>("GET", Some(query::describe_follow), |app| {
                Some(service(query::follow_query, Arxiv::of(app)?))
            })
            .new_here()
            .reads_from(&[QUERIES])
            .no_head(),
        ],
        ..Route::of(Endpoint::Arxiv)
    },
    Route {
        path: "/arxiv/{name}/results",
        no_store: true,
        formats: true,
        operations: &[
            Operation::new::<QueryResultsParams>("GET", Some(query_results::describe), |app| {
                let arxiv = Arxiv::of(app).filter(|arxiv| arxiv.reads.is_some())?;
                Some(service(query_results::read_query_results, arxiv))
            })
            .new_here()
            .reads_from(&[QUERIES, RESULTS]),
        ],
        ..Route::of(Endpoint::Arxiv)
    },
    Route {
        allow: "GET, POST",
        formats: true,
        operations: &[
            Operation::new::<QueriesGet>("GET", Some(queries::describe_get), |app| {
                Some(service(queries::queries::<QueriesGet>, QueryLog::of(app)?))
            })
            .reads_from(&[QUERIES]),
            Operation::new::<QueriesPost>("POST", Some(queries::describe_post), |app| {
                Some(service(queries::queries::<QueriesPost>, QueryLog::of(app)?))
            })
            .reads_from(&[QUERIES]),
        ],
        ..Route::of(Endpoint::Queries)
    },
    Route {
        formats: true,
        operations: &[
            Operation::new::<ResultsRequest>("GET", Some(results::describe), |app| {
                Some(service(results::results, ResultPages::of(app)?))
            })
            .reads_from(&[RESULTS]),
        ],
        ..Route::of(Endpoint::Results)
    },
    Route {
        path: "/papers",
        formats: true,
        operations: &[
            Operation::new::<PapersRequest>("GET", Some(papers::describe_list), |app| {
                Some(service(papers::papers, Papers::of(app)?))
            })
            .new_here()
            .reads_from(&[RESULTS]),
        ],
        ..Route::of(Endpoint::Results)
    },
    Route {
        path: "/papers/{*id}",
        formats: true,
        operations: &[
            Operation::new::<PaperRequest>("GET", Some(papers::describe), |app| {
                Some(service(papers::paper, Papers::of(app)?))
            })
            .new_here()
            .reads_from(&[RESULTS]),
        ],
        ..Route::of(Endpoint::Results)
    },
    Route {
        path: "/feeds",
        formats: true,
        operations: &[
            Operation::new::<FeedsRequest>("GET", Some(feeds::describe_list), |app| {
                Some(service(feeds::feeds, Feeds::of(app)?))
            })
            .new_here()
            .reads_from(&[RESULTS]),
        ],
        ..Route::of(Endpoint::Results)
    },
    Route {
        path: "/feeds/{name}",
        formats: true,
        operations: &[
            Operation::new::<ItemsRequest>("GET", Some(feeds::describe), |app| {
                Some(service(feeds::items, Feeds::of(app)?))
            })
            .new_here()
            .reads_from(&[RESULTS]),
        ],
        ..Route::of(Endpoint::Results)
    },
    Route {
        path: "/feeds/{name}/events",
        no_store: true,
        operations: &[
            Operation::new::<FollowRequest>("GET", Some(feeds::describe_follow), |app| {
                Some(service(feeds::follow, FeedStreams::of(app)?))
            })
            .new_here()
            .reads_from(&[RESULTS])
            .no_head(),
        ],
        ..Route::of(Endpoint::Results)
    },
    Route {
        path: "/feeds/{name}/deliveries",
        operations: &[
            Operation::new::<DeliveriesRequest>("GET", Some(feeds::describe_deliveries), |app| {
                Some(service(feeds::deliveries, Feeds::of(app)?))
            })
            .new_here()
            .reads_from(&[RESULTS]),
        ],
        ..Route::of(Endpoint::Results)
    },
    Route {
        // It writes next to the results, so it needs the same right as they do.
        path: "/feeds/{name}/redeliver",
        allow: "POST",
        no_store: true,
        operations: &[
            Operation::new::<RedeliverRequest>("POST", Some(feeds::describe_redeliver), |app| {
                Some(service(feeds::redeliver, Deliveries::of(app)?))
            })
            .new_here()
            .effect(Effect::Change),
        ],
        ..Route::of(Endpoint::WriteResults)
    },
    Route {
        no_store: true,
        operations: &[Operation::new::<arxiv_api::ArxivApiRequest>(
            "GET",
            Some(arxiv_api::describe),
            |app| Some(service(arxiv_api::search_arxiv_api, Fetches::of(app)?)),
        )
        .effect(Effect::Counted)],
        ..Route::of(Endpoint::ArxivApi)
    },
    Route {
        no_store: true,
        operations: &[
            Operation::new::<()>("GET", Some(writes::describe_sequence), |app| {
                Some(service(writes::get_sequence, app.stores.sequence.clone()?))
            })
            .effect(Effect::Change),
        ],
        ..Route::of(Endpoint::GetSequence)
    },
    Route {
        formats: true,
        operations: &[
            Operation::new::<ReadQueries>("GET", Some(queries::describe_read), |app| {
                Some(service(queries::queries::<ReadQueries>, QueryLog::of(app)?))
            })
            .reads_from(&[QUERIES]),
        ],
        ..Route::of(Endpoint::ReadQueries)
    },
    Route {
        formats: true,
        operations: &[
            Operation::new::<ResultsRequest>("GET", Some(results::describe_read), |app| {
                Some(service(results::read_results, ResultPages::of(app)?))
            })
            .reads_from(&[RESULTS]),
        ],
        ..Route::of(Endpoint::ReadResults)
    },
    Route {
        allow: "POST",
        operations: &[
            Operation::new::<writes::QueryRecord>("POST", Some(writes::describe_queries), |app| {
                Some(service(writes::write_queries, app.stores.writes.clone()?))
            })
            .effect(Effect::Change),
        ],
        ..Route::of(Endpoint::WriteQueries)
    },
    Route {
        allow: "POST",
        operations: &[Operation::new::<writes::ResultRecords>(
            "POST",
            Some(writes::describe_results),
            |app| Some(service(writes::write_results, app.stores.writes.clone()?)),
        )
        .effect(Effect::Change)],
        ..Route::of(Endpoint::WriteResults)
    },
];

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;
    use crate::routes::route::matches;

    /// The operation of a request, by the name of its effect and its parameters.
    fn effect(method: &str, uri: &str) -> Option<Effect> {
        let uri: Uri = uri.parse().unwrap();
        let route = ROUTES.iter().find(|route| matches(route.path, uri.path()))?;
        let operation = route.operation(&method.parse::<Method>().unwrap(), &uri)?;
        Some(operation.effect)
    }

    #[test]
    fn request_is_routed_to_the_operation_it_is_for() {
        let cases = [
            ("GET", "/arxiv", Some(Effect::Counted)),
            ("HEAD", "/arxiv", None),
            ("POST", "/arxiv", Some(Effect::Counted)),
            ("PUT", "/arxiv", None),
            ("GET", "/arxiv?title=x&state=all", Some(Effect::Counted)),
            ("GET", "/arxiv?state=all", Some(Effect::None)),
            ("HEAD", "/arxiv?state=all", None),
            ("POST", "/arxiv?state=all", Some(Effect::Counted)),
            ("GET", "/arxiv/x", Some(Effect::None)),
            ("HEAD", "/arxiv/x", Some(Effect::None)),
            ("DELETE", "/arxiv/x", Some(Effect::Counted)),
            ("GET", "/arxiv/x/results", Some(Effect::None)),
            ("HEAD", "/arxiv/x/events", None),
            ("GET", "/get-sequence", Some(Effect::Change)),
            ("HEAD", "/get-sequence", Some(Effect::Change)),
            ("GET", "/arxiv-api", Some(Effect::Counted)),
            ("POST", "/write-results", Some(Effect::Change)),
            ("GET", "/write-results", None),
            ("POST", "/queries", Some(Effect::None)),
            ("GET", "/results", Some(Effect::None)),
            ("GET", "/papers", Some(Effect::None)),
            ("GET", "/papers/2401.01234v2", Some(Effect::None)),
            ("GET", "/papers/hep-th/9901001", Some(Effect::None)),
            (
                "GET",
                "/papers/https://arxiv.org/abs/hep-th/9901001",
                Some(Effect::None),
            ),
            ("GET", "/papers/", None),
            ("GET", "/feeds", Some(Effect::None)),
            ("GET", "/feeds/knuth.atom", Some(Effect::None)),
            ("GET", "/feeds/knuth/events", Some(Effect::None)),
            ("HEAD", "/feeds/knuth/events", None),
            ("POST", "/feeds/knuth", None),
            ("GET", "/feeds/knuth/deliveries", Some(Effect::None)),
            ("POST", "/feeds/knuth/redeliver", Some(Effect::Change)),
            ("GET", "/feeds/knuth/redeliver", None),
            ("GET", "/nope", None),
            ("GET", "/arxiv/x/y/results", None),
        ];
        for (method, uri, expected) in cases {
            assert_eq!(effect(method, uri), expected, "{method} {uri}");
        }
    }

    #[test]
    fn every_route_has_its_own_path_and_allows_its_methods() {
        for (number, route) in ROUTES.iter().enumerate() {
            assert!(
                ROUTES[..number].iter().all(|other| other.path != route.path),
                "{}",
                route.path
            );
            let allowed: Vec<_> = route.allow.split(", ").collect();
            for method in &allowed {
                assert!(
                    route
                        .operations
                        .iter()
                        .any(|operation| operation.method == *method),
                    "{}",
                    route.path
                );
            }
        }
    }
}
