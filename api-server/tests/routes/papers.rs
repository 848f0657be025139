//! GET /papers and GET /papers/ID: the metadata of the papers that searches have found.

use reqwest::Response;
use serde_json::{Value, json};
use testbed::test_env::{error_of, json_body};

use crate::support::{Api, header};

/// Two versions of one paper, and two others.
const SEED: &str = "
    insert into arxiv_papers (paper, version, title, authors, abstract, comment, journal, doi, categories, published, updated, links,
      first_seen_at, changed_at, fetched_at, category_keys, words)
    select paper, version, title, jsonb_build_array(jsonb_build_object('name', author)), 'We show $x$.', null, journal, doi,
      string_to_array(category, ' '), '2024-01-01Z', updated::timestamptz, '[]', now(), now(), now(), array[category, 'math.*'],
      setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', author), 'B')
    from (values
      ('2405.00001', 1, 'random graphs', 'Erdos', null, null, 'math.CO', '2024-05-01Z'),
      ('2405.00001', 2, 'random graphs again', 'Erdos', 'J. 1', '10.1/X', 'math.CO', '2024-05-09Z'),
      ('math/0309136', 3, 'graphs, or \"graphs\"', 'Renyi', null, null, 'math.GT', '2024-05-05Z'),
      ('hep-th/9901001', 0, 'graphs', 'Nobody', null, null, 'hep-th', '2024-05-07Z'))
      as v (paper, version, title, author, journal, doi, category, updated);";

