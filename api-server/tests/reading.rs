//! Filters, cursors, forms and caching of what is read, and replicas that are behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use reqwest::{Response, header};
use serde_json::Value;
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{SEED, error_of, eventually, json_body, problems};
use tokio::io::AsyncReadExt;

async fn authors(response: Response) -> Vec<String> {
    assert_eq!(response.status(), 200);
    let rows = json_body(response).await;
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["author"].as_str().unwrap().to_owned())
        .collect()
}

fn text(response: &Response, name: impl header::AsHeaderName) -> Option<String> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap().to_owned())
}

/// Where the header `Link` leads, as a path.
fn next(response: &Response) -> Option<String> {
    let link = text(response, header::LINK)?;
    let query = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(format!("/results{query}"))
}

/// Waits until all that is recorded is settled on the replica.
async fn settled(env: &TestEnv) {
    let last = env.count("public.results").await;
    eventually("the rows are settled", async || {
        env.replicated().await;
        let walked = env.get("/results?after=&items_per_page=1000").await;
        (walked.status() == 200 && i64::try_from(authors(walked).await.len()).unwrap() == last).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wanted_is_found_and_walked() {
    let env = TestEnv::for_api(&[]).await;
    env.execute(SEED).await;

    // Filters, also of the backend's endpoints.
    for (path, expected) in [
        ("/results?author=a7", vec!["A7"]),
        ("/read-results?title=T24", vec!["A24"]),
        ("/results?journal=j10&title=%22t10%22", vec!["A10"]),
        ("/results?author=nobody", vec![]),
        ("/results?query_id=1&items_per_page=2&page=1", vec!["A2", "A3"]),
        (
            "/results?start_time=2024-03-31&end_time=1711843200&items_per_page=1",
            vec!["A0"],
        ),
        ("/results?category=math.CO", vec![]),
    ] {
        assert_eq!(authors(env.get(path).await).await, expected, "{path}");
    }
    for (path, kind, parameter) in [
        ("/results?author=%21", "value_error", "author"),
        ("/read-results?query_id=x", "int_parsing", "query_id"),
        ("/results?format=xml", "value_error", "format"),
        ("/results?after=1-2-3-4", "value_error", "after"),
        (
            "/queries?start_timestamp=2024-01-01&status=x",
            "int_parsing",
            "status",
        ),
        (
            "/read-queries?start_timestamp=0&text=",
            "string_too_short",
            "text",
        ),
    ] {
        let (status, detail) = error_of(env.get(path).await).await;
        let expected = (kind.to_owned(), format!("[\"query\",\"{parameter}\"]"));
        assert_eq!((status, problems(&detail)), (422, vec![expected]), "{path}");
    }
    let found = json_body(
        env.get("/queries?start_timestamp=2024-01-01&text=KNUTH&status=200")
            .await,
    )
    .await;
    assert_eq!(found.as_array().unwrap().len(), 1);

    // Pages by number lead on to the last; a total when asked for.
    let response = env.get("/results?items_per_page=10&total=true").await;
    assert_eq!(text(&response, "x-total-count").as_deref(), Some("25"));
    assert_eq!(
        next(&response).as_deref(),
        Some("/results?items_per_page=10&total=true&page=1")
    );
    assert!(next(&env.get("/results?items_per_page=10&page=2").await).is_none());
    let request = env
        .http
        .get(env.url("/results?author=a7"))
        .header("prefer", "count=exact");
    let response = request.send().await.unwrap();
    assert_eq!(text(&response, "x-total-count").as_deref(), Some("1"));
    assert_eq!(
        text(&response, "preference-applied").as_deref(),
        Some("count=exact")
    );

    // A walk by cursor meets each row once, whatever the filter.
    settled(&env).await;
    for (filter, expected) in [("", 25), ("&query_id=1", 25), ("&journal=j2", 1)] {
        let mut path = Some(format!("/results?after=&items_per_page=7{filter}"));
        let mut walked = Vec::new();
        while let Some(at) = path {
            let response = env.get(&at).await;
            path = next(&response);
            let full = response.headers().contains_key(header::ETAG);
            let rows = authors(response).await;
            assert_eq!(full, rows.len() == 7, "{at}");
            walked.extend(rows);
        }
        assert_eq!(walked.len(), expected, "{filter}");
        walked.dedup();
        assert_eq!(walked.len(), expected, "{filter}");
    }
    caching(&env).await;
    forms(&env).await;
}

async fn caching(env: &TestEnv) {
    let first = env.get("/results?after=&items_per_page=5").await;
    assert_eq!(text(&first, header::CACHE_CONTROL).as_deref(), Some("no-cache"));
    let path = next(&first).unwrap();
    let second = env.get(&path).await;
    assert_eq!(
        text(&second, header::CACHE_CONTROL).as_deref(),
        Some("max-age=86400, immutable")
    );
    let tag = text(&second, header::ETAG).unwrap();
    assert!(tag.starts_with('"'), "strong: {tag}");
    let conditional = async |path: &str, tag: &str| {
        let request = env.http.get(env.url(path)).header(header::IF_NONE_MATCH, tag);
        request.send().await.unwrap()
    };
    let same = conditional(&path, &format!("\"x\", W/{tag}")).await;
    assert_eq!(
        (same.status().as_u16(), text(&same, header::ETAG)),
        (304, Some(tag.clone()))
    );
    assert_eq!(conditional(&path, "\"x\"").await.status(), 200);
    // With a total it is not the same for ever, and known again by the total too.
    let counting = format!("{path}&total=true");
    let counted = env.get(&counting).await;
    assert_eq!(text(&counted, header::CACHE_CONTROL).as_deref(), Some("no-cache"));
    let counted = text(&counted, header::ETAG).unwrap();
    assert_eq!(conditional(&counting, &counted).await.status(), 304);
    env.execute("insert into public.results (author) values ('')")
        .await;
    assert_eq!(conditional(&counting, &counted).await.status(), 200);
    // In another form it is another page, and of another filter it is none.
    assert_ne!(
        text(&env.get(&format!("{path}&format=csv")).await, header::ETAG),
        Some(tag.clone())
    );
    assert_eq!(env.get(&format!("{path}&author=a")).await.status(), 422);

    // A row of it is deleted: the page is another, and leads on in the new epoch.
    env.execute("delete from public.results where author = 'A6'")
        .await;
    let changed = conditional(&path, &tag).await;
    assert_eq!(changed.status(), 200);
    assert_eq!(text(&changed, header::CACHE_CONTROL).as_deref(), Some("no-cache"));
    assert_ne!(text(&changed, header::ETAG).unwrap(), tag);
    let rows = authors(changed).await;
    assert_eq!(rows, ["A5", "A7", "A8", "A9", "A10"]);
    // Nothing of this is on what is asked for without a cursor.
    let plain = env.get("/results").await;
    assert!(
        !plain.headers().contains_key(header::ETAG) && !plain.headers().contains_key(header::CACHE_CONTROL)
    );
    long_pages(env).await;
}

/// Long pages are compressed when that is asked for, and have a tag of their own, by which they are known again.
async fn long_pages(env: &TestEnv) {
    let long = "/results?after=&items_per_page=200&format=bibtex";
    env.execute(
        "insert into public.results (query_id, author, title, journal)
           select 2, 'Author ' || n, repeat('title ', 20), '' from generate_series(1, 200) n",
    )
    .await;
    settled(env).await;
    let plain = env.get(long).await;
    let request = env
        .http
        .get(env.url(long))
        .header(header::ACCEPT_ENCODING, "gzip");
    let coded = request.send().await.unwrap();
    assert_eq!(text(&coded, header::CONTENT_ENCODING).as_deref(), Some("gzip"));
    let (plain_tag, coded_tag) = (text(&plain, header::ETAG), text(&coded, header::ETAG).unwrap());
    assert_ne!(plain_tag.as_ref(), Some(&coded_tag));
    let mut decoded = Vec::new();
    let bytes = coded.bytes().await.unwrap();
    let mut gzip = async_compression::tokio::bufread::GzipDecoder::new(&*bytes);
    gzip.read_to_end(&mut decoded).await.unwrap();
    assert_eq!(plain.bytes().await.unwrap(), decoded);
    let request = env
        .http
        .get(env.url(long))
        .header(header::IF_NONE_MATCH, &coded_tag);
    let same = request
        .header(header::ACCEPT_ENCODING, "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (same.status().as_u16(), text(&same, header::ETAG)),
        (304, Some(coded_tag))
    );
    env.execute("delete from public.results where query_id = 2").await;
}

async fn forms(env: &TestEnv) {
    env.execute("insert into public.results (author, title, journal, arxiv_id, categories) values ('=Cmd, B', 'A \"b\"', '', '2405.00001v1', 'math.CO')").await;
    let wanted = "/results?category=math.CO";
    for (form, kind, body) in [
        (
            "csv",
            "text/csv; charset=utf-8; header=present",
            "author,title,journal,query_id,timestamp,arxiv_id,categories\r\n\"'=Cmd, B\",\"A \"\"b\"\"\",,,,2405.00001v1,math.CO\r\n",
        ),
        (
            "ndjson",
            "application/x-ndjson",
            "{\"author\":\"=Cmd, B\",\"title\":\"A \\\"b\\\"\",\"journal\":\"\",\"query_id\":null,\"timestamp\":null,\"arxiv_id\":\"2405.00001v1\",\"categories\":\"math.CO\"}\n",
        ),
    ] {
        let response = env.get(&format!("{wanted}&format={form}")).await;
        assert_eq!(text(&response, header::CONTENT_TYPE).as_deref(), Some(kind));
        assert!(response.headers().contains_key(header::CONTENT_DISPOSITION));
        assert_eq!(response.text().await.unwrap(), body);
    }
    for (accept, start) in [
        ("application/x-bibtex", "@misc{2405.00001-"),
        (
            "application/vnd.citationstyles.csl+json",
            "[{\"id\":\"2405.00001-",
        ),
        ("application/json", "[{\"author\":\"=Cmd, B\""),
    ] {
        let response = env
            .http
            .get(env.url(wanted))
            .header(header::ACCEPT, accept)
            .send()
            .await
            .unwrap();
        assert!(text(&response, header::CONTENT_TYPE).unwrap().starts_with(accept));
        assert!(response.text().await.unwrap().starts_with(start), "{accept}");
    }
    let response = env.get("/queries?start_timestamp=2024-01-01&format=csv").await;
    let lines = response.text().await.unwrap();
    assert_eq!(lines.lines().count(), 5, "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_streamed_in_little_memory() {
    let rows: usize = std::env::var("EXPORT_TEST_ROWS").map_or(100_000, |rows| rows.parse().unwrap());
    let env = TestEnv::for_api(&[]).await;
    let fill = format!(
        "select from public.arxiv_results_epoch for update;
         truncate public.results restart identity;
         insert into public.results (query_id, timestamp, author, title, journal)
           select n / 10, n, repeat('Author, ', 20) || n, repeat('title ', 10), '' from generate_series(1, {rows}) n"
    );
    env.execute(&fill).await;
    let resident = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", env.stack.api_servers[0].child().pid()))
                .unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(env.get("/results").await.status(), 200);
    let before = resident();
    for (coding, form) in [("identity", "csv"), ("gzip", "ndjson"), ("zstd", "json")] {
        let request = env
            .http
            .get(env.url(&format!("/results?all=true&format={form}")))
            .timeout(std::time::Duration::from_mins(10))
            .header(header::ACCEPT_ENCODING, coding);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let told = text(&response, header::CONTENT_ENCODING);
        assert_eq!(
            told.as_deref(),
            Some(coding).filter(|coding| *coding != "identity")
        );
        let bytes = response.bytes().await.unwrap();
        let mut plain = Vec::new();
        match coding {
            "gzip" => {
                let mut decoder = async_compression::tokio::bufread::GzipDecoder::new(&*bytes);
                decoder.read_to_end(&mut plain).await.unwrap();
            }
            "zstd" => {
                let mut decoder = async_compression::tokio::bufread::ZstdDecoder::new(&*bytes);
                decoder.read_to_end(&mut plain).await.unwrap();
            }
            _ => plain = bytes.to_vec(),
        }
        let lines = String::from_utf8(plain.clone()).unwrap().lines().count();
        let count = match form {
            "json" => serde_json::from_slice::<Vec<Value>>(&plain).unwrap().len(),
            "csv" => lines - 1,
            _ => lines,
        };
        assert_eq!(count, rows, "{form}");
    }
    let growth = resident() - before;
    println!("{rows} rows three times: {growth} KiB more at the most");
    assert!(growth < 30 * 1024, "{growth} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_behind_is_told_of() {
    let env = TestEnv::for_api_with(Options::default(), &[]).await;
    env.execute(SEED).await;
    settled(&env).await;
    let databases = &env.stack.databases;
    let first = env.get("/results?after=&items_per_page=20").await;
    let path = next(&first).unwrap();

    // Behind: told in a header, the metrics and, when it is far, in /readyz; what is there is still answered.
    databases.replica.pause_replay().await.unwrap();
    databases
        .primary
        .execute("arxiv", "insert into public.results (author) values ('late')")
        .await
        .unwrap();
    eventually("the lag is told", async || {
        let response = env.get("/results").await;
        assert_eq!(response.status(), 200);
        text(&response, "arxiv-replica-lag")
    })
    .await;
    let metrics = env.get("/metrics").await.text().await.unwrap();
    assert!(
        metrics.contains("arxiv_api_server_replica_lag_seconds{replica=\"results_ro\"}"),
        "{metrics}"
    );

    // A cursor of a server that is further would miss rows here.
    let ahead = {
        let epoch = "update public.arxiv_results_epoch set epoch = epoch + 1";
        databases.primary.execute("arxiv", epoch).await.unwrap();
        databases.replica.resume_replay().await.unwrap();
        env.replicated().await;
        let first = env.get("/results?after=&items_per_page=20").await;
        databases.replica.pause_replay().await.unwrap();
        next(&first).unwrap()
    };
    assert_ne!(ahead, path, "in the new epoch");
    databases.replica.resume_replay().await.unwrap();
    env.execute("update public.arxiv_results_epoch set epoch = epoch - 1")
        .await;
    let response = env.get(&ahead).await;
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(response.status(), 503);
    assert_eq!(env.get(&path).await.status(), 200);

    // Nothing that is read needs the primary.
    databases.primary.stop().await.unwrap();
    for path in [
        "/results?author=a7&total=true",
        "/results?all=true&format=csv",
        "/queries?start_timestamp=2024-01-01",
        &path,
    ] {
        assert_eq!(env.get(path).await.status(), 200, "{path}");
    }
    eventually("a replica without a primary is behind", async || {
        text(&env.get("/results").await, "arxiv-replica-lag")
    })
    .await;
    // Far behind, after half a minute, it is a reason; and takes no process out of service.
    eventually("that is told in /readyz", async || {
        let reasons = json_body(env.get("/readyz").await).await["reasons"].clone();
        let reason = reasons["results_ro"].as_str()?.to_owned();
        reason.contains("seconds behind").then_some(())
    })
    .await;
    assert_eq!(env.get("/results").await.status(), 200);
}
