use atom::{ARXIV, ATOM};
use futures::stream;
use paper::{Author, Link, PaperId, PaperVersion};
use tokio_util::io::StreamReader;

use super::element::OPENSEARCH;
use super::*;
use crate::{DefectKind, query_in_title};

mod hostile;
mod written;

const MAX_BODY: usize = 8 * 1024 * 1024;

/// Parses a document that comes in chunks of `chunk` bytes.
async fn parse_in_chunks(document: &[u8], chunk: usize) -> Result<Feed, FeedError> {
    let chunks = document.chunks(chunk).map(Ok::<_, io::Error>);
    parse(StreamReader::new(stream::iter(chunks)), MAX_BODY, 100).await
}

async fn parse_all(document: &[u8]) -> Result<Feed, FeedError> {
    parse_in_chunks(document, 16 * 1024).await
}

/// The form of recent answers: all prefixes on the root.
const RECENT: &str = r#"<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">
  <id>https://arxiv.org/api/3fYzT0ZQ</id>
  <title>arXiv Query: search_query=ti:graphs AND au:Erdős&amp;id_list=&amp;start=0&amp;max_results=2</title>
  <updated>2026-04-12T22:09:27Z</updated>
  <link href="https://arxiv.org/api/query?search_query=ti:graphs&amp;start=0" type="application/atom+xml"/>
  <opensearch:itemsPerPage>2</opensearch:itemsPerPage>
  <opensearch:totalResults>1234</opensearch:totalResults>
  <opensearch:startIndex>0</opensearch:startIndex>
  <entry>
    <id>http://arxiv.org/abs/2405.00001v1</id>
    <title>On Árvíztűrő graphs &amp; $O(n^2)$ &lt;bounds&gt;
  in two  lines&#x21;</title>
    <updated>2024-05-01T17:59:46Z</updated>
    <link href="https://arxiv.org/abs/2405.00001v1" rel="alternate" type="text/html"/>
    <summary>  Short. </summary>
    <category term="cs.DM" scheme="http://arxiv.org/schemas/atom"/>
    <category term="math.CO" scheme="http://arxiv.org/schemas/atom"/>
    <category term="05C; 68R" scheme="http://arxiv.org/schemas/atom"/>
    <published>2024-05-01T17:59:46Z</published>
    <arxiv:comment>20 pages, title and all</arxiv:comment>
    <arxiv:primary_category term="math.CO"/>
    <arxiv:journal_ref>Phys.Rev. D70 (2004) &quot;013009&quot;</arxiv:journal_ref>
    <author>
      <name>Paul Erdős</name>
    </author>
    <author/>
    <author>
      <name>T&#243;th &apos;T&apos;</name>
      <arxiv:affiliation>Budapest</arxiv:affiliation>
      <arxiv:affiliation>Szeged</arxiv:affiliation>
    </author>
    <arxiv:doi>10.1103/PhysRevD.70.013009</arxiv:doi>
  </entry>
  <entry>
    <id>http://arxiv.org/abs/solv-int/9901001v2</id>
    <title>0</title>
  </entry>
</feed>
"#;

/// The older form: arXiv's prefix declared on each element that has it.
const OLDER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <link href="http://arxiv.org/api/query?search_query%3Dall" rel="self" type="application/atom+xml"/>
  <title type="html">ArXiv Query: search_query=all&amp;id_list=&amp;start=0&amp;max_results=1</title>
  <id>http://arxiv.org/api/cHxbiOdZaP56ODnBPIenZhzg5f8</id>
  <updated>2024-05-06T00:00:00-04:00</updated>
  <opensearch:totalResults xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">7</opensearch:totalResults>
  <opensearch:startIndex xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">0</opensearch:startIndex>
  <entry>
    <id>http://arxiv.org/abs/hep-ex/0307015v1</id>
    <title>Multi-Electron Production</title>
    <author>
      <name>H1 Collaboration</name>
      <arxiv:affiliation xmlns:arxiv="http://arxiv.org/schemas/atom">DESY</arxiv:affiliation>
    </author>
    <arxiv:journal_ref xmlns:arxiv="http://arxiv.org/schemas/atom">Eur.Phys.J. C31 (2003) 17-29</arxiv:journal_ref>
  </entry>