async fn ids(response: Response) -> Vec<String> {
    assert_eq!(response.status(), 200);
    let papers = json_body(response).await;
    let papers = papers.as_array().unwrap().iter();
    papers
        .map(|paper| paper["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn paper_is_read_by_any_form_of_its_identifier() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    for (path, id) in [
        ("/papers/2405.00001", "2405.00001v2"),
        ("/papers/2405.00001v1", "2405.00001v1"),
        ("/papers/arXiv:2405.00001v2", "2405.00001v2"),
        ("/papers/arXiv%3A2405.00001v2%20%5Bmath.CO%5D", "2405.00001v2"),
        ("/papers/math/0309136", "math/0309136v3"),
        ("/papers/math.GT/0309136v3", "math/0309136v3"),
        ("/papers/math%2F0309136", "math/0309136v3"),
        ("/papers/hep-th/9901001", "hep-th/9901001"),
        (
            "/papers/https%3A%2F%2Farxiv.org%2Fabs%2F2405.00001",
            "2405.00001v2",
        ),
        ("/papers/https://arxiv.org/abs/math/0309136", "math/0309136v3"),
        ("/papers/10.48550/arXiv.2405.00001", "2405.00001v2"),
    ] {
        let paper = json_body(api.get(path).await).await;
        assert_eq!(paper["id"], id, "{path}");
    }
    let paper = json_body(api.get("/papers/2405.00001").await).await;
    let expected = json!({
        "id": "2405.00001v2", "title": "random graphs again", "authors": [{"name": "Erdos"}], "abstract": "We show $x$.",
        "journal": "J. 1", "doi": "10.1/X", "categories": ["math.CO"], "published": "2024-01-01T00:00:00Z",
        "updated": "2024-05-09T00:00:00Z", "links": [],
    });
    assert_eq!(paper, expected);
    for (path, part) in [
        ("/papers/2405.00002", "no search has found 2405.00002"),
        ("/papers/2405.00001v9", "no search has found 2405.00001v9"),
        ("/papers/nonsense", "no identifier"),
        ("/papers/a/b/c", "no identifier"),
    ] {
        let (status, detail) = error_of(api.get(path).await).await;
        assert_eq!(status, 404, "{path}");
        assert!(detail.to_string().contains(part), "{path}: {detail}");
    }
    assert_eq!(api.send("POST", "/papers/2405.00001").await.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn papers_are_listed_filtered_and_walked() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let (first, second, third) = ("2405.00001v2", "hep-th/9901001", "math/0309136v3");
    for (path, expected) in [
        ("/papers", vec![first, second, third]),
        ("/papers?q=Graphs", vec![first, second, third]),
        ("/papers?q=graphs&order=relevance", vec![third, first, second]),
        ("/papers?q=%22random+graphs%22", vec![first]),
        ("/papers?author=renyi", vec![third]),
        ("/papers?author=graphs", vec![]),
        ("/papers?category=MATH.*&items_per_page=1", vec![first]),
        ("/papers?category=math.gt", vec![third]),
        ("/papers?doi=doi.org/10.1/x", vec![first]),
        ("/papers?updated_after=2024-05-07", vec![first, second]),
        (
            "/papers?updated_before=2024-05-06&published_after=2024-01-01T00:00:00Z",
            vec![third],
        ),
        ("/papers?published_before=2023-12-30", vec![]),
    ] {
        assert_eq!(ids(api.get(path).await).await, expected, "{path}");
    }
    for order in ["updated", "published", "relevance"] {
        let mut path = format!("/papers?q=graphs&items_per_page=1&order={order}");
        let mut walked = Vec::new();
        loop {
            let response = api.get(&path).await;
            let link = header(&response, "link").map(str::to_owned);
            walked.extend(ids(response).await);
            let Some(link) = link else { break };
            let query = link
                .strip_prefix('<')
                .unwrap()
                .strip_suffix(">; rel=\"next\"")
                .unwrap();
            path = format!("/papers{query}");
            assert!(walked.len() < 9, "{walked:?}");
        }
        let mut sorted = walked.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [first, second, third], "{order}: {walked:?}");
    }
    let prefer = [("prefer", "count=exact")];
    let response = api
        .send_with("GET", "/papers?q=graphs&items_per_page=1", &prefer)
        .await;
    assert_eq!(header(&response, "x-total-count"), Some("3"));
    assert_eq!(header(&response, "preference-applied"), Some("count=exact"));
    for path in [
        "/papers?order=relevance",
        "/papers?after=x",
        "/papers?q=%21",
        "/papers?updated_after=soon",
        "/papers?format=bib",
        "/papers?query=x",
        "/papers/2405.00001?q=x",
    ] {
        assert_eq!(api.get(path).await.status(), 422, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn papers_are_a_feed_with_a_lasting_identifier_and_the_next_page() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let part = |text: &str, before: &str, after: &str| {
        let (_, rest) = text.split_once(before).unwrap();
        rest.split_once(after).unwrap().0.to_owned()
    };
    let accept = [("accept", "application/atom+xml")];
    let mut path = "/papers?q=graphs&items_per_page=1".to_owned();
    let mut feeds = Vec::new();
    for entry in ["2405.00001v2", "hep-th/9901001", "math/0309136v3"] {
        let response = api.send_with("GET", &path, &accept).await;
        assert_eq!(header(&response, "content-type"), Some("application/atom+xml"));
        let link = header(&response, "link").map(str::to_owned);
        let text = response.text().await.unwrap();
        feeds.push(part(&text, "<id>urn:uuid:", "</id>"));
        assert_eq!(part(&text, "<entry><id>http://arxiv.org/abs/", "</id>"), entry);
        assert!(text.contains("<arxiv:primary_category term="), "{text}");
        let Some(link) = link else { break };
        let next = part(&text, "rel=\"next\" href=\"", "\"").replace("&amp;", "&");
        assert_eq!(format!("<{next}>; rel=\"next\""), link);
        path = format!("/papers{next}");
    }
    assert_eq!(feeds.len(), 3);
    assert!(feeds.iter().all(|feed| *feed == feeds[0]), "{feeds:?}");
    let other = api
        .get("/papers?q=random&format=atom")
        .await
        .text()
        .await
        .unwrap();
    assert!(!other.contains(&feeds[0]), "another list is another feed");
    let one = api
        .get("/papers/2405.00001?format=atom")
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(one.matches("<entry>").count(), 1);
    let none = api
        .get("/papers?q=nothing&format=atom")
        .await
        .text()
        .await
        .unwrap();
    assert!(none.contains("<updated>1970-01-01T00:00:00Z</updated>"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_has_a_tag_that_changes_with_its_papers_and_other_formats() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    for path in ["/papers/2405.00001", "/papers?q=again"] {
        let response = api.get(path).await;
        let tag = header(&response, "etag").unwrap().to_owned();
        assert_eq!(header(&response, "cache-control"), Some("no-cache"));
        let kept = [("if-none-match", tag.as_str())];
        assert_eq!(api.send_with("GET", path, &kept).await.status(), 304, "{path}");
        api.execute("update arxiv_papers set changed_at = clock_timestamp() where version = 1")
            .await;
        assert_eq!(api.send_with("GET", path, &kept).await.status(), 304, "{path}");
        api.execute("update arxiv_papers set changed_at = clock_timestamp() where version = 2")
            .await;
        assert_eq!(api.send_with("GET", path, &kept).await.status(), 200, "{path}");
    }
    let csv = api.get("/papers?format=csv&doi=10.1/x").await;
    assert_eq!(
        header(&csv, "content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    let text = csv.text().await.unwrap();
    assert!(
        text.contains("\r\n2405.00001v2,random graphs again,Erdos,We show $x$.,,J. 1,10.1/X,math.CO,"),
        "{text}"
    );
    let accept = [("accept", "application/x-ndjson")];
    let lines = api
        .send_with("GET", "/papers", &accept)
        .await
        .text()
        .await
        .unwrap();
    let papers: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(papers.len(), 3);
}
