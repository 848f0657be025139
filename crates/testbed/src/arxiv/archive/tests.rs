use std::collections::BTreeMap;

use jiff::civil::Weekday;

use super::*;

fn year() -> Archive {
    Archive::new(ArchiveSpec {
        days: 365,
        ..ArchiveSpec::default()
    })
}

fn results(archive: &Archive, search: &str, by: &str, day: u32, answer: u64) -> Vec<Entry> {
    let sorted = Sorted {
        search,
        ids: "",
        by,
        order: "descending",
    };
    archive.results(&sorted, day, answer).unwrap()
}

#[test]
fn papers_appear_days_after_their_dates_on_working_days_and_the_seed_alone_decides_which() {
    let archive = year();
    assert_eq!(archive.papers, year().papers);
    let other = Archive::new(ArchiveSpec {
        seed: 2,
        ..*archive.spec()
    });
    assert_ne!(archive.papers, other.papers);

    let mut ids = BTreeSet::new();
    let mut delays = BTreeSet::new();
    for paper in &archive.papers {
        assert!(ids.insert(&paper.id), "{}", paper.id);
        let announced = paper.versions.windows(2);
        for pair in announced {
            assert!(pair[0].announced + DAYS_BETWEEN_VERSIONS <= pair[1].announced);
            assert!(pair[0].updated < pair[1].updated && !pair[0].is_withdrawn);
        }
        for version in paper.versions.iter().filter(|version| version.announced > 0) {
            let date = archive.date(version.announced);
            assert!(!matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday));
            let dated = version.updated.to_zoned(jiff::tz::TimeZone::UTC).date();
            delays.insert(dated.until(date).unwrap().get_days());
        }
    }
    assert_eq!(delays, BTreeSet::from([1, 2, 3, 4, 5]));
    let count = |is: fn(&Paper) -> bool| archive.papers.iter().filter(|paper| is(paper)).count();
    for (what, least, found) in [
        ("papers", 6_000, count(|_| true)),
        ("revised", 500, count(|paper| paper.versions.len() > 1)),
        ("twice", 50, count(|paper| paper.versions.len() > 2)),
        (
            "withdrawn",
            50,
            count(|paper| paper.versions.iter().any(|version| version.is_withdrawn)),
        ),
        (
            "cross-listed later",
            500,
            count(|paper| paper.cross_listed.is_some()),
        ),
    ] {
        assert!(found >= least, "{found} {what}");
    }
}

#[test]
fn mornings_without_an_announcement_a_stale_index_and_outages_find_nothing_new() {
    let archive = year();
    let all = "cat:math.CO OR cat:cs.DS OR cat:cs.LG OR cat:hep-th";
    let mut kinds = BTreeMap::<&str, u32>::new();
    let mut before = archive.found(all, 0).unwrap();
    for day in 1..=365 {
        let found = archive.found(all, day).unwrap();
        let weekday = archive.date(day).weekday();
        let is_quiet = matches!(weekday, Weekday::Saturday | Weekday::Sunday);
        match archive.kind(day) {
            DayKind::Outage => *kinds.entry("outage").or_default() += 1,
            DayKind::Stale => {
                *kinds.entry("stale").or_default() += 1;
                assert!(!is_quiet);
                assert_eq!(found, before, "{day}");
            }
            DayKind::Usual if archive.kind(day - 1) == DayKind::Stale => assert!(found.len() > before.len()),
            DayKind::Usual if !is_quiet => assert!(found.len() > before.len(), "{day}"),
            DayKind::Usual => {}
        }
        before = found;
    }
    assert_eq!((kinds["outage"], kinds["stale"]), (14, 7));
    let until = archive.found_until(all, 365).unwrap();
    assert!(until.len() > before.len(), "with versions that were replaced");
    assert!(until.is_superset(&before));
}

#[test]
fn results_are_sorted_and_equal_dates_come_in_another_order_in_each_answer() {
    let archive = year();
    let ids = |answer| -> Vec<String> {
        let results = results(&archive, "cat:math.CO", "lastUpdatedDate", 300, answer);
        let updates: Vec<_> = results.iter().map(|entry| entry.updated).collect();
        assert!(updates.is_sorted_by(|a, b| a >= b));
        results.into_iter().map(|entry| entry.id).collect()
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
    let set = |answer| ids(answer).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(1), set(2));
}

#[test]
fn search_finds_what_its_terms_say() {
    let archive = year();
    let count = |search: &str| archive.found(search, 365).unwrap().len();
    let (math, cs) = (count("cat:math.CO"), count("cat:cs.DS"));
    assert!(math > 500 && cs > 500);
    let both = count("cat:math.CO AND cat:cs.DS");
    assert!(both > 0);
    assert_eq!(count("(cat:math.CO OR cat:cs.DS)"), math + cs - both);
    assert_eq!(count("cat:math.CO ANDNOT cat:cs.DS"), math - both);
    assert!(count("au:\"pál erdős\" AND ti:sunflowers") > 0);
    assert!(count("abs:\"n 2\"") > 0 && count("ti:\"in sunflowers\"") > 0);
    assert_eq!(count("au:\"erdős pál\""), 0);
    let (early, late) = (
        count("cat:math.CO AND submittedDate:[190001010000 TO 202603312359]"),
        count("cat:math.CO AND submittedDate:[202604010000 TO 219912312359]"),
    );
    assert!(early > 0 && late > 0);
    assert_eq!(early + late, math);
    for wrong in ["math", "(cat:a", "cat:a)", "cat:a AND", "submittedDate:x"] {
        assert!(archive.found(wrong, 1).is_err(), "{wrong}");
    }
}
