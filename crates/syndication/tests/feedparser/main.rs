//! Feeds as the program reads them that most readers in Python use.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use paper::{Author, PaperId, PaperVersion};
use serde_json::{Value, json};
use syndication::{Feed, Item};
use testbed::{TempDir, process::Spec, tools::packages};

/// For one program on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);

fn papers() -> Vec<PaperVersion> {
    let author = |name: &str| Author {
        name: name.to_owned(),
        affiliations: vec!["Eötvös & Co".to_owned()],
    };
    let titles = [
        "Two notes on $a<b$ & \"c\"",
        "Árvíztűrő <b>graphs</b>  of\n  girth 5",
    ];
    let paper = |(n, title): (u16, &str)| PaperVersion {
        id: PaperId::of_entry(&format!("math/030913{n}v{}", n + 1)),
        title: title.to_owned(),
        authors: vec![author("Donald E. Knuth"), author("Paul Erdős")],
        abstract_text: format!("We show that $x \\le y_{n}$ & $a < b$."),
        comment: (n == 0).then(|| "3 pages & 1 figure".to_owned()),
        doi: (n == 0).then(|| "10.1000/x<y>".to_owned()),
        categories: vec!["math.CO".to_owned(), "cs.DM".to_owned()],
        published: Some("2003-09-08T10:00:00Z".parse().unwrap()),
        updated: Some("2024-05-02T10:00:00Z".parse().unwrap()),
        ..PaperVersion::default()
    };
    (0..).zip(titles).map(paper).collect()
}

fn feed(papers: &[PaperVersion]) -> Feed<'_> {
    let items = (1..).zip(papers).map(|(n, paper)| Item {
        id: syndication::item_id("f", n, &paper.id),
        added: "2024-05-03T06:00:00Z".parse().unwrap(),
        paper,
    });
    Feed {
        id: syndication::feed_id("f"),
        title: "knuth & others".to_owned(),
        description: "author: <knuth>".to_owned(),
        address: "https://example.org/feeds/knuth.atom?a=1&b=2".to_owned(),
        home: "https://example.org/".to_owned(),
        next: None,
        updated: "2024-05-03T06:00:00Z".parse().unwrap(),
        items: items.collect(),
    }
}

fn facts(feed: &Feed<'_>) -> Value {
    let items = feed.items.iter().map(|item| {
        let paper = item.paper;
        let updated = paper.updated.unwrap().to_zoned(TimeZone::UTC);
        let title: Vec<_> = paper.title.split_whitespace().collect();
        json!({
            "id": item.id, "link": format!("https://arxiv.org/abs/{}", paper.id), "title": title.join(" "),
            "abstract": paper.abstract_text, "comment": paper.comment, "doi": paper.doi, "categories": paper.categories,
            "authors": paper.authors.iter().map(|author| &author.name).collect::<Vec<_>>(),
            "updated": paper.updated, "published": paper.published,
            "updated_fields": [updated.year(), updated.month(), updated.day(), updated.hour(), updated.minute(), updated.second()],
        })
    });
    json!({"title": feed.title, "address": feed.address, "items": items.collect::<Vec<_>>()})
}

#[tokio::test]
async fn feedparser_reads_back_what_each_item_is() {
    let install = || packages::python("python-feedparser", include_str!("requirements.txt")).unwrap();
    let bin = tokio::task::spawn_blocking(install).await.unwrap();
    let folder = TempDir::new("syndication").unwrap();
    let papers = papers();
    let feed = feed(&papers);
    for (name, text) in [
        ("feed.atom", syndication::atom(&feed).unwrap()),
        ("feed.rss", syndication::rss(&feed)),
        ("facts.json", facts(&feed).to_string()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/feedparser/read_back.py");
    Spec::new(bin.join("python"), folder.path().join("python.log"))
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(program)
        .run(LIMIT)
        .await
        .unwrap();
}

/// Papers as arXiv has them at worst.
fn odd_papers() -> Vec<PaperVersion> {
    let bare = PaperVersion {
        id: PaperId::of_entry("hep-th/9901001"),
        ..PaperVersion::default()
    };
    let hostile = PaperVersion {
        id: PaperId::of_entry("2405.00001v2"),
        title: "]]> <script>&amp; \u{0}\u{b}\u{ffff}\u{1F600}".to_owned(),
        abstract_text: " \n<p>\u{1}</p>".to_owned(),
        authors: ["", "A & <B>", "\u{7}"]
            .map(|name| Author {
                name: name.to_owned(),
                affiliations: vec![String::new()],
            })
            .to_vec(),
        categories: vec![String::new(), "a\"b".to_owned()],
        comment: Some(String::new()),
        updated: Some(Timestamp::MIN),
        published: Some(Timestamp::MAX),
        ..PaperVersion::default()
    };
    vec![bare, hostile]
}

#[tokio::test]
async fn atom_and_rss_are_valid_by_their_schemas() {
    let install = || packages::python("python-feedparser", include_str!("requirements.txt")).unwrap();
    let bin = tokio::task::spawn_blocking(install).await.unwrap();
    let folder = TempDir::new("syndication").unwrap();
    let (usual, odd) = (papers(), odd_papers());
    let mut with_next = feed(&odd);
    with_next.next = Some("https://example.org/feeds/knuth.atom?after=7&b".to_owned());
    for (name, feed) in [("usual", feed(&usual)), ("odd", with_next), ("empty", feed(&[]))] {
        let write =
            |end: &str, text: String| fs::write(folder.path().join(format!("{name}.{end}")), text).unwrap();
        write("atom", syndication::atom(&feed).unwrap());
        write("rss", syndication::rss(&feed));
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/feedparser");
    Spec::new(bin.join("python"), folder.path().join("python.log"))
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(own.join("validate.py"))
        .arg(own.join("schemas"))
        .run(LIMIT)
        .await
        .unwrap();
}

#[test]
fn json_feed_has_the_members_that_version_1_1_requires() {
    let papers = papers();
    let mut feed = feed(&papers);
    feed.next = Some("https://example.org/feeds/knuth.json?after=7".to_owned());
    let document = syndication::json_feed(&feed);
    assert_eq!(document["version"], "https://jsonfeed.org/version/1.1");
    assert_eq!(
        document["next_url"],
        "https://example.org/feeds/knuth.json?after=7"
    );
    let item = &document["items"][0];
    assert_eq!(item["id"], "tag:arxiv-operator.dev,2026:feeds/f/1/math/0309130v1");
    assert_eq!(item["external_url"], "https://arxiv.org/abs/math/0309130v1");
    assert_eq!(item["authors"][1]["name"], "Paul Erdős");
    assert_eq!(item["content_text"], papers[0].abstract_text);
    for name in ["date_published", "date_modified"] {
        assert!(
            item[name].as_str().unwrap().parse::<Timestamp>().is_ok(),
            "{name}"
        );
    }
}

#[test]
fn json_feed_of_odd_papers_has_only_texts_and_times_that_readers_know() {
    let papers = odd_papers();
    let document = syndication::json_feed(&feed(&papers));
    let [bare, hostile] = document["items"].as_array().unwrap().as_slice() else {
        panic!("{document}");
    };
    assert_eq!(bare["title"], "hep-th/9901001", "a list shows something of it");
    assert_eq!(
        bare["date_published"], "2024-05-03T06:00:00Z",
        "it became an item then"
    );
    assert_eq!(hostile["date_modified"], "2024-05-03T06:00:00Z");
    assert_eq!(hostile["tags"], json!(["a\"b"]));
    assert_eq!(hostile["authors"][0], json!({"name": "A & <B>"}));
}
