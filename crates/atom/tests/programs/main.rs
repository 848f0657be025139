//! Feeds as the programs read them that people use: feedparser, and an XML parser.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::Path, time::Duration};

use atom::{Feed, TAIL, head, write_entry};
use jiff::Timestamp;
use paper::{Author, Link, PaperId, PaperVersion};
use serde_json::{Value, json};
use testbed::{TempDir, process::Spec, tools::packages};

/// On a busy machine.
const LIMIT: Duration = Duration::from_mins(5);
/// When a paper without dates was found.
const SEEN: &str = "2024-07-01T00:00:00Z";

fn author(name: &str, affiliations: &[&str]) -> Author {
    Author {
        name: name.into(),
        affiliations: affiliations.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn link(href: &str, rel: &str, title: &str) -> Link {
    Link {
        href: href.into(),
        rel: rel.into(),
        title: title.into(),
    }
}

/// Papers, each with what its entry has to say.
fn papers() -> Vec<(PaperVersion, Value)> {
    let whole = PaperVersion {
        id: PaperId::of_entry("2405.00001v2"),
        title: "On $a<b$ & <b>\"quotes\"</b> ]]> 'and' &amp; more".into(),
        authors: vec![
            author("Paul Erdős", &["Hungarian Academy & Co", "Univ. <X>"]),
            author("王小明", &[]),
        ],
        abstract_text: "We show $\\alpha < \\beta \\& x^2 > 0$ 𝔸.".into(),
        comment: Some("12 pages, <i>no</i> figures".into()),
        journal: Some("J. A & B 1 (2024) 1--2".into()),
        doi: Some("10.1002/(SICI)30:4<305::AID>3.0 10.1/b".into()),
        categories: vec!["math.CO".into(), "cs.DM".into()],
        published: "2024-05-01T10:00:00Z".parse().ok(),
        updated: "2024-05-02T10:00:00.75Z".parse().ok(),
        links: vec![
            link("https://arxiv.org/abs/2405.00001v2", "alternate", ""),
            link("https://arxiv.org/pdf/2405.00001v2", "related", "pdf"),
            link(
                "https://doi.org/10.1002/(SICI)30:4<305::AID>3.0",
                "related",
                "doi",
            ),
            link("https://example.org/other", "alternate", ""),
        ],
    };
    let whole_facts = json!({
        "id": "http://arxiv.org/abs/2405.00001v2", "title": whole.title, "summary": whole.abstract_text,
        "updated": "2024-05-02T10:00:01Z", "published": "2024-05-01T10:00:00Z",
        "authors": ["Paul Erdős", "王小明"], "affiliations": ["Hungarian Academy & Co", "Univ. <X>"],
        "comment": whole.comment, "journal": whole.journal, "doi": whole.doi,
        "primary": ["math.CO"], "categories": ["math.CO", "cs.DM"],
        "links": [["alternate", "https://arxiv.org/abs/2405.00001v2"],
            ["related", "https://arxiv.org/pdf/2405.00001v2"],
            ["related", "https://doi.org/10.1002/(SICI)30:4%3C305::AID%3E3.0"],
            ["related", "https://example.org/other"]],
    });
    // What a row of results says of a paper.
    let short = PaperVersion {
        id: PaperId::of_entry("hep-th/9901001v1"),
        title: "A\0B\u{b}C\u{fffe}".into(),
        ..PaperVersion::default()
    };
    let short_facts = json!({
        "id": "http://arxiv.org/abs/hep-th/9901001v1", "title": "A\u{fffd}B\u{fffd}C\u{fffd}", "updated": SEEN, "published": null,
        "summary": null, "authors": [], "primary": [], "categories": [], "doi": null,
        "links": [["alternate", "https://arxiv.org/abs/hep-th/9901001v1"],
            ["related", "https://arxiv.org/pdf/hep-th/9901001v1"]],
    });
    let own = PaperVersion {
        id: PaperId {
            paper: "result-7".into(),
            version: None,
        },
        title: "Without an identifier".into(),
        authors: vec![author("A. B.", &[])],
        published: "1999-01-01T00:00:00Z".parse().ok(),
        ..PaperVersion::default()
    };
    let own_facts = json!({
        "id": atom::urn(&["paper", "result-7", "Without an identifier", "A. B."]), "title": own.title,
        "updated": "1999-01-01T00:00:00Z", "links": [],
    });
    let names: Vec<_> = (0..3000).map(|n| format!("Author {n}")).collect();
    let many = PaperVersion {
        id: PaperId::of_entry("2405.00002v1"),
        title: "Many".into(),
        authors: names.iter().map(|name| author(name, &[])).collect(),
        ..PaperVersion::default()
    };
    let many_facts = json!({"id": "http://arxiv.org/abs/2405.00002v1", "authors": names});
    vec![
        (whole, whole_facts),
        (short, short_facts),
        (own, own_facts),
        (many, many_facts),
    ]
}

#[tokio::test]
async fn feed_reader_reads_back_what_each_paper_is() {
    let install = || packages::python("python-atom", include_str!("requirements.txt")).unwrap();
    let bin = tokio::task::spawn_blocking(install).await.unwrap();
    let folder = TempDir::new("atom").unwrap();
    let seen: Timestamp = SEEN.parse().unwrap();
    let feed = Feed {
        id: atom::urn(&["test"]),
        title: "Papers & \"more\" <x>".into(),
        subtitle: None,
        updated: seen,
        links: vec![("next", "?after=x&format=atom".into())],
    };
    let papers = papers();
    let mut text = head(&feed).unwrap().into_bytes();
    for (paper, _) in &papers {
        write_entry(&mut text, None, paper, seen).unwrap();
    }
    text.extend_from_slice(TAIL.as_bytes());
    let facts: Vec<_> = papers.into_iter().map(|(_, facts)| facts).collect();
    let facts = json!({"feed": [feed.id, feed.title, SEEN], "papers": facts});
    fs::write(folder.path().join("papers.xml"), text).unwrap();
    fs::write(folder.path().join("facts.json"), facts.to_string()).unwrap();
    Spec::new(bin.join("python"), folder.path().join("python.log"))
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/read.py"))
        .run(LIMIT)
        .await
        .unwrap();
}
