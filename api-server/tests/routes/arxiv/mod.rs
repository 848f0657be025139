//! /arxiv: searches become `ArxivQuery` objects.

mod create;
mod events;
mod fairness;
mod list;
mod outcomes;
mod ownership;
mod pending;
mod query;
mod query_results;
mod removed;
mod search;

pub(crate) use search::parameters_are_checked;

use reqwest::Response;
use serde_json::Value;
use testbed::test_env::{eventually, json_body};

use crate::support::{Server, header};

/// Checks a 202: where the query is, and when to ask for it again. Returns the query's address.
async fn accepted(response: Response) -> String {
    assert_eq!(response.status(), 202);
    let after = header(&response, "retry-after").unwrap().parse::<u64>();
    assert!(after.unwrap() >= 1);
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    let location = header(&response, "location").unwrap().to_owned();
    let body = json_body(response).await;
    assert!(
        body["detail"].is_string() && body["location"] == location,
        "{body}"
    );
    location
}

/// The final state of a query.
async fn finished(server: &Server, location: &str) -> Value {
    eventually("the query ends", async || {
        let response = server.get(location).await;
        match response.status().as_u16() {
            200 => Some(json_body(response).await),
            202 => {
                assert!(header(&response, "retry-after").is_some());
                None
            }
            status => panic!("{status}"),
        }
    })
    .await
}
