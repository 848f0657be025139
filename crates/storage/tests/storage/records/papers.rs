//! The table of papers, which records fill.

use std::collections::BTreeSet;

use futures::{
    StreamExt,
    future::join_all,
    stream::{self, BoxStream},
};
use jiff::{Timestamp, ToSpan};
use paper::{Author, Link, PaperId, PaperVersion};
use storage::{PaperBatch, PaperSource, QueryIdTaken, Record, Records, StorageError};
use uuid::Uuid;

use crate::{
    records::objects::{in_one, object, recorded},
    setup::{Server, Split, eventually},
};

/// The answers that a record is made of, one after the other.
struct Answers(Vec<PaperBatch>);

impl PaperSource for Answers {
    fn batch_count(&self) -> usize {
        self.0.len()
    }

    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>> {
        stream::iter(self.0.iter().cloned().map(Ok)).boxed()
    }

    fn in_memory(&self) -> Option<(&[PaperVersion], Timestamp)> {
        match self.0.as_slice() {
            [batch] => Some((&batch.papers, batch.fetched_at)),
            _ => None,
        }
    }
}

/// Papers whose second answer is gone.
struct Broken(PaperBatch);
impl PaperSource for Broken {
    fn batch_count(&self) -> usize {
        2
    }
    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>> {
        stream::iter([Ok(self.0.clone()), Err(StorageError::PageGone)]).boxed()
    }
}

/// A paper with all metadata.
fn whole(id: &str) -> PaperVersion {
    PaperVersion {
        id: PaperId::of_entry(id),
        title: "On $x^2$ & \"Árvíz\" \\".into(),
        authors: vec![
            Author {
                name: "Paul Erdős".into(),
                affiliations: vec!["Szeged".into(), "Budapest".into()],
            },
            Author {
                name: "A. A. Alves, Jr.".into(),
                affiliations: Vec::new(),
            },
        ],
        abstract_text: "We show that $x \\le y$.".into(),
        comment: Some("3 pages".into()),
        journal: None,
        doi: None,
        categories: vec!["math.CO".into(), "cs.DM".into()],
        published: Some("2024-05-01T10:00:00Z".parse().unwrap()),
        updated: Some("2024-05-02T10:00:00.25Z".parse().unwrap()),
        links: vec![Link {
            href: "http://arxiv.org/abs/2405.00001v1".into(),
            rel: "alternate".into(),
            title: String::new(),
        }],
    }
}

fn answer(papers: Vec<PaperVersion>, minute: i64) -> PaperBatch {
    PaperBatch {
        papers: papers.into(),
        fetched_at: Timestamp::UNIX_EPOCH + minute.minutes(),
    }
}

/// Records a search with these answers.
async fn search(records: &Records, number: i64, answers: Vec<PaperBatch>) {
    let answers = Answers(answers);
    recorded(records.record(&of(number, &answers)).await.unwrap());
}

fn of(number: i64, papers: &dyn PaperSource) -> Record<'_> {
    let uid = Uuid::from_u128(u128::try_from(number).unwrap());
    Record {
        object: object(uid),
        query_id: number,
        timestamp: 1_711_843_200,
        status: 200,
        num_results: 1,
        query: "q",
        papers,
        feed: None,
    }
}

/// The rows, each as JSON without what differs from run to run.
const ROWS: &str =
    "select coalesce(string_agg((to_jsonb(p) - '{first_seen_at,changed_at,words,head_words}'::text[])::text, E'\\n'
    order by paper, version), '') from arxiv_papers p";
/// Where the rows are: it changes whenever one is written or locked.
const PLACES: &str =
    "select string_agg(concat_ws(' ', ctid, xmin, xmax), '; ' order by paper, version) from arxiv_papers";