</feed>
"#;

/// A feed with this inside, after its title and total.
fn feed(inside: &str) -> String {
    format!(
        r#"<feed xmlns="{ATOM}" xmlns:o="{OPENSEARCH}" xmlns:x="{ARXIV}"><title>t</title><o:totalResults>1</o:totalResults>{inside}</feed>"#
    )
}

fn entry(title: &str) -> String {
    feed(&format!(
        "<entry><id>http://arxiv.org/abs/1v1</id>{title}</entry>"
    ))
}

fn author(name: &str, affiliations: &[&str]) -> Author {
    Author {
        name: name.into(),
        affiliations: affiliations.iter().map(|text| (*text).to_owned()).collect(),
    }
}

#[tokio::test]
async fn recent_feed_is_parsed_in_chunks_of_any_size() {
    for chunk in [1, 2, 3, 7, 64, usize::MAX] {
        let feed = parse_in_chunks(RECENT.as_bytes(), chunk).await.unwrap();
        assert_eq!(
            query_in_title(&feed.title),
            "search_query=ti:graphs AND au:Erdős&id_list=&start=0&max_results=2"
        );
        assert_eq!(feed.total, 1234);
        let expected = [
            PaperVersion {
                id: PaperId::of_entry("2405.00001v1"),
                title: "On Árvíztűrő graphs & $O(n^2)$ <bounds> in two lines!".into(),
                authors: vec![
                    author("Paul Erdős", &[]),
                    author("Tóth 'T'", &["Budapest", "Szeged"]),
                ],
                abstract_text: "Short.".into(),
                comment: Some("20 pages, title and all".into()),
                journal: Some("Phys.Rev. D70 (2004) \"013009\"".into()),
                doi: Some("10.1103/PhysRevD.70.013009".into()),
                categories: vec!["math.CO".into(), "cs.DM".into()],
                published: Some("2024-05-01T17:59:46Z".parse().unwrap()),
                updated: Some("2024-05-01T17:59:46Z".parse().unwrap()),
                links: vec![Link {
                    href: "https://arxiv.org/abs/2405.00001v1".into(),
                    rel: "alternate".into(),
                    title: String::new(),
                }],
            },
            PaperVersion {
                id: PaperId::of_entry("solv-int/9901001v2"),
                title: "0".into(),
                ..PaperVersion::default()
            },
        ];
        assert_eq!(feed.entries, expected, "in chunks of {chunk}");
    }
}

#[tokio::test]
async fn older_feed_is_parsed() {
    let feed = parse_in_chunks(OLDER.as_bytes(), 1).await.unwrap();
    assert_eq!(
        query_in_title(&feed.title),
        "search_query=all&id_list=&start=0&max_results=1"
    );
    assert_eq!(feed.total, 7);
    assert_eq!(feed.entries[0].authors, [author("H1 Collaboration", &["DESY"])]);
    assert_eq!(
        feed.entries[0].journal.as_deref(),
        Some("Eur.Phys.J. C31 (2003) 17-29")
    );
}

#[tokio::test]
async fn element_is_recognised_by_namespace_and_parent() {
    let document = format!(
        r#"<a:feed xmlns:a="{ATOM}" xmlns="urn:other"><title>not this</title><a:title>q: this</a:title>
        <opensearch:totalResults xmlns:opensearch="urn:other">8</opensearch:totalResults>
        <n xmlns:o="{OPENSEARCH}"><o:totalResults>9</o:totalResults></n>
        <totalResults xmlns="{OPENSEARCH}">1</totalResults>
        <a:author><a:name>of the feed</a:name></a:author>
        <a:entry><title>nor this</title><a:id>i</a:id><entry xmlns="{ATOM}"><title>nor that</title></entry>
        <title xmlns="{ATOM}">this one</title><journal_ref>not this</journal_ref>
        <a:source><a:title>of the source</a:title></a:source>
        <a:author><a:name>A</a:name><a:uri><a:name>no</a:name></a:uri></a:author><a:name>no</a:name></a:entry></a:feed>"#
    );
    let feed = parse_all(document.as_bytes()).await.unwrap();
    let entry = PaperVersion {
        id: PaperId::of_entry("i"),
        title: "this one".into(),
        authors: vec![author("A", &[])],
        ..PaperVersion::default()
    };
    assert_eq!(
        feed,
        Feed {
            title: "q: this".into(),
            total: 1,
            entries: vec![entry],
            ..Feed::default()
        }
    );
}

