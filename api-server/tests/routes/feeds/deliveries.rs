//! GET /feeds/NAME/deliveries and POST /feeds/NAME/redeliver: what webhooks got, and requesting it again.

use serde_json::json;
use testbed::test_env::json_body;

use super::{SEED, next};
use crate::support::{Api, header};

/// Deliveries: one that was delivered, two that failed, one to a receiver that is gone.
const DELIVERIES: &str = "
    insert into arxiv_feed_webhooks (feed_uid, name, address, failures, gone_at, next_attempt_at)
    values ('00000000-0000-0000-0000-00000000000a', 'chat', 'h', 3, null, now() + interval '1 hour'),
      ('00000000-0000-0000-0000-00000000000a', 'gone', 'h', 1, now(), now());
    insert into arxiv_feed_deliveries (delivery_id, feed_uid, webhook, first_position, last_position, state, attempts, recorded_at,
      requested_at, ended_at)
    select id::uuid, '00000000-0000-0000-0000-00000000000a', webhook, position, position, state, 2, '2024-05-01T06:00:00Z',
      '2024-05-01T06:00:00Z', '2024-05-01T06:00:01Z'
    from (values ('00000000-0000-0000-0000-0000000000d1', 'chat', 1, 'Delivered'),
      ('00000000-0000-0000-0000-0000000000d2', 'chat', 2, 'Failed'), ('00000000-0000-0000-0000-0000000000d3', 'chat', 3, 'Failed'),
      ('00000000-0000-0000-0000-0000000000d4', 'gone', 3, 'Failed')) as v (id, webhook, position, state)";

/// The deliveries of a list: the last digit of the id, and the state.
async fn deliveries(api: &Api, path: &str) -> String {
    let list = json_body(api.get(path).await).await;
    let list = list.as_array().unwrap().iter();
    let list: Vec<_> = list
        .map(|one| {
            format!(
                "{} {}",
                &one["id"].as_str().unwrap()[35..],
                one["state"].as_str().unwrap()
            )
        })
        .collect();
    list.join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_and_requested_again_one_by_one_or_all_that_failed() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    api.execute(DELIVERIES).await;
    let path = "/feeds/knuth/deliveries";
    let all = json_body(api.get(path).await).await;
    let first = json!({
        "id": "00000000-0000-0000-0000-0000000000d1", "webhook": "chat", "first_position": 1, "last_position": 1,
        "state": "delivered", "attempts": 2, "recorded_at": "2024-05-01T06:00:00Z", "ended_at": "2024-05-01T06:00:01Z",
    });
    assert_eq!(all[3], first);
    let listed = "3 failed, 4 failed, 2 failed, 1 delivered";
    assert_eq!(deliveries(&api, path).await, listed);
    assert_eq!(
        deliveries(&api, &format!("{path}?state=delivered")).await,
        "1 delivered"
    );
    let mut pages = Vec::new();
    let mut next_path = Some(format!("{path}?items_per_page=1"));
    while let Some(page) = next_path {
        let response = api.get(&page).await;
        next_path = next(header(&response, "link")).map(|link| format!("{path}{link}"));
        pages.push(deliveries(&api, &page).await);
    }
    assert_eq!(pages.join(", "), listed);
    for wrong in ["?state=lost", "?after=x", "?x=1"] {
        assert_eq!(api.get(&format!("{path}{wrong}")).await.status(), 422, "{wrong}");
    }
    assert_eq!(api.get("/feeds/secret/deliveries").await.status(), 404);

    let again = async |query: &str| {
        let response = api
            .post(&format!("/feeds/knuth/redeliver{query}"), &json!(null))
            .await;
        let status = response.status().as_u16();
        (status, json_body(response).await["requested"].clone())
    };
    let id = |digit: u8| format!("?id=00000000-0000-0000-0000-0000000000d{digit}");
    assert_eq!(again(&id(1)).await, (202, json!(1)));
    assert_eq!(again(&id(1)).await, (202, json!(0)), "it waits already");
    assert_eq!(again(&id(4)).await, (409, json!(null)), "the receiver is gone");
    assert_eq!(again(&id(9)).await, (404, json!(null)));
    assert_eq!(again("?id=x").await, (422, json!(null)));
    assert_eq!(
        deliveries(&api, path).await,
        "3 failed, 4 failed, 2 failed, 1 pending"
    );
    assert_eq!(again("").await, (202, json!(2)));
    assert_eq!(
        deliveries(&api, path).await,
        "3 pending, 4 failed, 2 pending, 1 pending"
    );
    let due = "select count(*) from arxiv_feed_webhooks w join arxiv_feed_deliveries d on d.webhook = w.name
        where state = 'Pending' and next_attempt_at <= now() and requested_at > now() - interval '1 hour' and ended_at is null";
    assert_eq!(api.count(&format!("({due}) as due (n) where n = 3")).await, 1);
    let other = api.post("/feeds/secret/redeliver", &json!(null)).await;
    assert_eq!(other.status(), 404, "of another namespace");
}