#[tokio::test]
async fn paper_is_stored_with_all_that_arxiv_tells() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    search(&records, 1, vec![answer(vec![whole("math/0309136v2")], 1)]).await;
    let row: String = server.value("arxiv", ROWS).await;
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    let expected = serde_json::json!({
        "paper": "math/0309136", "version": 2, "title": "On $x^2$ & \"Árvíz\" \\",
        "authors": [{"name": "Paul Erdős", "affiliations": ["Szeged", "Budapest"]}, {"name": "A. A. Alves, Jr."}],
        "abstract": "We show that $x \\le y$.", "comment": "3 pages", "journal": null, "doi": null,
        "categories": ["math.CO", "cs.DM"], "category_keys": ["math.CO", "cs.DM", "cs.*", "math.*"],
        "published": "2024-05-01T10:00:00+00:00", "updated": "2024-05-02T10:00:00.25+00:00",
        "links": [{"href": "http://arxiv.org/abs/2405.00001v1", "rel": "alternate"}],
        "fetched_at": "1970-01-01T00:01:00+00:00",
    });
    assert_eq!(row, expected);
    for (words, found) in [
        ("arviz:A", true),
        ("erdos:B & alves:B", true),
        ("show:C", true),
        ("pages:D", true),
        ("erdos:A", false),
        ("szeged", false),
    ] {
        let query = format!("select count(*) from arxiv_papers where words @@ '{words}'");
        assert_eq!(
            server.value::<i64>("arxiv", &query).await,
            i64::from(found),
            "{words}"
        );
    }
    // Each row of results has its paper.
    let joined =
        "select count(*) from results r join arxiv_papers p on r.arxiv_id = p.paper || 'v' || p.version";
    assert_eq!(server.value::<i64>("arxiv", joined).await, 1);
}

#[tokio::test]
async fn paper_that_was_removed_is_written_again_with_the_next_search_that_has_it() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let papers = ["2405.00001v1", "2405.00002"].map(whole);
    let answer = answer(papers.to_vec(), 10);
    search(&records, 1, vec![answer.clone()]).await;
    let rows: String = server.value("arxiv", ROWS).await;
    for (number, paper) in [(2, "2405.00001"), (3, "2405.00002")] {
        let remove = format!("delete from arxiv_papers where paper = '{paper}'");
        server.execute("arxiv", &remove).await;
        search(&records, number, vec![answer.clone()]).await;
        assert_eq!(server.value::<String>("arxiv", ROWS).await, rows, "{paper}");
    }
}

#[tokio::test]
async fn answer_updates_a_paper_only_when_it_is_newer_and_says_something_else() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let first = whole("2405.00001v1");
    search(&records, 1, vec![answer(vec![first.clone()], 10)]).await;
    let (rows, places): (String, String) = (
        server.value("arxiv", ROWS).await,
        server.value("arxiv", PLACES).await,
    );
    // The same, by a newer and by an older answer.
    for (number, minute) in [(2, 10), (3, 20), (4, 5)] {
        search(&records, number, vec![answer(vec![first.clone()], minute)]).await;
        assert_eq!(server.value::<String>("arxiv", PLACES).await, places, "{minute}");
    }
    // What an older answer says is not taken.
    let other = PaperVersion {
        comment: None,
        ..first.clone()
    };
    search(&records, 5, vec![answer(vec![other], 9)]).await;
    assert_eq!(server.value::<String>("arxiv", PLACES).await, places);
    // What arXiv adds later is.
    let later = PaperVersion {
        doi: Some("10.1000/x".into()),
        journal: Some("Ann. Math. 1 (2025)".into()),
        comment: Some("to appear".into()),
        categories: vec!["math.CO".into()],
        ..first.clone()
    };
    search(&records, 6, vec![answer(vec![later.clone()], 30)]).await;
    let changed: String = server.value("arxiv", ROWS).await;
    for part in ["10.1000/x", "Ann. Math", "to appear", "00:30:00"] {
        assert!(changed.contains(part) && !rows.contains(part), "{changed}");
    }
    let found = "select count(*) from arxiv_papers where words @@ 'appear & ann & !pages' and changed_at > first_seen_at
                   and category_keys = '{math.CO,math.*}'";
    assert_eq!(server.value::<i64>("arxiv", found).await, 1);
    // A version is a row of its own, also one that is not named.
    search(
        &records,
        7,
        vec![answer(vec![whole("2405.00001v2"), whole("2405.00001")], 40)],
    )
    .await;
    let versions = "select string_agg(version::text, ' ' order by version) from arxiv_papers";
    assert_eq!(server.value::<String>("arxiv", versions).await, "0 1 2");
}

