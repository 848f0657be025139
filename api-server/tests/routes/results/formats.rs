//! The formats of results.

use crate::support::{Api, header};

const PATH: &str = "/results?category=math.CO";

async fn api() -> Api {
    let api = Api::start(&[]).await;
    api.execute(
        "insert into public.results (author, title, journal, arxiv_id, categories)
           values ('=Cmd, B', 'A \"b\"', '', '2405.00001v1', 'math.CO')",
    )
    .await;
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn format_of_the_query_is_an_attachment_of_its_type() {
    let api = api().await;
    for (format, kind, body) in [
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
        let response = api.get(&format!("{PATH}&format={format}")).await;
        assert_eq!(header(&response, "content-type"), Some(kind));
        assert!(header(&response, "content-disposition").is_some());
        assert_eq!(response.text().await.unwrap(), body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn format_is_negotiated_by_accept() {
    let api = api().await;
    for (accept, start) in [
        ("application/x-bibtex", "@misc{2405.00001-"),
        (
            "application/vnd.citationstyles.csl+json",
            "[{\"id\":\"2405.00001-",
        ),
        ("application/json", "[{\"author\":\"=Cmd, B\""),
    ] {
        let response = api.send_with("GET", PATH, &[("accept", accept)]).await;
        let kind = header(&response, "content-type").unwrap();
        assert!(kind.starts_with(accept), "{kind}");
        assert!(response.text().await.unwrap().starts_with(start), "{accept}");
    }
}
