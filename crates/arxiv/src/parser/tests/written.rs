//! What `atom` writes is what is read here.

use jiff::Timestamp;

use super::*;

#[tokio::test]
async fn paper_that_is_written_as_an_entry_is_read_back() {
    let link = |href: &str, rel: &str, title: &str| Link {
        href: href.into(),
        rel: rel.into(),
        title: title.into(),
    };
    let whole = PaperVersion {
        id: PaperId::of_entry("2405.00001v2"),
        title: "On $a<b$ & \"<b>\" ]]> &amp; 'more'".into(),
        authors: vec![
            author("Paul Erdős", &["Budapest & <Szeged>", "Univ."]),
            author("王小明", &[]),
        ],
        abstract_text: "We show $\\alpha < \\beta \\& x$ 𝔸.".into(),
        comment: Some("12 pages".into()),
        journal: Some("J. A & B 1 (2024)".into()),
        doi: Some("10.1002/(SICI)30:4<305::AID>3.0 10.1/b".into()),
        categories: vec!["math.CO".into(), "cs.DM".into()],
        published: "2024-05-01T10:00:00Z".parse().ok(),
        updated: "2024-05-02T10:00:00Z".parse().ok(),
        links: vec![
            link("https://arxiv.org/abs/2405.00001v2", "alternate", ""),
            link("https://arxiv.org/pdf/2405.00001v2?a=1&b=2", "related", "pdf"),
        ],
    };
    let short = PaperVersion {
        id: PaperId::of_entry("hep-th/9901001v1"),
        title: "T".into(),
        updated: Some(Timestamp::UNIX_EPOCH),
        links: vec![link("https://arxiv.org/abs/hep-th/9901001v1", "alternate", "")],
        ..PaperVersion::default()
    };
    let papers = [whole, short];
    let mut entries = Vec::new();
    for paper in &papers {
        atom::write_entry(&mut entries, None, paper, Timestamp::UNIX_EPOCH).unwrap();
    }
    let document = format!(
        r#"<feed xmlns="{ATOM}" xmlns:arxiv="{ARXIV}" xmlns:o="{OPENSEARCH}"><o:totalResults>2</o:totalResults>{}</feed>"#,
        String::from_utf8(entries).unwrap()
    );
    let feed = parse_all(document.as_bytes()).await.unwrap();
    assert_eq!(feed.entries, papers);
    assert_eq!(feed.defects, []);
}