#[tokio::test]
async fn text_is_joined_from_its_pieces() {
    let cases = [
        ("a &amp; b", "a & b"),
        ("&lt;&gt;&quot;&apos;&#65;&#x41;&#x1F600;", "<>\"'AA😀"),
        ("a<![CDATA[ <b> & &amp; ]]>c", "a <b> & &amp; c"),
        ("a<!-- no -->b<?no pi?>c", "abc"),
        ("\u{FEFF}\u{A0} a\r\n\tb \u{2003} c ", "\u{FEFF} a b c"),
        ("a <b>no</b> c", "a c"),
        ("", ""),
        ("&amp;amp;", "&amp;"),
    ];
    for (written, read) in cases {
        let feed = parse_in_chunks(entry(&format!("<title>{written}</title>")).as_bytes(), 1)
            .await
            .unwrap();
        assert_eq!(feed.entries[0].title, read, "{written}");
    }
}

#[tokio::test]
async fn missing_element_is_an_empty_text() {
    let feed = parse_all(
        entry("<author/><author><name/></author><author><name> </name></author><x:journal_ref/>").as_bytes(),
    )
    .await
    .unwrap();
    let PaperVersion {
        title,
        authors,
        journal,
        ..
    } = &feed.entries[0];
    assert!(
        title.is_empty() && authors.is_empty() && journal.is_none(),
        "{feed:?}"
    );

    let untitled =
        format!(r#"<feed xmlns="{ATOM}"><totalResults xmlns="{OPENSEARCH}"> 0 </totalResults></feed>"#);
    let feed = parse_all(untitled.as_bytes()).await.unwrap();
    assert_eq!(feed, Feed::default());
}

#[tokio::test]
async fn byte_order_mark_is_skipped() {
    assert!(parse_all(format!("\u{FEFF}{RECENT}").as_bytes()).await.is_ok());
}

#[tokio::test]
async fn entry_with_thousands_of_authors_is_parsed() {
    let authors: Vec<_> = (0..20_000)
        .map(|n| format!("<author><name>N. {n}</name></author>"))
        .collect();
    let feed = parse_all(entry(&authors.concat()).as_bytes()).await.unwrap();
    assert_eq!(feed.entries[0].authors.len(), 20_000);
    assert_eq!(feed.entries[0].authors[19_999].name, "N. 19999");
}

#[tokio::test]
async fn entries_beyond_the_requested_number_are_dropped() {
    let document = feed(&"<entry><id>http://arxiv.org/abs/1v1</id></entry>".repeat(101));
    assert_eq!(parse_all(document.as_bytes()).await.unwrap().entries.len(), 100);
}

#[tokio::test]
async fn error_feed_is_reported_with_its_reason() {
    let error = |id: &str, title: &str, summary: &str| {
        let author = "<author><name>arXiv api core</name></author>";
        feed(&format!(
            "<entry><id>{id}</id><title>{title}</title>{summary}{author}</entry>"
        ))
    };
    let summary = "<summary>incorrect id format for &lt;x&gt;\n</summary>";
    let cases = [
        error(
            "https://arxiv.org/api/errors#incorrect_id_format_for_x",
            "Error",
            summary,
        ),
        error(
            "http://arxiv.org/api/errors#incorrect_id_format_for_x",
            "Error",
            summary,
        ),
        error("http://arxiv.org/api/errors", "Fehler", summary),
        error("", "Error", summary),
    ];
    for document in cases {
        let result = parse_all(document.as_bytes()).await;
        assert!(
            matches!(&result, Err(FeedError::Reported(reason)) if reason == "incorrect id format for <x>"),
            "{result:?} for {document}"
        );
    }
    let silent = error("http://arxiv.org/api/errors#x", "Error", "");
    assert!(
        matches!(parse_all(silent.as_bytes()).await, Err(FeedError::Reported(r)) if r == "no reason given")
    );

    let paper = error("http://arxiv.org/abs/2405.00001v1", "Error", summary);
    assert_eq!(
        parse_all(paper.as_bytes()).await.unwrap().entries[0].title,
        "Error"
    );
}

/// Each with its name and how the error's Debug text begins.
async fn assert_refused(cases: &[(&str, String, &str)]) {
    for (name, document, error) in cases {
        let result = parse_all(document.as_bytes()).await;
        let described = format!("{:?}", result.as_ref().map(|_| ()));
        assert!(
            described.starts_with(&format!("Err({error}")),
            "{name}: {described}"
        );
    }
}

#[tokio::test]
async fn document_that_is_not_a_feed_is_refused() {
    let total = |total: &str| format!(r#"<feed xmlns="{ATOM}" xmlns:o="{OPENSEARCH}">{total}</feed>"#);
    assert_refused(&[
        ("empty", String::new(), "NotAFeed"),
        ("blank", " \n ".into(), "NotAFeed"),
        ("only a declaration", "<?xml version='1.0'?>".into(), "NotAFeed"),
        ("a text", "Rate exceeded.".into(), "PlainText(\"Rate exceeded.\")"),
        ("JSON", "{\"a\": \"<\"}".into(), "PlainText"),
        ("a page", "<html><body>x</body></html>".into(), "NotAFeed"),
        (
            "a page in XHTML",
            "<html xmlns='http://www.w3.org/1999/xhtml'/>".into(),
            "NotAFeed",
        ),
        ("a feed of no namespace", "<feed/>".into(), "NotAFeed"),
        ("RSS", "<rss version='2.0'><channel/></rss>".into(), "NotAFeed"),
        (
            "a page with a DOCTYPE",
            "<!DOCTYPE html><html></html>".into(),
            "Doctype",
        ),
        (
            "entities of its own",
            format!(
                "<!DOCTYPE feed [<!ENTITY a 'aaaa'>]>{}",
                entry("<title>&a;</title>")
            ),
            "Doctype",
        ),
        (
            "cut off between two elements",
            RECENT[..RECENT.rfind("<entry").unwrap()].to_owned(),
            "Malformed",
        ),
        (
            "cut off in a tag",
            RECENT[..RECENT.len() - 4].to_owned(),
            "Syntax",
        ),
        (
            "without its last tag",
            RECENT.trim_end().trim_end_matches("</feed>").to_owned(),
            "Malformed",
        ),
        ("tags that do not pair", feed("<a><b></a></b>"), "Syntax"),
        (
            "two documents",
            format!("{RECENT}<feed xmlns='{ATOM}'/>"),
            "Malformed",
        ),
        ("text after the end", format!("{RECENT}oops"), "Malformed"),
        ("an unknown prefix", feed("<y:z/>"), "Malformed"),
        (
            "another encoding",
            format!("<?xml version='1.0' encoding='ISO-8859-1'?>{}", feed("")),
            "Malformed",
        ),
        ("no total", total(""), "Total"),
        ("an empty total", total("<o:totalResults/>"), "Total"),
        (
            "a total in words",
            total("<o:totalResults>many</o:totalResults>"),
            "Total",
        ),
        (
            "a total below zero",
            total("<o:totalResults>-1</o:totalResults>"),
            "Total",
        ),
        (
            "a total beyond all",
            total("<o:totalResults>99999999999</o:totalResults>"),
            "Total",
        ),
    ])
    .await;
}

#[tokio::test]
async fn interrupted_body_is_a_different_error_than_a_broken_document() {
    let half = &RECENT.as_bytes()[..RECENT.len() / 2];
    let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
    let chunks = stream::iter([Ok(half), Err(broken())]);
    assert!(matches!(
        parse(StreamReader::new(chunks), MAX_BODY, 1).await,
        Err(FeedError::Read(_))
    ));
}

#[tokio::test]
async fn broken_text_is_repaired_and_reported() {
    for (written, read) in [
        ("a & b", "a & b"),
        ("&nbsp;", "&nbsp;"),
        ("p < 0.05 and x<y", "p < 0.05 and x<y"),
        ("a\u{1}b", "a\u{FFFD}b"),
        ("a&#1;b", "a\u{FFFD}b"),
        ("a&#0;b", "a\u{FFFD}b"),
        ("a\0b", "a\u{FFFD}b"),
        ("&#xD800;", "\u{FFFD}"),
        ("<y:z/>", "<y:z/>"),
    ] {
        let document = entry(&format!("<title>{written}</title>"));
        let feed = parse_all(document.as_bytes()).await.unwrap();
        assert_eq!(feed.entries[0].title, read, "{written}");
        let [defect] = &feed.defects[..] else {
            panic!("{:?}", feed.defects)
        };
        assert_eq!(defect.kind, DefectKind::Repaired, "{written}");
        assert_eq!(defect.to_string(), "entry 1 (1v1) was repaired");
    }
}

#[tokio::test]
async fn broken_entry_costs_no_other() {
    let good =
        |n: u32| format!("<entry><id>http://arxiv.org/abs/2405.0000{n}v1</id><title>{n}</title></entry>");
    let long = "x".repeat(entry::MAX_TEXT + 1);
    for (broken, defect) in [
        (
            "<entry><id>http://arxiv.org/abs/2v1</id><title>a</summary></entry>".to_owned(),
            "entry 2 (2v1) is not well-formed",
        ),
        (
            "<entry><id>http://arxiv.org/abs/2v1</id><title>a".to_owned(),
            "entry 2 (2v1) is not well-formed",
        ),
        (
            "<entry><id>2v1</id><author><name>a</author></name></entry>".to_owned(),
            "entry 2 (2v1) is not well-formed",
        ),
        (
            format!("<entry><id>2v1</id><title>{long}</title></entry>"),
            "entry 2 (2v1) is too large",
        ),
        (
            "<entry><title>a</title></entry>".to_owned(),
            "entry 2 has no identifier",
        ),
        ("<entry/>".to_owned(), "entry 2 has no identifier"),
    ] {
        let document = feed(&[good(1), broken.clone(), good(3)].concat());
        for chunk in [1, usize::MAX] {
            let feed = parse_in_chunks(document.as_bytes(), chunk).await.unwrap();
            let titles: Vec<_> = feed.entries.iter().map(|entry| entry.title.as_str()).collect();
            assert_eq!(titles, ["1", "3"], "{broken:.80}");
            assert_eq!(feed.dropped, 1);
            let defects: Vec<_> = feed.defects.iter().map(ToString::to_string).collect();
            assert_eq!(defects, [defect], "{broken:.80}");
        }
    }
}

#[tokio::test]
async fn feed_of_broken_entries_is_refused_and_one_without_identifiers_is_empty() {
    let broken = "<entry><id>2v1</id><title>a</summary></entry>";
    assert_refused(&[(
        "broken entries",
        feed(&broken.repeat(3)),
        "Unreadable(\"entry 1 (2v1) is not well-formed\")",
    )])
    .await;
    let feed = parse_all(feed("<entry><title/></entry>").as_bytes())
        .await
        .unwrap();
    assert_eq!((feed.total, feed.entries.len(), feed.dropped), (1, 0, 1));
}

#[tokio::test]
async fn defects_of_a_feed_are_counted_and_the_first_are_listed() {
    let feed = parse_all(feed(&"<entry/>".repeat(60)).as_bytes()).await.unwrap();
    assert_eq!((feed.dropped, feed.defects.len()), (60, MAX_DEFECTS));
}
