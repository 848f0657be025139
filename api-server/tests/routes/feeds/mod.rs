//! GET /feeds and GET /feeds/NAME: standing searches, and what is new by each.

mod deliveries;
mod events;

use serde_json::{Value, json};
use testbed::test_env::{error_of, json_body};

use crate::support::{Api, header};

/// A feed with three items, of which one is a second version, one without items, and one of another namespace.
const SEED: &str = "
    insert into arxiv_papers (paper, version, title, authors, abstract, categories, published, updated, links, first_seen_at,
      changed_at, fetched_at, category_keys, words)
    select paper, version, 'A <b>title</b> & ' || paper, '[{\"name\": \"Erdős\"}]', 'We show $x$.', '{math.CO}', '2024-01-01Z',
      '2024-05-01Z', '[]', now(), now(), now(), '{math.CO}', ''
    from (values ('2405.00001', 1), ('2405.00001', 2), ('math/0309136', 3)) as v (paper, version);
    insert into arxiv_feeds (feed_uid, object_uid, namespace, name, title, search, initial_items, revisions, last_position,
      last_run_at, last_outcome, last_new_items, last_complete_at, schedule, time_zone, is_suspended, next_run_at)
    values
      ('00000000-0000-0000-0000-00000000000a', gen_random_uuid(), 'library', 'knuth', 'author: <knuth>', 'h', 'Include', 'Include', 3,
       '2024-05-03T06:00:00Z', 'Complete', 1, '2024-05-03T06:00:00Z', '17 6 * * 1-5', 'Europe/Budapest', false, '2024-05-06T04:17:00Z'),
      ('00000000-0000-0000-0000-00000000000b', gen_random_uuid(), 'library', 'new', 'all: x', 'h', 'Skip', 'Include', 0, null, null,
       null, null, '@daily', 'UTC', true, null),
      ('00000000-0000-0000-0000-00000000000c', gen_random_uuid(), 'elsewhere', 'secret', 'all: y', 'h', 'Skip', 'Include', 0, null,
       null, null, null, '@daily', 'UTC', false, null);
    insert into arxiv_feed_items (feed_uid, position, seen_set, paper, version, run_uid, recorded_at)
    values
      ('00000000-0000-0000-0000-00000000000a', 1, 1, '2405.00001', 1, gen_random_uuid(), '2024-05-01T06:00:00Z'),
      ('00000000-0000-0000-0000-00000000000a', 2, 1, 'math/0309136', 3, gen_random_uuid(), '2024-05-02T06:00:00Z'),
      ('00000000-0000-0000-0000-00000000000a', 3, 1, '2405.00001', 2, gen_random_uuid(), '2024-05-03T06:00:00Z');";
const MORE: &str = "
    insert into arxiv_feed_items (feed_uid, position, seen_set, paper, version, run_uid, recorded_at)
    values ('00000000-0000-0000-0000-00000000000a', 4, 2, '2405.00001', 2, gen_random_uuid(), '2024-05-04T06:00:00Z');
    update arxiv_feeds set last_position = 4 where name = 'knuth'";

/// The identifier of the first feed.
const ID: &str = "tag:arxiv-operator.dev,2026:feeds/00000000-0000-0000-0000-00000000000a";

/// Positions and versions.
fn items(body: &Value) -> String {
    let items = body.as_array().unwrap().iter();
    let items: Vec<_> = items
        .map(|item| format!("{} {}", item["position"], item["paper"]["id"].as_str().unwrap()))
        .collect();
    items.join(", ")
}