#[tokio::test]
async fn paper_that_an_answer_has_twice_is_stored_once_and_odd_ones_are_stored() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    let twice = PaperVersion {
        title: "second".into(),
        ..whole("1v1")
    };
    let words = |length: usize| {
        let words: Vec<String> = (0..length / 6).map(|n| format!("{n:x}é")).collect();
        words.join(" ")
    };
    let long = PaperVersion {
        title: words(60_000),
        abstract_text: words(60_000),
        comment: Some(words(60_000)),
        journal: Some(words(60_000)),
        authors: (0..50_000)
            .map(|n| Author {
                name: format!("Ж. Ф. Щ{n}"),
                ..Author::default()
            })
            .collect(),
        published: Some(Timestamp::MIN),
        updated: Some(Timestamp::MAX),
        ..whole("2v1")
    };
    let empty = PaperVersion {
        id: PaperId::of_entry("3v1"),
        ..PaperVersion::default()
    };
    search(
        &records,
        1,
        vec![answer(vec![whole("1v1"), twice, long, empty], 1)],
    )
    .await;
    let titles = "select string_agg(left(title, 6), '|' order by paper) from arxiv_papers";
    let titles: String = server.value("arxiv", titles).await;
    assert_eq!(titles, "On $x^|0é 1é |");
    assert_eq!(
        server.value::<i64>("arxiv", "select count(*) from results").await,
        4
    );
}

/// Searches that find the same papers in different orders, some over several answers.
async fn overlapping(records: impl Fn() -> Records) {
    let papers: Vec<PaperVersion> = (0..60).map(|n| whole(&format!("2405.{n:05}v1"))).collect();
    let searches = (0..24_i64).map(|n| {
        let records = records();
        let mut papers = papers.clone();
        let turned = usize::try_from(n * 7).unwrap() % papers.len();
        papers.rotate_left(turned);
        if n % 2 == 0 {
            papers.reverse();
        }
        for paper in &mut papers {
            paper.comment = Some(format!("as of {n}"));
        }
        let size = if n % 3 == 0 { 20 } else { 60 };
        let answers = papers
            .chunks(size)
            .map(|chunk| answer(chunk.to_vec(), n))
            .collect();
        async move { search(&records, n + 1, answers).await }
    });
    join_all(searches).await;
}

const OUTCOME: &str = "select concat_ws(' ', count(*), count(distinct comment), min(comment),
    (select sum(deadlocks) from pg_stat_database)) from arxiv_papers";

#[tokio::test]
async fn concurrent_searches_for_the_same_papers_do_not_deadlock_and_the_newest_answer_stands() {
    let server = Server::migrated().await;
    overlapping(|| in_one(&server)).await;
    assert_eq!(server.value::<String>("arxiv", OUTCOME).await, "60 1 as of 23 0");
}

#[tokio::test]
async fn papers_are_in_the_database_of_results_when_split() {
    let split = Split::migrated().await;
    overlapping(|| split.records()).await;
    let outcome = format!("select case ({OUTCOME}) when '60 1 as of 23 0' then 1 else 0 end::bigint");
    assert_eq!(split.count(&outcome).await, 1);
    let of_queries = "select to_regclass('public.arxiv_papers') is null";
    assert!(split.queries.value::<bool>("arxiv", of_queries).await);
}

#[tokio::test]
async fn papers_are_written_with_their_results_or_not_at_all() {
    let server = Server::migrated().await;
    let records = in_one(&server);
    server
        .execute(
            "arxiv",
            "insert into queries (query_id, query) values (1, 'theirs')",
        )
        .await;
    let answers = Answers(vec![answer(vec![whole("1v1")], 1)]);
    assert_eq!(records.record(&of(1, &answers)).await.unwrap(), Err(QueryIdTaken));
    let broken = Broken(answer(vec![whole("2v1")], 1));
    let error = records.record(&of(2, &broken)).await.unwrap_err();
    assert!(matches!(error, StorageError::PageGone), "{error:?}");
    let all = "select (select count(*) from arxiv_papers) + (select count(*) from results)";
    eventually("the rollback", async || {
        server.value::<i64>("arxiv", all).await == 0
    })
    .await;
    search(
        &records,
        2,
        vec![answer(vec![whole("1v1")], 1), answer(vec![whole("2v1")], 2)],
    )
    .await;
    let ids = "select string_agg(arxiv_id, ' ' order by id) from results";
    let of_results: String = server.value("arxiv", ids).await;
    let of_results: BTreeSet<&str> = of_results.split(' ').collect();
    let of_papers: String = server
        .value(
            "arxiv",
            "select string_agg(paper || 'v' || version, ' ') from arxiv_papers",
        )
        .await;
    assert_eq!(of_results, of_papers.split(' ').collect());
}
