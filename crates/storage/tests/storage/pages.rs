use std::{ops::Deref, time::Duration};

use futures::future::join_all;
use jiff::civil::date;
use paper::{Author, Link, PaperId, PaperVersion};
use storage::{Gate, GateSettings, Page, PageHead, PageKey, PageVersion, Pages, StorageError};

use crate::setup::{Server, eventually};

fn key(search: &str, start: u32) -> PageKey {
    PageKey {
        search: search.into(),
        day: date(2024, 3, 31),
        start,
        count: 8,
        version: PageVersion::Newest,
    }
}

/// A page that is to be stored.
struct NewPage {
    head: PageHead,
    papers: Vec<PaperVersion>,
    keep_for: Option<Duration>,
}

fn page(title: &str) -> NewPage {
    let paper = PaperVersion {
        id: PaperId::of_entry("2405.00001v1"),
        title: "Árvíz \\ \"".into(),
        authors: vec![Author {
            name: "Erdős".into(),
            affiliations: vec!["Szeged".into()],
        }],
        abstract_text: "We show $x$.".into(),
        comment: Some("3 pages".into()),
        journal: None,
        doi: Some("10.1000/x".into()),
        categories: vec!["math.CO".into()],
        published: Some("2024-05-01T10:00:00Z".parse().unwrap()),
        updated: Some("2024-05-02T10:00:00Z".parse().unwrap()),
        links: vec![Link {
            href: "http://arxiv.org/abs/2405.00001v1".into(),
            rel: "alternate".into(),
            title: String::new(),
        }],
    };
    NewPage {
        head: PageHead {
            total: 1234,
            title: title.into(),
            date: Some("2024-03-31T00:00:00.5Z".parse().unwrap()),
            status: 200,
            defects: vec!["entry 3 has no identifier".into()],
        },
        papers: vec![paper],
        keep_for: None,
    }
}

/// The pages, with the gate that they are stored in a lease of.
struct Store {
    pages: Pages,
    gate: Gate,
}

impl Deref for Store {
    type Target = Pages;

    fn deref(&self) -> &Pages {
        &self.pages
    }
}

async fn put(store: &Store, key: &PageKey, page: NewPage) -> Page {
    let mut lease = store.gate.acquire(Duration::from_mins(1)).await.unwrap();
    let stored = store.put(&mut lease, key, page.head, page.papers, page.keep_for);
    let stored = stored.await.unwrap();
    lease.release().await;
    stored
}

async fn put_title(pages: &Store, key: &PageKey, page: NewPage) -> String {
    put(pages, key, page).await.head.title
}

fn pages(server: &Server) -> Store {
    let url = server.url("arxiv_upstream", "arxiv_sequence");
    Store {
        pages: Pages::new(server.pool("arxiv_upstream", "arxiv_sequence")),
        gate: Gate::new(GateSettings::new(url, "pages".into())).unwrap(),
    }
}

#[tokio::test]
async fn page_of_first_writer_is_kept_and_read_unchanged() {
    let server = Server::migrated().await;
    let pages = pages(&server);
    // Longer than an index entry may be.
    let long = "ti:árvíztűrő ".repeat(1000);
    let key = key(&long, 0);
    assert_eq!(pages.get(&key).await.unwrap(), None);
    let stored = join_all((0..8).map(|n| {
        let (pages, key) = (&pages, &key);
        async move { put(pages, key, page(&format!("try {n}"))).await }
    }))
    .await;
    let current = pages.get(&key).await.unwrap().unwrap();
    assert!(stored.iter().all(|stored| *stored == current), "{stored:?}");
    let written = page(&current.head.title);
    assert_eq!((current.head, current.papers), (written.head, written.papers));
    let age = pages.now().await.unwrap().duration_since(current.fetched_at);
    assert!(age.as_secs() < 60 && !age.is_negative(), "{age}");
    // Each part of the key counts.
    let day = date(2024, 4, 1);
    for other in [
        PageKey {
            start: 8,
            ..key.clone()
        },
        PageKey {
            count: 9,
            ..key.clone()
        },
        PageKey { day, ..key.clone() },
    ] {
        assert_eq!(pages.get(&other).await.unwrap(), None);
    }
}

#[tokio::test]
async fn page_is_replaced_after_it_expires() {
    let server = Server::migrated().await;
    let pages = pages(&server);
    let key = key("ti:nothing", 0);
    let empty = || NewPage {
        papers: Vec::new(),
        keep_for: Some(Duration::from_secs(3)),
        ..page("empty")
    };
    assert_eq!(put_title(&pages, &key, empty()).await, "empty");
    assert_eq!(put_title(&pages, &key, page("found")).await, "empty");
    eventually("the page ends", async || pages.get(&key).await.unwrap().is_none()).await;
    assert_eq!(put_title(&pages, &key, page("found")).await, "found");
    assert_eq!(put_title(&pages, &key, empty()).await, "found");
}

#[tokio::test]
async fn pages_of_old_days_and_beyond_size_are_pruned() {
    let server = Server::migrated().await;
    let pages = pages(&server);
    let yesterday = PageKey {
        day: date(2024, 3, 30),
        ..key("s", 0)
    };
    put(&pages, &yesterday, page("yesterday")).await;
    for start in 0..4 {
        put(&pages, &key("s", start), page("today")).await;
    }
    let over = NewPage {
        keep_for: Some(Duration::ZERO),
        ..page("over")
    };
    put(&pages, &key("s", 4), over).await;

    // A search that is under way keeps its pages, but for those past their time.
    assert_eq!(
        pages.prune(date(2024, 3, 31), 0, &["other", "s"]).await.unwrap(),
        1
    );
    assert_eq!(
        pages
            .prune(date(2024, 3, 31), u64::MAX, &["other"])
            .await
            .unwrap(),
        1
    );
    let bytes: i64 = server
        .value("arxiv_sequence", "select bytes from arxiv_pages limit 1")
        .await;
    // Space for two and a half: the two that were fetched last are kept.
    let space = u64::try_from(bytes * 5 / 2).unwrap();
    assert_eq!(pages.prune(date(2024, 3, 31), space, &[]).await.unwrap(), 2);
    let mut kept = Vec::new();
    for start in 0..4 {
        kept.push(pages.get(&key("s", start)).await.unwrap().is_some());
    }
    assert_eq!(kept, [false, false, true, true]);
}

