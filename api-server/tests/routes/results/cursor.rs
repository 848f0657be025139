//! Pages after a cursor, and their caching.

use reqwest::Response;
use testbed::test_env::SEED;
use tokio::io::AsyncReadExt;

use super::{authors, next};
use crate::support::{Api, header};

async fn seeded() -> Api {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    api.operator.settle().await;
    api
}

async fn conditional(api: &Api, path: &str, tag: &str) -> Response {
    api.send_with("GET", path, &[("if-none-match", tag)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn walk_by_cursor_meets_each_row_once() {
    let api = seeded().await;
    for (filter, expected) in [("", 25), ("&query_id=1", 25), ("&journal=j2", 1)] {
        let mut path = Some(format!("/results?after=&items_per_page=7{filter}"));
        let mut walked = Vec::new();
        while let Some(at) = path {
            let response = api.get(&at).await;
            path = next(&response);
            let full = response.headers().contains_key("etag");
            let rows = authors(response).await;
            assert_eq!(full, rows.len() == 7, "{at}");
            walked.extend(rows);
        }
        assert_eq!(walked.len(), expected, "{filter}");
        walked.dedup();
        assert_eq!(walked.len(), expected, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_page_is_immutable_until_a_row_of_it_is_deleted() {
    let api = seeded().await;
    let first = api.get("/results?after=&items_per_page=5").await;
    assert_eq!(header(&first, "cache-control"), Some("no-cache"));
    let path = next(&first).unwrap();
    let second = api.get(&path).await;
    assert_eq!(header(&second, "cache-control"), Some("max-age=86400, immutable"));
    let tag = header(&second, "etag").unwrap();
    assert!(tag.starts_with('"'), "strong: {tag}");
    let same = conditional(&api, &path, &format!("\"x\", W/{tag}")).await;
    assert_eq!((same.status().as_u16(), header(&same, "etag")), (304, Some(tag)));
    assert_eq!(conditional(&api, &path, "\"x\"").await.status(), 200);
    // With a total it can change, and is known again by the total too.
    let counting = format!("{path}&total=true");
    let counted = api.get(&counting).await;
    assert_eq!(header(&counted, "cache-control"), Some("no-cache"));
    let counted = header(&counted, "etag").unwrap();
    assert_eq!(conditional(&api, &counting, counted).await.status(), 304);
    api.execute("insert into public.results (author) values ('')")
        .await;
    assert_eq!(conditional(&api, &counting, counted).await.status(), 200);
    // In another format it is another page, and of another filter it is none.
    let other = api.get(&format!("{path}&format=csv")).await;
    assert_ne!(header(&other, "etag"), Some(tag));
    assert_eq!(api.get(&format!("{path}&author=a")).await.status(), 422);

    // A row of it is deleted: the page is another one, and leads on in the new epoch.
    api.execute("delete from public.results where author = 'A6'")
        .await;
    let changed = conditional(&api, &path, tag).await;
    assert_eq!(changed.status(), 200);
    assert_eq!(header(&changed, "cache-control"), Some("no-cache"));
    assert_ne!(header(&changed, "etag").unwrap(), tag);
    let rows = authors(changed).await;
    assert_eq!(rows, ["A5", "A7", "A8", "A9", "A10"]);
    // A page without a cursor has none of this.
    let plain = api.get("/results").await;
    assert!(!plain.headers().contains_key("etag") && !plain.headers().contains_key("cache-control"));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_page_is_compressed_under_a_tag_of_its_own() {
    let api = Api::start(&[]).await;
    let long = "/results?after=&items_per_page=200&format=bibtex";
    api.execute(
        "insert into public.results (query_id, author, title, journal)
           select 2, 'Author ' || n, repeat('title ', 20), '' from generate_series(1, 200) n",
    )
    .await;
    api.operator.settle().await;
    let plain = api.get(long).await;
    let gzip = ("accept-encoding", "gzip");
    let coded = api.send_with("GET", long, &[gzip]).await;
    assert_eq!(header(&coded, "content-encoding"), Some("gzip"));
    let coded_tag = header(&coded, "etag").unwrap().to_owned();
    assert_ne!(header(&plain, "etag"), Some(&*coded_tag));
    let mut decoded = Vec::new();
    let bytes = coded.bytes().await.unwrap();
    let mut reader = async_compression::tokio::bufread::GzipDecoder::new(&*bytes);
    reader.read_to_end(&mut decoded).await.unwrap();
    assert_eq!(plain.bytes().await.unwrap(), decoded);
    let same = api
        .send_with("GET", long, &[gzip, ("if-none-match", &coded_tag)])
        .await;
    assert_eq!(
        (same.status().as_u16(), header(&same, "etag")),
        (304, Some(&*coded_tag))
    );
}
