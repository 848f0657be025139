//! What is read of papers.

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use paper::{Author, PaperId, PaperVersion};
use storage::{
    PaperBatch, PaperFilter, PaperOrder, PaperSource, Reads, Record, StorageError, StoredPaper, TextQuery,
};
use uuid::Uuid;

use crate::{
    records::objects::{in_one, object, recorded},
    setup::Server,
};

struct One(Vec<PaperVersion>);

impl PaperSource for One {
    fn batch_count(&self) -> usize {
        1
    }

    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>> {
        let batch = PaperBatch {
            papers: self.0.clone().into(),
            fetched_at: Timestamp::UNIX_EPOCH,
        };
        stream::iter([Ok(batch)]).boxed()
    }
}

fn paper(id: &str, day: &str, title: &str, author: &str) -> PaperVersion {
    let time: Timestamp = format!("{day}T10:00:00Z").parse().unwrap();
    PaperVersion {
        id: PaperId::of_entry(id),
        title: title.into(),
        authors: vec![Author {
            name: author.into(),
            ..Author::default()
        }],
        abstract_text: format!("About {title}"),
        categories: vec!["math.CO".into()],
        published: Some("2024-01-01T00:00:00Z".parse().unwrap()),
        updated: Some(time),
        ..PaperVersion::default()
    }
}

fn words(text: &str) -> Option<TextQuery> {
    TextQuery::parse(text).ok()
}

fn ids(found: &[StoredPaper]) -> Vec<String> {
    found.iter().map(|found| found.paper.id.to_string()).collect()
}

/// A filter with this in it.
fn with(set: impl FnOnce(&mut PaperFilter)) -> PaperFilter {
    let mut filter = PaperFilter::default();
    set(&mut filter);
    filter
}

/// Three papers, the last submitted first.
const NEWEST_FIRST: [&str; 3] = ["2405.00001v2", "2405.00003v1", "math/0309136v1"];

/// Their versions, as they were recorded, and what reads them.
async fn read() -> (Server, Vec<PaperVersion>, Reads) {
    let server = Server::migrated().await;
    let papers = One(vec![
        paper("2405.00001v1", "2024-05-01", "Random graphs", "Paul Erdős"),
        paper(
            "2405.00001v2",
            "2024-05-09",
            "Random graphs revisited",
            "Paul Erdős",
        ),
        PaperVersion {
            doi: Some("10.1/A 10.1/b".into()),
            journal: Some("Publ. Math. 6".into()),
            comment: Some("12 pages".into()),
            published: Some("2023-01-01T00:00:00Z".parse().unwrap()),
            ..paper("math/0309136v1", "2024-05-05", "Graphs on graphs", "A. Rényi")
        },
        PaperVersion {
            categories: vec!["hep-th".into(), "cs.DM".into()],
            ..paper("2405.00003v1", "2024-05-07", "On Erdős", "B. Graphs")
        },
    ]);
    let record = Record {
        object: object(Uuid::new_v4()),
        query_id: 1,
        timestamp: 1,
        status: 200,
        num_results: 4,
        query: "q",
        papers: &papers,
        feed: None,
    };
    recorded(in_one(&server).record(&record).await.unwrap());
    let pool = server.pool("arxiv_ro", "arxiv");
    let reads = Reads::new(pool.clone(), pool, None);
    (server, papers.0, reads)
}

#[tokio::test]
async fn paper_is_read_as_it_was_recorded_by_its_version_or_the_newest() {
    let (_server, papers, reads) = read().await;
    for paper in &papers {
        let found = reads.paper(&paper.id).await.unwrap().unwrap();
        assert_eq!(&found.paper, paper);
    }
    for (id, expected) in [
        ("2405.00001", Some(2)),
        ("2405.00001v3", None),
        ("2405.99999", None),
    ] {
        let found = reads.paper(&PaperId::of_entry(id)).await.unwrap();
        let version = found.and_then(|found| found.paper.id.version);
        assert_eq!(version, expected, "{id}");
    }
}

