//! The fake arXiv answers as its behaviour says, and records the requests.

use std::time::Duration;

use testbed::FakeArxiv;
use testbed::arxiv::{Behaviour, FeedFormat, Mode};

const LIMIT: Duration = Duration::from_secs(10);

fn client() -> reqwest::Client {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

async fn get(server: &FakeArxiv, query: &str) -> reqwest::Result<reqwest::Response> {
    let mut url = server.url();
    url.set_query(Some(query));
    client().get(url).send().await
}

#[tokio::test]
async fn page_is_served_and_recorded() {
    let server = FakeArxiv::start().unwrap();
    let answer = get(
        &server,
        "search_query=au:%22a+b%22+AND+ti:c&start=2&max_results=3",
    )
    .await
    .unwrap();
    assert!(answer.headers().contains_key("date"));
    let feed = answer.text().await.unwrap();
    assert!(
        feed.contains("search_query=au:&quot;a b&quot; AND ti:c&amp;id_list=&amp;start=2&amp;max_results=3")
    );
    assert!(feed.contains("Result 2 of") && feed.contains("Result 4 of") && !feed.contains("Result 5 of"));
    assert!(feed.contains(">1234</opensearch:totalResults>"));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].search_query, "au:\"a b\" AND ti:c");
    assert_eq!(
        (requests[0].start, requests[0].max_results, requests[0].open),
        (2, 3, 1)
    );
    assert!(server.min_spacing().is_none());

    let default = get(&server, "search_query=ti:x")
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(default.matches("<entry>").count(), 10);
    assert_eq!(
        get(&server, "search_query=ti:x&max_results=2001")
            .await
            .unwrap()
            .status(),
        400
    );
    assert_eq!(
        get(&server, "search_query=ti:x&start=29999&max_results=2")
            .await
            .unwrap()
            .status(),
        400
    );
    assert_eq!(server.requests().len(), 4);
    assert!(server.min_spacing().is_some());
}

#[tokio::test]
async fn mode_changes_response() {
    let server = FakeArxiv::start().unwrap();
    let body_has = [
        (Mode::Zero, 200, ">0</opensearch:totalResults>"),
        (Mode::EmptyPage, 200, ">1234</opensearch:totalResults>"),
        (Mode::BadTotal, 200, ">many</opensearch:totalResults>"),
        (Mode::Html, 200, "<html>"),
        (Mode::WrongType, 200, "<entry>"),
        (Mode::Status(503), 503, ""),
        (Mode::ErrorFeed(200), 200, "<title>Error</title>"),
        (Mode::ErrorFeed(400), 400, "<title>Error</title>"),
        (Mode::RateExceeded(200), 200, "Rate exceeded."),
        (Mode::CoolDown, 503, "<html>"),
        (Mode::Doctype, 200, "<!DOCTYPE"),
        (Mode::RedirectNowhere, 301, ""),
    ];
    for (mode, status, part) in body_has {
        server.set(mode);
        let answer = get(&server, "search_query=ti:x").await.unwrap();
        assert_eq!(answer.status(), status, "{mode}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(part), "{mode}: {text}");
    }
    let lacks = [
        (Mode::NoTotal, "totalResults"),
        (Mode::NoAuthors, "<author>"),
        (Mode::NoTitle, "ArXiv Query"),
        (Mode::Truncated, "</feed>"),
        (Mode::Malformed, "</feed>"),
        (Mode::Empty, "<"),
    ];
    for (mode, part) in lacks {
        server.set(mode);
        let text = get(&server, "search_query=ti:x")
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(!text.contains(part), "{mode}: {text}");
    }
    server.set(Mode::NoDate);
    assert!(
        !get(&server, "search_query=ti:x")
            .await
            .unwrap()
            .headers()
            .contains_key("date")
    );
    server.set(Mode::BadDate);
    assert_eq!(
        get(&server, "search_query=ti:x").await.unwrap().headers()["date"],
        "yesterday"
    );
    server.set(Mode::Close);
    assert!(get(&server, "search_query=ti:x").await.is_err());
    server.set(Mode::Cut);
    assert!(
        get(&server, "search_query=ti:x")
            .await
            .unwrap()
            .text()
            .await
            .is_err()
    );
    server.set(Mode::Redirect);
    let answer = get(&server, "search_query=ti:x").await.unwrap();
    let followed = client()
        .get(answer.headers()["location"].to_str().unwrap())
        .send()
        .await
        .unwrap();
    assert!(followed.text().await.unwrap().contains("search_query=ti:x"));
    server.set(Behaviour {
        form: FeedFormat::Newer,
        authors: Some(3000),
        ..Behaviour::default()
    });
    let feed = get(&server, "search_query=ti:x&max_results=1")
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(feed.contains("<title>arXiv Query: ") && feed.matches("<author>").count() == 3000);
}

#[tokio::test]
async fn queued_behaviour_ends_after_its_requests_or_waits_for_its_page() {
    let server = FakeArxiv::start().unwrap();
    server.set(Behaviour {
        total: Some(4000),
        ..Behaviour::default()
    });
    server.set(Behaviour {
        total: Some(4000),
        from_start: 2000,
        ..Behaviour::from(Mode::EmptyPage).times(1)
    });
    server.set(Behaviour {
        retry_after: Some("7".into()),
        ..Behaviour::from(Mode::Status(429)).times(1)
    });
    let first = get(&server, "search_query=ti:x&start=0&max_results=2")
        .await
        .unwrap();
    assert_eq!(
        (
            first.status().as_u16(),
            first.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "7")
    );
    for (start, entries) in [(0, 2), (2000, 0), (2000, 2)] {
        let query = format!("search_query=ti:x&start={start}&max_results=2");
        let feed = get(&server, &query).await.unwrap().text().await.unwrap();
        assert_eq!(feed.matches("<entry>").count(), entries);
    }
}

#[tokio::test]
async fn control_requests_are_not_recorded() {
    let server = FakeArxiv::start().unwrap();
    let control = server.root().join("/_control").unwrap();
    let post = |body: &'static str| client().post(control.clone()).body(body).send();
    assert_eq!(
        post(r#"{"mode": "503", "retry_after": "5", "delay_ms": 1}"#)
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(post(r#"{"mood": "503"}"#).await.unwrap().status(), 400);
    assert_eq!(
        get(&server, "search_query=ti:x").await.unwrap().headers()["retry-after"],
        "5"
    );
    let record = client()
        .get(server.root().join("/_record").unwrap())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!((&record["count"], &record["max_open"]), (&1.into(), &1.into()));
    assert_eq!(record["requests"][0]["search_query"], "ti:x");
}

#[tokio::test]
async fn closed_connection_is_noticed_during_delay() {
    let server = FakeArxiv::start().unwrap();
    server.set(Mode::Slow);
    let mut url = server.url();
    url.set_query(Some("search_query=ti:x"));
    let request = tokio::spawn(client().get(url).send());
    server.wait_for_requests(1, LIMIT).await.unwrap();
    assert_eq!(server.max_open(), 1);
    request.abort();
    // Sooner than the response.
    server.wait_for_no_connection(LIMIT).await.unwrap();
}

#[tokio::test]
async fn huge_feed_is_streamed() {
    let server = FakeArxiv::start().unwrap();
    server.set(Mode::Huge);
    let mut answer = get(&server, "search_query=ti:x").await.unwrap();
    let mut bytes = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        bytes += chunk.len();
    }
    assert!(bytes > 99_000_000, "{bytes}");
}
