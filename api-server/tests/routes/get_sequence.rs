//! GET /get-sequence: the next number.

use testbed::test_env::json_body;

use crate::support::Api;

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_given_once_also_next_to_those_of_queries() {
    let api = Api::start(&[]).await;
    let next = async || {
        let answer = json_body(api.get("/get-sequence").await).await;
        answer["sequence"].as_i64().unwrap()
    };
    let first = next().await;
    assert_eq!(api.get("/arxiv?title=owned&max_results=2").await.status(), 200);
    let owned = "select query_id from public.queries where query_uid is not null";
    let owned = api.databases.column::<i64>(owned).await[0];
    assert!(owned > first && next().await > owned);
}