fn next(link: Option<&str>) -> Option<String> {
    let link = link?.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(link.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_of_the_namespace_are_listed_with_their_last_run() {
    let api = Api::start(&[]).await;
    assert_eq!(json_body(api.get("/feeds").await).await, json!([]));
    api.execute(SEED).await;
    let knuth = json!({
        "id": ID, "name": "knuth", "namespace": "library", "search": "author: <knuth>", "items": 3,
        "last_run": {"recorded_at": "2024-05-03T06:00:00Z", "new_items": 1, "complete": true},
        "last_complete_run": "2024-05-03T06:00:00Z", "schedule": "17 6 * * 1-5", "time_zone": "Europe/Budapest",
        "suspended": false, "next_run": "2024-05-06T04:17:00Z",
    });
    let new = json!({
        "id": ID.replace("000a", "000b"), "name": "new", "namespace": "library", "search": "all: x", "items": 0,
        "last_run": null, "last_complete_run": null, "schedule": "@daily", "time_zone": "UTC", "suspended": true,
        "next_run": null,
    });
    assert_eq!(json_body(api.get("/feeds").await).await, json!([knuth, new]));
    let response = api.get("/feeds?items_per_page=1").await;
    let link = next(header(&response, "link")).unwrap();
    assert_eq!(json_body(response).await, json!([knuth]));
    let response = api.get(&format!("/feeds{link}")).await;
    assert_eq!(header(&response, "link"), None);
    assert_eq!(json_body(response).await, json!([new]));
    assert_eq!(api.get("/feeds?after=x").await.status(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_read_newest_first_with_whole_papers_and_walked() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let all = json_body(api.get("/feeds/knuth").await).await;
    assert_eq!(items(&all), "3 2405.00001v2, 2 math/0309136v3, 1 2405.00001v1");
    assert_eq!(all[0]["added"], "2024-05-03T06:00:00Z");
    assert_eq!(all[0]["id"], format!("{ID}/1/2405.00001v2"));
    assert_eq!(all[0]["paper"]["abstract"], "We show $x$.");
    for (query, expected) in [
        ("?since=2024-05-02T06:00:00Z", "3 2405.00001v2, 2 math/0309136v3"),
        ("?since=2024-05-05T00:00:00Z", ""),
        ("?items_per_page=1", "3 2405.00001v2"),
    ] {
        let found = json_body(api.get(&format!("/feeds/knuth{query}")).await).await;
        assert_eq!(items(&found), expected, "{query}");
    }
    // An item that is added meanwhile does not move the pages after the first.
    let mut path = "/feeds/knuth?items_per_page=2".to_owned();
    let mut walked = Vec::new();
    loop {
        let response = api.get(&path).await;
        let link = next(header(&response, "link"));
        walked.push(items(&json_body(response).await));
        let Some(link) = link else { break };
        if walked.len() == 1 {
            api.execute(MORE).await;
        }
        path = format!("/feeds/knuth{link}");
    }
    assert_eq!(walked, ["3 2405.00001v2, 2 math/0309136v3", "1 2405.00001v1"]);
    let all = json_body(api.get("/feeds/knuth?items_per_page=2").await).await;
    assert_eq!(items(&all), "4 2405.00001v2, 3 2405.00001v2");
    assert_eq!(json_body(api.get("/feeds/new").await).await, json!([]));
    for path in [
        "/feeds/none",
        "/feeds/secret",
        "/feeds/%00",
        "/feeds/KNUTH",
        "/feeds/knuth.atom/events",
        "/feeds/%00/deliveries",
    ] {
        let (status, detail) = error_of(api.get(path).await).await;
        assert_eq!(status, 404, "{path}: {detail}");
        assert!(
            detail.to_string().contains("GET /feeds lists"),
            "{path}: {detail}"
        );
    }
    for path in [
        "/feeds/knuth?after=x",
        "/feeds/knuth?since=x",
        "/feeds/knuth?format=xml",
        "/feeds/knuth?nope=1",
    ] {
        assert_eq!(api.get(path).await.status(), 422, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_is_subscribed_to_in_three_formats_with_stable_identifiers() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    for (path, accept, media_type) in [
        ("/feeds/knuth.atom", "*/*", "application/atom+xml"),
        ("/feeds/knuth", "application/atom+xml", "application/atom+xml"),
        ("/feeds/knuth.rss", "*/*", "application/rss+xml"),
        ("/feeds/knuth?format=rss", "*/*", "application/rss+xml"),
    ] {
        let response = api.send_with("GET", path, &[("accept", accept)]).await;
        assert_eq!(header(&response, "content-type"), Some(media_type), "{path}");
        let text = response.text().await.unwrap();
        for part in [
            format!(">{ID}/1/2405.00001v2<"),
            format!(">{ID}/1/2405.00001v1<"),
            "https://arxiv.org/abs/2405.00001v2".to_owned(),
            "A &lt;b&gt;title&lt;/b&gt; &amp; math/0309136".to_owned(),
            "author: &lt;knuth&gt;".to_owned(),
            "href=\"http://localhost/feeds/knuth.".to_owned(),
        ] {
            assert!(text.contains(&part), "{path}: {part} is not in {text}");
        }
        assert!(
            text.find("/2405.00001v2<") < text.find("/2405.00001v1<"),
            "{text}"
        );
    }
    for form in ["atom", "rss"] {
        let page = api.get(&format!("/feeds/knuth.{form}?items_per_page=1")).await;
        let page = page.text().await.unwrap();
        let next =
            format!(r#"rel="next" href="http://localhost/feeds/knuth.{form}?items_per_page=1&amp;after="#);
        assert!(page.contains(&next), "{page}");
    }
    let response = api.get("/feeds/knuth.json?items_per_page=1").await;
    assert_eq!(header(&response, "content-type"), Some("application/feed+json"));
    let feed = json_body(response).await;
    assert_eq!(feed["version"], "https://jsonfeed.org/version/1.1");
    assert_eq!(feed["feed_url"], "http://localhost/feeds/knuth.json");
    assert_eq!(feed["items"][0]["id"], format!("{ID}/1/2405.00001v2"));
    assert_eq!(
        feed["items"][0]["external_url"],
        "https://arxiv.org/abs/2405.00001v2"
    );
    let next = feed["next_url"]
        .as_str()
        .unwrap()
        .strip_prefix("http://localhost")
        .unwrap();
    let second = json_body(api.get(next).await).await;
    assert_eq!(second["items"][0]["id"], format!("{ID}/1/math/0309136v3"));
    // One without items is a valid feed, too.
    let empty = api.get("/feeds/new.atom").await.text().await.unwrap();
    assert!(empty.contains("<feed") && !empty.contains("<entry"), "{empty}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_keeps_its_identifier_when_restored_positions_are_given_again_and_has_another_by_another_search()
 {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let ids = async || {
        let feed = json_body(api.get("/feeds/knuth.json").await).await;
        let items = feed["items"].as_array().unwrap().clone();
        let ids = items.iter().map(|item| item["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let before = ids().await;
    // As after a restore to before the second run, which then finds the two versions in another order.
    api.execute(
        "update arxiv_feed_items set position = 5 - position + 10 where position > 1;
         update arxiv_feed_items set position = position - 10 where position > 10",
    )
    .await;
    let after = ids().await;
    assert_eq!([&before[0], &before[1]], [&after[1], &after[0]]);
    assert_eq!(before[2], after[2]);
    api.execute(MORE).await;
    let with_another = ids().await;
    assert_eq!(with_another[0], format!("{ID}/2/2405.00001v2"));
    assert_eq!(with_another[1..], after);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_entries_of_a_bibliography() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    for (format, part) in [
        ("bibtex", "eprint = {2405.00001}"),
        ("csl-json", "\"abstract\":\"We show"),
        ("ris", "AB  - We show"),
        ("csv", "2405.00001v2,"),
        ("ndjson", "{\"added\":\"2024-05-03T06:00:00Z\",\"id\":\"tag:"),
    ] {
        let response = api
            .get(&format!(
                "/feeds/knuth?format={format}&since=2024-05-03T00:00:00Z"
            ))
            .await;
        assert_eq!(response.status(), 200, "{format}");
        let text = response.text().await.unwrap();
        assert!(text.contains(part), "{format}: {text}");
        assert!(!text.contains("0309136"), "{format}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_that_has_not_changed_is_not_sent_again() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    for path in [
        "/feeds/knuth",
        "/feeds/knuth.atom",
        "/feeds/knuth.rss",
        "/feeds/knuth.json",
        "/feeds",
    ] {
        let response = api.get(path).await;
        let tag = header(&response, "etag").unwrap().to_owned();
        let modified = header(&response, "last-modified").map(str::to_owned);
        let same = api.send_with("GET", path, &[("if-none-match", &tag)]).await;
        assert_eq!(
            (same.status().as_u16(), header(&same, "etag")),
            (304, Some(tag.as_str())),
            "{path}"
        );
        // What a cache has in a coding, it finds by the tag of that.
        let of_gzip = format!("{}-gzip\"", tag.trim_end_matches('"'));
        for (given, kept) in [(of_gzip.as_str(), of_gzip.as_str()), ("*", &tag)] {
            let same = api.send_with("GET", path, &[("if-none-match", given)]).await;
            assert_eq!(
                (same.status().as_u16(), header(&same, "etag")),
                (304, Some(kept)),
                "{path} {given}"
            );
        }
        if path == "/feeds" {
            continue;
        }
        assert_eq!(
            modified.as_deref(),
            Some("Fri, 03 May 2024 06:00:00 GMT"),
            "{path}"
        );
        for (since, status) in [
            ("Fri, 03 May 2024 06:00:00 GMT", 304),
            ("Fri, 03 May 2024 05:59:59 GMT", 200),
            ("yesterday", 200),
            ("Fri, 03 May 9024 06:00:00 GMT", 200),
        ] {
            let response = api.send_with("GET", path, &[("if-modified-since", since)]).await;
            assert_eq!(response.status(), status, "{path} {since}");
        }
        // The tag counts where there are both.
        let both = [
            ("if-none-match", "\"x\""),
            ("if-modified-since", "Fri, 03 May 2024 06:00:00 GMT"),
        ];
        assert_eq!(api.send_with("GET", path, &both).await.status(), 200, "{path}");
    }
    let tag = header(&api.get("/feeds/knuth.atom").await, "etag")
        .unwrap()
        .to_owned();
    api.execute("update arxiv_papers set doi = '10.1/x' where version = 2")
        .await;
    let changed = api
        .send_with("GET", "/feeds/knuth.atom", &[("if-none-match", &tag)])
        .await;
    assert_eq!(changed.status(), 200);
    assert!(
        changed
            .text()
            .await
            .unwrap()
            .contains("<arxiv:doi>10.1/x</arxiv:doi>")
    );
}