/// A refreshed page is for those who come later; who went on with the one before finds that.
#[tokio::test]
async fn page_version_is_stable_when_later_versions_are_stored() {
    let server = Server::migrated().await;
    let pages = pages(&server);
    let (newest, before_all) = (key("ti:x", 0), pages.now().await.unwrap());
    let of = |version| PageKey {
        version,
        ..newest.clone()
    };
    let title = async |version| pages.get(&of(version)).await.unwrap().map(|page| page.head.title);
    assert_eq!(title(PageVersion::AsOf(before_all)).await, None);
    let first = put_title(&pages, &of(PageVersion::AsOf(before_all)), page("first")).await;
    assert_eq!(first, "first");
    let between = pages.now().await.unwrap();
    assert_eq!(
        title(PageVersion::After(between)).await,
        None,
        "none is fresh enough"
    );
    // Asked for once by two who want it that fresh.
    for other in ["second", "third"] {
        let stored = put_title(&pages, &of(PageVersion::After(between)), page(other)).await;
        assert_eq!(stored, "second", "{other}");
    }
    let later = pages.now().await.unwrap();
    // By a clock that is behind, what was just fetched is taken nevertheless.
    let future = later.checked_add(Duration::from_hours(1)).unwrap();
    let stored = put_title(&pages, &of(PageVersion::After(future)), page("fourth")).await;
    assert_eq!(stored, "fourth");
    for (version, expected) in [
        (PageVersion::Newest, "fourth"),
        (PageVersion::AsOf(before_all), "first"),
        (PageVersion::AsOf(between), "first"),
        (PageVersion::AsOf(later), "second"),
        (PageVersion::After(before_all), "first"),
        (PageVersion::After(between), "second"),
        (PageVersion::After(later), "fourth"),
    ] {
        assert_eq!(title(version).await.as_deref(), Some(expected), "{version:?}");
    }
}

/// During an upgrade: to the version before, the hash was that of the search alone, and an entry had other members.
#[tokio::test]
async fn page_is_read_only_by_processes_that_know_its_form() {
    let server = Server::migrated().await;
    let pages = pages(&server);
    let key = key("ti:x", 0);
    let of_version_before = "
        insert into arxiv_pages (search_hash, search, day, start, count, total, title, status, entries, bytes)
        values (sha256('ti:x'), 'ti:x', '2024-03-31', 0, 8, 1, 'before', 200, '[{\"author\":\"A\",\"title\":\"T\",\"journal\":\"\"}]', 9)";
    server.execute("arxiv_sequence", of_version_before).await;
    assert_eq!(pages.get(&key).await.unwrap(), None);
    assert_eq!(put_title(&pages, &key, page("now")).await, "now");
    let found_by_version_before =
        "select string_agg(title, ',') from arxiv_pages where search_hash = sha256('ti:x')";
    let found: String = server.value("arxiv_sequence", found_by_version_before).await;
    assert_eq!(found, "before");
    // Both end with their day.
    assert_eq!(pages.prune(date(2024, 4, 1), u64::MAX, &[]).await.unwrap(), 2);
}

#[tokio::test]
async fn pages_that_are_looked_up_together_are_those_of_their_keys() {
    let server = Server::migrated().await;
    let pages = pages(&server);
    for (start, title) in [(0, "first"), (8, "second"), (16, "broken")] {
        put(&pages, &key("ti:x", start), page(title)).await;
    }
    let broken = "update arxiv_pages set entries = '[' where title = 'broken'";
    server.execute("arxiv_sequence", broken).await;
    // The first of them is looked up alone, the others together while it is.
    let asked = [
        (0, true),
        (8, true),
        (0, false),
        (24, true),
        (0, true),
        (16, true),
        (8, false),
    ];
    let keys = asked.map(|(start, with_papers)| (key("ti:x", start), with_papers));
    let found = join_all(
        keys.iter()
            .map(|(key, with_papers)| pages.find(key, *with_papers)),
    )
    .await;
    let found: Vec<_> = found
        .into_iter()
        .map(|page| page.map(|page| page.map(|page| (page.head.title, page.papers.is_some()))))
        .collect();
    let expected = [
        Some(("first", true)),
        Some(("second", true)),
        Some(("first", false)),
        None,
        Some(("first", true)),
        None,
        Some(("second", false)),
    ];
    for (index, expected) in expected.into_iter().enumerate() {
        let expected = expected.map(|(title, with_papers)| (title.to_owned(), with_papers));
        if index == 5 {
            assert!(matches!(found[index], Err(StorageError::Unreadable)), "{found:?}");
        } else {
            assert_eq!(found[index].as_ref().unwrap(), &expected, "{index}");
        }
    }
    // What the server refuses of one of them.
    let keys = ["ti:x", "a\0b", "ti:x"].map(|search| key(search, 0));
    let found = join_all(keys.iter().map(|key| pages.find(key, true))).await;
    assert!(found[1].as_ref().is_err_and(StorageError::is_invalid_value));
    assert!(found[2].as_ref().is_ok_and(Option::is_some));
}
