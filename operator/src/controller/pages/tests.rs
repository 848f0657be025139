use storage::PageVersion;

use super::*;

/// Whether a page with papers of these times is taken, and whether something may be missing then.
type Looked = (&'static [i64], Join, bool);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn look_at(found: &mut Found, times: &[i64], after: Option<i64>) -> Join {
    let key = PageKey {
        search: String::new(),
        day: jiff::civil::date(2026, 3, 2),
        start: 0,
        count: u32::try_from(times.len()).unwrap(),
        version: PageVersion::Newest,
    };
    let papers = times.iter().map(|time| PaperVersion {
        updated: Some(at(*time)),
        ..PaperVersion::default()
    });
    let mut page = FoundPage {
        head: PageHead {
            total: 9,
            title: String::new(),
            date: None,
            status: 200,
            defects: Vec::new(),
        },
        papers: Some(papers.collect::<Vec<_>>().into()),
        fetched_at: at(0),
        found_at: at(0),
    };
    let join = found.look_at(&key, &mut page, after.map(at), Depth::Papers);
    if join == Join::Made {
        found.pages.push(StoredPage {
            key,
            head: page.head,
            fetched_at: page.fetched_at,
            found_at: page.found_at,
            papers: None,
        });
    }
    join
}

#[test]
fn page_that_may_have_passed_papers_over_is_looked_at_again_with_more_in_common() {
    use Join::{Made, Retry};
    let cases: [(&str, Option<i64>, &[Looked]); 4] = [
        (
            "joined",
            None,
            &[
                (&[9, 7], Made, false),
                (&[8, 5], Made, false),
                (&[6, 4], Made, false),
            ],
        ),
        (
            "joined with more in common, each time",
            None,
            &[
                (&[9, 7], Made, false),
                (&[7, 5], Retry, false),
                (&[8, 5], Made, false),
                (&[4, 3], Retry, false),
                (&[6, 4], Made, false),
            ],
        ),
        (
            "never joined",
            None,
            &[
                (&[9, 7], Made, false),
                (&[7, 5], Retry, false),
                (&[7, 5], Made, true),
                (&[6, 4], Made, true),
            ],
        ),
        (
            "what is left is too old",
            Some(8),
            &[(&[9, 7], Made, false), (&[7, 5], Made, false)],
        ),
    ];
    for (name, after, pages) in cases {
        let mut found = Found::default();
        for (times, join, is_short) in pages {
            assert_eq!(look_at(&mut found, times, after), *join, "{name}: {times:?}");
            assert_eq!(found.is_short, *is_short, "{name}: {times:?}");
        }
    }
}