#[tokio::test]
async fn papers_are_found_and_counted_by_each_condition() {
    let (_server, _, reads) = read().await;
    let time = |text: &str| text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    let noon = || time("2024-05-07T10:00:00Z");
    let [first, second, third] = NEWEST_FIRST;
    let both = with(|filter| {
        filter.author = words("\"paul erdos\"");
        filter.words = words("revisited");
    });
    for (filter, expected) in [
        (PaperFilter::default(), vec![first, second, third]),
        (
            with(|filter| filter.words = words("GRAPHS")),
            vec![first, second, third],
        ),
        (with(|filter| filter.words = words("erdos")), vec![first, second]),
        (with(|filter| filter.author = words("erdos")), vec![first]),
        (both, vec![first]),
        (with(|filter| filter.words = words("math pages")), vec![third]),
        (
            with(|filter| filter.category = Some("math.CO".into())),
            vec![first, third],
        ),
        (with(|filter| filter.category = Some("cs.*".into())), vec![second]),
        (
            with(|filter| filter.category = Some("hep-th".into())),
            vec![second],
        ),
        (with(|filter| filter.doi = Some("10.1/a".into())), vec![third]),
        (with(|filter| filter.doi = Some("10.1/B".into())), vec![third]),
        (with(|filter| filter.doi = Some("10.1".into())), vec![]),
        (
            with(|filter| filter.updated = (noon(), None)),
            vec![first, second],
        ),
        (
            with(|filter| filter.updated = (None, noon())),
            vec![second, third],
        ),
        (
            with(|filter| filter.published = (None, time("2023-12-31T00:00:00Z"))),
            vec![third],
        ),
    ] {
        let found = reads.papers(&filter, PaperOrder::Updated, None, 10).await;
        assert_eq!(ids(&found.unwrap()), expected, "{filter:?}");
        let total = reads.papers_total(&filter).await.unwrap();
        assert_eq!(total, i64::try_from(expected.len()).ok(), "{filter:?}");
    }
}

#[tokio::test]
async fn papers_are_walked_a_page_at_a_time_in_each_order() {
    let (_server, _, reads) = read().await;
    let graphs = with(|filter| filter.words = words("graphs"));
    let [first, second, third] = NEWEST_FIRST;
    for (order, expected) in [
        (PaperOrder::Updated, [first, second, third]),
        (PaperOrder::Published, [second, first, third]),
        (PaperOrder::Relevance, [third, first, second]),
    ] {
        let mut walked = Vec::new();
        let mut after = None;
        loop {
            let page = reads.papers(&graphs, order, after.as_ref(), 1).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.position(order));
            walked.extend(ids(&page));
            assert!(walked.len() <= 3, "{walked:?}");
        }
        assert_eq!(walked, expected, "{order:?}");
    }
}

/// More papers than are looked at without an index come before those with the words.
#[tokio::test]
async fn rare_words_are_walked_by_relevance_from_titles_to_the_rest_and_by_date_over_the_years() {
    let (server, _, reads) = read().await;
    let rows = "insert into arxiv_papers (paper, version, title, authors, abstract, categories, published, updated, links,
           first_seen_at, changed_at, fetched_at, category_keys, words)
         select n::text, 1, '', '[]', '', '{}', t, t, '[]', t, t, t, '{}', case
           when n % 20 = 0 then setweight(to_tsvector('simple', 'rare'), 'C')
           when n % 20 = 1 then setweight(to_tsvector('simple', 'other rare'), 'A')
           else '' end::tsvector
         from generate_series(100, 399) n, lateral (select timestamptz '2000-01-01Z' + n * interval '30 days' as t) times";
    server.execute("arxiv", rows).await;
    let rows = "insert into arxiv_papers select (n + 1000)::text, 1, '', '[]', '', null, null, null, '{}', t, t, '[]', t, t, t, '{}', ''
         from generate_series(1, 60) n, lateral (select timestamptz '2040-01-01Z' + n * interval '1 day' as t) times";
    server.execute("arxiv", rows).await;
    let rare = with(|filter| filter.words = words("rare"));
    let of_titles = (100..400).rev().filter(|n| n % 20 == 1);
    let of_abstracts = (100..400).rev().filter(|n| n % 20 == 0);
    let by_relevance: Vec<_> = of_titles.chain(of_abstracts).map(|n| format!("{n}v1")).collect();
    let by_date = (100..400).rev().filter(|n| n % 20 <= 1);
    let by_date: Vec<_> = by_date.map(|n| format!("{n}v1")).collect();
    for (order, expected) in [
        (PaperOrder::Relevance, by_relevance),
        (PaperOrder::Updated, by_date.clone()),
        (PaperOrder::Published, by_date),
    ] {
        for of_a_page in [1, 4, 200] {
            let mut walked = Vec::new();
            let mut after = None;
            while walked.len() <= expected.len() {
                let page = reads
                    .papers(&rare, order, after.as_ref(), of_a_page)
                    .await
                    .unwrap();
                let Some(last) = page.last() else { break };
                after = Some(last.position(order));
                walked.extend(ids(&page));
            }
            assert_eq!(walked, expected, "{order:?} {of_a_page}");
        }
    }
}
