//! The table of routes. The router, the methods and parameters that are allowed, access control, the `OpenAPI` document,
//! the redirect from a path with a slash at its end, and the labels of the metrics and the log all come from it: a new
//! endpoint is a row here (with a name in [`Endpoint`]) and a handler.

use std::sync::Arc;

use axum::routing::{delete, get, post};

use crate::{
    auth::Effect,
    openapi::{backend, creation, frontend, objects},
    routes::arxiv::{create, list, query, query_results, search},
    routes::context::NoParams,
    routes::endpoints::Endpoint,
    routes::queries::{
        self,
        params::{QueriesBody, QueriesRequest, ReadQueriesRequest},
    },
    routes::results::{self, QueryResultsParams, ResultsRequest},
    routes::route::{Operation, Replica, Route},
    routes::{arxiv_api, sequence, writes},
};
use Replica::{Queries, Results};

/// A route with the methods that its operations have; the other members as most have them.
const ROUTE: Route = Route {
    path: "",
    endpoint: Endpoint::Arxiv,
    allow: "GET",
    no_store: false,
    formats: false,
    operations: &[],
};

pub(crate) static ROUTES: [Route; 12] = [
    Route {
        path: "/arxiv",
        endpoint: Endpoint::Arxiv,
        // POST is allowed too. The framework of the existing service names the first methods of a path alone.
        allow: "GET",
        no_store: true,
        operations: &[
            // A search field makes the request a search, as ever, so the list is only for those without.
            Operation::new::<list::ListRequest, _>(
                "GET",
                |app| Some(get(list::list_queries).with_state(app.arxiv()?)),
                None,
            )
            .only_if(list::is_requested)
            .no_head(),
            Operation::new::<search::SearchRequest, _>(
                "GET",
                |app| Some(get(search::search).with_state(app.arxiv()?)),
                Some(frontend::search),
            )
            .effect(Effect::Search)
            // It would make a query that no response names.
            .no_head(),
            Operation::new::<create::CreateRequest, _>(
                "POST",
                |app| Some(post(create::create_query).with_state(app.arxiv()?)),
                Some(creation::create),
            )
            .effect(Effect::Search),
        ],
        ..ROUTE
    },
    Route {
        path: "/arxiv/{name}",
        endpoint: Endpoint::Arxiv,
        allow: "GET, DELETE",
        no_store: true,
        operations: &[
            Operation::new::<NoParams, _>(
                "GET",
                |app| Some(get(query::read_query).with_state(app.query_endpoints()?)),
                Some(objects::read),
            )
            .reads_from(&[Queries]),
            Operation::new::<NoParams, _>(
                "DELETE",
                |app| Some(delete(query::delete_query).with_state(app.query_endpoints()?)),
                Some(objects::delete),
            )
            .effect(Effect::Change),
        ],
        ..ROUTE
    },
    Route {
        path: "/arxiv/{name}/events",
        endpoint: Endpoint::Arxiv,
        no_store: true,
        operations: &[Operation::new::<query::FollowRequest, _>(
            "GET",
            |app| Some(get(query::follow_query).with_state(app.query_endpoints()?)),
            Some(objects::follow),
        )
        .reads_from(&[Queries])
        .no_head()],
        ..ROUTE
    },
    Route {
        path: "/arxiv/{name}/results",
        endpoint: Endpoint::Arxiv,
        no_store: true,
        formats: true,
        operations: &[Operation::new::<QueryResultsParams, _>(
            "GET",
            |app| {
                let queries = app.query_endpoints().filter(|queries| queries.reads.is_some())?;
                Some(get(query_results::read_query_results).with_state(queries))
            },
            Some(objects::results),
        )
        .reads_from(&[Queries, Results])],
        ..ROUTE
    },
    Route {
        path: "/queries",
        endpoint: Endpoint::Queries,
        allow: "GET, POST",
        formats: true,
        operations: &[
            Operation::new::<QueriesRequest, _>(
                "GET",
                |app| Some(get(queries::queries_get).with_state(app.query_log()?)),
                Some(frontend::queries_get),
            )
            .reads_from(&[Queries]),
            Operation::new::<QueriesBody, _>(
                "POST",
                |app| Some(post(queries::queries_post).with_state(app.query_log()?)),
                Some(frontend::queries_post),
            )
            .reads_from(&[Queries]),
        ],
        ..ROUTE
    },
    Route {
        path: "/results",
        endpoint: Endpoint::Results,
        formats: true,
        operations: &[Operation::new::<ResultsRequest, _>(
            "GET",
            |app| Some(get(results::results).with_state(Arc::new(app.result_pages()?))),
            Some(frontend::results),
        )
        .reads_from(&[Results])],
        ..ROUTE
    },
    Route {
        path: "/arxiv-api",
        endpoint: Endpoint::ArxivApi,
        no_store: true,
        operations: &[Operation::new::<arxiv_api::ArxivApiRequest, _>(
            "GET",
            |app| Some(get(arxiv_api::search_arxiv_api).with_state(app.fetches.clone()?)),
            Some(backend::arxiv_api),
        )
        .effect(Effect::Change)],
        ..ROUTE
    },
    Route {
        path: "/get-sequence",
        endpoint: Endpoint::GetSequence,
        no_store: true,
        operations: &[Operation::new::<NoParams, _>(
            "GET",
            |app| Some(get(sequence::get_sequence).with_state(app.sequence()?)),
            Some(backend::get_sequence),
        )
        .effect(Effect::Change)],
        ..ROUTE
    },
    Route {
        path: "/read-queries",
        endpoint: Endpoint::ReadQueries,
        formats: true,
        operations: &[Operation::new::<ReadQueriesRequest, _>(
            "GET",
            |app| Some(get(queries::read_queries).with_state(app.query_log()?)),
            Some(backend::read_queries),
        )
        .reads_from(&[Queries])],
        ..ROUTE
    },
    Route {
        path: "/read-results",
        endpoint: Endpoint::ReadResults,
        formats: true,
        operations: &[Operation::new::<ResultsRequest, _>(
            "GET",
            |app| Some(get(results::read_results).with_state(Arc::new(app.result_pages()?))),
            Some(backend::read_results),
        )
        .reads_from(&[Results])],
        ..ROUTE
    },
    Route {
        path: "/write-queries",
        endpoint: Endpoint::WriteQueries,
        allow: "POST",
        operations: &[Operation::new::<writes::QueryRecord, _>(
            "POST",
            |app| Some(post(writes::write_queries).with_state(app.writes()?)),
            Some(backend::write_queries),
        )
        .effect(Effect::Change)],
        ..ROUTE
    },
    Route {
        path: "/write-results",
        endpoint: Endpoint::WriteResults,
        allow: "POST",
        operations: &[Operation::new::<writes::ResultRecords, _>(
            "POST",
            |app| Some(post(writes::write_results).with_state(app.writes()?)),
            Some(backend::write_results),
        )
        .effect(Effect::Change)],
        ..ROUTE
    },
];

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;

    /// The operation of a request, by the name of its effect and its parameters.
    fn effect(method: &str, uri: &str) -> Option<Effect> {
        let uri: Uri = uri.parse().unwrap();
        let route = ROUTES.iter().find(|route| route.matches(uri.path()))?;
        let operation = route.operation(&method.parse::<Method>().unwrap(), &uri)?;
        Some(operation.effect)
    }

    #[test]
    fn request_is_routed_to_the_operation_it_is_for() {
        let cases = [
            ("GET", "/arxiv", Some(Effect::Search)),
            ("HEAD", "/arxiv", None),
            ("POST", "/arxiv", Some(Effect::Search)),
            ("PUT", "/arxiv", None),
            ("GET", "/arxiv?title=x&state=all", Some(Effect::Search)),
            ("GET", "/arxiv?state=all", Some(Effect::None)),
            ("HEAD", "/arxiv?state=all", None),
            ("POST", "/arxiv?state=all", Some(Effect::Search)),
            ("GET", "/arxiv/x", Some(Effect::None)),
            ("HEAD", "/arxiv/x", Some(Effect::None)),
            ("DELETE", "/arxiv/x", Some(Effect::Change)),
            ("GET", "/arxiv/x/results", Some(Effect::None)),
            ("HEAD", "/arxiv/x/events", None),
            ("GET", "/get-sequence", Some(Effect::Change)),
            ("HEAD", "/get-sequence", Some(Effect::Change)),
            ("GET", "/arxiv-api", Some(Effect::Change)),
            ("POST", "/write-results", Some(Effect::Change)),
            ("GET", "/write-results", None),
            ("POST", "/queries", Some(Effect::None)),
            ("GET", "/results", Some(Effect::None)),
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
