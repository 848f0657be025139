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
            "author,title,journal,query_id,timestamp,arxiv_id,categories,authors,doi,published,updated,comment,abstract,links\r\n\"'=Cmd, B\",\"A \"\"b\"\"\",,,,2405.00001v1,math.CO,,,,,,,\r\n",
        ),
        (
            "ndjson",
            "application/x-ndjson",
            "{\"author\":\"=Cmd, B\",\"title\":\"A \\\"b\\\"\",\"journal\":\"\",\"query_id\":null,\"timestamp\":null,\"arxiv_id\":\"2405.00001v1\",\"categories\":\"math.CO\",\"authors\":null,\"doi\":null,\"published\":null,\"updated\":null,\"comment\":null,\"abstract\":null,\"links\":null}\n",
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
        ("application/x-bibtex", "@misc{cmd2024-2405.00001,"),
        ("application/x-research-info-systems", "TY  - UNPB\r\n"),
        (
            "application/vnd.citationstyles.csl+json",
            "[{\"URL\":\"https://arxiv.org/abs/2405.00001\",",
        ),
        ("application/json", "[{\"author\":\"=Cmd, B\""),
    ] {
        let response = api.send_with("GET", PATH, &[("accept", accept)]).await;
        let kind = header(&response, "content-type").unwrap();
        assert!(kind.starts_with(accept), "{kind}");
        assert!(response.text().await.unwrap().starts_with(start), "{accept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paper_found_by_several_queries_is_one_entry_with_one_key() {
    let api = Api::start(&[]).await;
    api.execute(
        "insert into public.results (query_id, author, title, journal, arxiv_id, categories) values
           (1, 'A. A. Alves, Jr.', 'On $x$', '', '2405.00001v1', 'math.CO'),
           (2, 'LHCb Collaboration, :, R. Aaij', 'T', 'Phys. Rev. D 76 (2007) 1-9', 'hep-ex/0307015v1', 'hep-ex'),
           (2, 'A. A. Alves, Jr.', 'On $x$', '', '2405.00001v2', 'math.CO'),
           (3, 'A. A. Alves, Jr.', 'On $x$', '', '2405.00001v2', 'math.CO'),
           (3, 'C. Client', 'T', '', null, null)",
    )
    .await;
    api.operator.settle().await;
    for page in ["", "&all=true", "&after="] {
        let path = format!("/results?format=bibtex{page}&with_version=true");
        let text = api.get(&path).await.text().await.unwrap();
        let keys: Vec<_> = text.lines().filter(|line| line.starts_with('@')).collect();
        assert_eq!(keys.len(), 3, "{text}");
        assert_eq!(keys[0], "@misc{alves2024-2405.00001,");
        assert_eq!(keys[1], "@article{aaij2003-hep-ex-0307015,");
        for line in [
            "author = {Alves, Jr., A. A.}",
            "title = {{On $x$}}",
            "author = {{LHCb Collaboration} and Aaij, R.}",
            "year = {2007}",
            "eprint = {hep-ex/0307015v1}",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        // A page has the newest version; a stream has the first one.
        let version = if page == "&all=true" { 1 } else { 2 };
        assert!(
            text.contains(&format!("eprint = {{2405.00001v{version}}}")),
            "{text}"
        );
    }
    for (format, item, count) in [
        ("csl-json", "\"type\":", 3),
        ("ris", "TY  - ", 3),
        ("atom", "<entry>", 3),
        ("ndjson", "{\"author", 5),
    ] {
        let path = format!("/results?format={format}&all=true");
        let text = api.get(&path).await.text().await.unwrap();
        assert_eq!(text.matches(item).count(), count, "{text}");
    }
}

/// A row of results, and two versions of its paper.
const WHOLE: &str = "insert into public.results (query_id, author, title, journal, arxiv_id, categories) values
       (1, 'A. A. Alves, Jr.', 'On $x$', '', '2405.00001v1', 'math.CO');
     insert into public.arxiv_papers
       (paper, version, title, authors, abstract, comment, journal, doi, categories, published, updated, links,
        first_seen_at, changed_at, fetched_at, category_keys, words)
     select '2405.00001', version, 'On $x$', '[{\"name\": \"A. A. Alves, Jr.\", \"affiliations\": [\"CERN\"]}]',
            'Abstract ' || version, '9 pages', case version when 2 then 'Phys. Rev. D 76 (2025) 1-9' end,
            case version when 2 then '10.1103/x' end, '{math.CO}', '2024-05-03 10:00:00+00', '2024-05-03 10:00:00+00',
            '[]', now(), now(), now(), '{}', ''
       from generate_series(1, 2) as version";

#[tokio::test(flavor = "multi_thread")]
async fn whole_paper_is_in_every_format_and_by_fields() {
    let api = Api::start(&[]).await;
    for statement in WHOLE.split(';') {
        api.execute(statement).await;
    }
    api.operator.settle().await;
    for page in ["", "&all=true", "&after=&items_per_page=1"] {
        let text = async |format: &str| {
            let path = format!("/results?format={format}{page}");
            api.get(&path).await.text().await.unwrap()
        };
        // A bibliography has the newest version, a row its own.
        for (format, parts) in [
            (
                "bibtex",
                vec!["@article{alves2024", "10.1103/x", "year = {2025}", "Abstract 2"],
            ),
            ("csl-json", vec!["\"DOI\":\"10.1103/x\"", "article-journal"]),
            ("ris", vec!["DO  - 10.1103/x", "PY  - 2025"]),
            (
                "atom",
                vec![
                    "<id>http://arxiv.org/abs/2405.00001v2</id>",
                    "<arxiv:affiliation>CERN</arxiv:affiliation>",
                    "<summary>Abstract 2</summary>",
                ],
            ),
            (
                "csv",
                vec![
                    ",\"A. A. Alves, Jr.\",,2024-05-03T10:00:00Z,2024-05-03T10:00:00Z,9 pages,Abstract 1,\r\n",
                ],
            ),
            (
                "ndjson",
                vec!["\"affiliations\":[\"CERN\"]", "\"abstract\":\"Abstract 1\""],
            ),
        ] {
            let text = text(format).await;
            for part in parts {
                assert!(text.contains(part), "{part} is not in {text}");
            }
        }
        let chosen = text("json&fields=abstract,title").await;
        assert_eq!(chosen, "[{\"title\":\"On $x$\",\"abstract\":\"Abstract 1\"}]");
        let compatible = text("json").await;
        assert_eq!(
            compatible,
            "[{\"author\":\"A. A. Alves, Jr.\",\"title\":\"On $x$\",\"journal\":\"\"}]"
        );
    }
    assert_eq!(api.get("/results?fields=titel").await.status(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_whole_papers_is_another_one_when_arxiv_adds_to_a_paper() {
    let api = Api::start(&[]).await;
    for statement in WHOLE.split(';') {
        api.execute(statement).await;
    }
    api.operator.settle().await;
    let path = "/results?after=&items_per_page=1&format=bibtex";
    let first = api.get(path).await;
    assert_eq!(header(&first, "cache-control"), Some("no-cache"));
    let tag = header(&first, "etag").unwrap().to_owned();
    let again = async || {
        let answer = api.send_with("GET", path, &[("if-none-match", &tag)]).await;
        answer.status().as_u16()
    };
    assert_eq!(again().await, 304);
    api.execute("update public.arxiv_papers set doi = '10.1103/y'")
        .await;
    assert_eq!(again().await, 200);
}
