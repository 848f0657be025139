//! Atom feeds in arXiv's format, with invented papers.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

use super::behaviour::{Behaviour, FeedFormat, Mode};
use super::entry::Entry;

/// The total unless another is set.
const TOTAL: u32 = 1234;
/// Identifiers `YYMM.NNNNN` of the years 2007 to 2099: twelve months each, 100,000 numbers a month.
const MONTHS: u64 = 93 * 12;
const NUMBERS: u64 = 100_000;
/// 2024-05-02T10:00:00Z.
const NEWEST_UPDATE: i64 = 1_714_644_000;

/// The parameters of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SearchRequest {
    pub(super) search_query: String,
    pub(super) id_list: String,
    pub(super) sort_by: String,
    pub(super) sort_order: String,
    pub(super) start: u32,
    pub(super) max_results: u32,
    pub(super) connection: u64,
}

impl SearchRequest {
    /// Whether the papers are sorted by their last version, newest first.
    fn is_by_update(&self) -> bool {
        self.sort_by == "lastUpdatedDate" && self.sort_order != "ascending"
    }
}

/// What a search finds: its papers in their order, or how many invented ones there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Results {
    Invented,
    Papers(Vec<Entry>),
}

/// The feed for a request. Papers that it names are all there, in its order.
pub(super) fn write(asked: &SearchRequest, results: &Results, behaviour: &Behaviour) -> String {
    let named = u32::try_from(named(asked).count()).unwrap_or_default();
    let found = match results {
        Results::Papers(papers) => u32::try_from(papers.len()).ok(),
        Results::Invented => behaviour.total.or(Some(named).filter(|named| *named > 0)),
    };
    let mut total = found.unwrap_or(TOTAL);
    let mut count = asked.max_results;
    if found.is_some() {
        count = count.min(total.saturating_sub(asked.start));
    }
    match behaviour.mode {
        Mode::Zero => (total, count) = (0, 0),
        Mode::EmptyPage => count = 0,
        Mode::ShortPage => count = count.saturating_sub(1),
        Mode::UnknownId => (total, count) = (1, 0),
        _ if behaviour.drift && asked.start > 0 => total += 3,
        _ => {}
    }
    let mut feed = head(asked, behaviour, total);
    match results {
        Results::Invented => {
            for index in asked.start..asked.start.saturating_add(count) {
                feed += &entry(asked, behaviour, index);
            }
        }
        Results::Papers(papers) => {
            let papers = papers.iter().skip(asked.start as usize).take(count as usize);
            for paper in papers {
                feed += &paper.write(behaviour.form);
            }
        }
    }
    feed += "</feed>\n";
    feed
}

/// Everything before the first entry.
pub(super) fn head(asked: &SearchRequest, behaviour: &Behaviour, total: u32) -> String {
    let SearchRequest {
        search_query,
        id_list,
        start,
        max_results,
        ..
    } = asked;
    let query =
        format!("search_query={search_query}&id_list={id_list}&start={start}&max_results={max_results}");
    let query = escape(&query);
    let newer = behaviour.form == FeedFormat::Newer;
    let name = if newer { "arXiv" } else { "ArXiv" };
    let title = match behaviour.mode {
        Mode::NoTitle => String::new(),
        _ if newer => format!("  <title>{name} Query: {query}</title>\n"),
        _ => format!("  <title type=\"html\">{name} Query: {query}</title>\n"),
    };
    let total = match behaviour.mode {
        Mode::NoTotal => None,
        Mode::BadTotal => Some("many".to_owned()),
        _ => Some(total.to_string()),
    };
    let id = hash(search_query);
    let mut head = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let number = |name: &str, value: &str| {
        if newer {
            format!("  <opensearch:{name}>{value}</opensearch:{name}>\n")
        } else {
            let namespace = "xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\"";
            format!("  <opensearch:{name} {namespace}>{value}</opensearch:{name}>\n")
        }
    };
    let total = total
        .map(|total| number("totalResults", &total))
        .unwrap_or_default();
    let numbers =
        total + &number("startIndex", &start.to_string()) + &number("itemsPerPage", &max_results.to_string());
    if newer {
        head += "<feed xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\" \
                 xmlns:arxiv=\"http://arxiv.org/schemas/atom\" xmlns=\"http://www.w3.org/2005/Atom\">\n";
        let updated = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let _ = write!(
            head,
            "  <id>https://arxiv.org/api/{id:x}</id>\n{title}  <updated>{updated}</updated>\n"
        );
        let _ = writeln!(
            head,
            "  <link href=\"https://arxiv.org/api/query?{query}\" type=\"application/atom+xml\"/>"
        );
    } else {
        head += "<feed xmlns=\"http://www.w3.org/2005/Atom\">\n";
        let updated = Timestamp::now().strftime("%Y-%m-%dT00:00:00-04:00");
        let link = format!("http://arxiv.org/api/query?{query}");
        let _ = writeln!(
            head,
            "  <link href=\"{link}\" rel=\"self\" type=\"application/atom+xml\"/>"
        );
        let _ = write!(
            head,
            "{title}  <id>http://arxiv.org/api/{id:x}</id>\n  <updated>{updated}</updated>\n"
        );
    }
    head + &numbers
}

/// The paper at a place of a search's results; the same each time.
pub(super) fn entry(asked: &SearchRequest, behaviour: &Behaviour, index: u32) -> String {
    let named = usize::try_from(index).ok().and_then(|n| named(asked).nth(n));
    let id = match named {
        Some(id) if id.contains('v') => id.to_owned(),
        Some(id) => format!("{id}v1"),
        None => identifier(&asked.search_query, index),
    };
    let fetch = if behaviour.numbered {
        format!(" (fetch {})", asked.connection)
    } else {
        String::new()
    };
    let (structures, surname) = if behaviour.plain && !index.is_multiple_of(4) {
        ("sparse random graphs", "Knuth")
    } else {
        ("Árvíztűrő graphs", "Erdős")
    };
    let authors = match behaviour.mode {
        Mode::NoAuthors => 0,
        _ => behaviour.authors.unwrap_or(index % 3 + 1),
    };
    let entry = Entry {
        id,
        title: format!("Result {index} of a study on {structures} &amp; $O(n^2)$\n  bounds{fetch}"),
        summary: format!("We study graphs &lt;G&gt; with $O(n^2)$ edges.\n  Part {index}."),
        authors: (0..authors)
            .map(|author| format!("Author {index}-{author} {surname}"))
            .collect(),
        comment: format!("{} pages", index % 40 + 4),
        journal: index
            .is_multiple_of(3)
            .then(|| format!("Phys.Rev.D{index}:013009,2024")),
        doi: index
            .is_multiple_of(3)
            .then(|| format!("10.1103/PhysRevD.{index}.013009")),
        affiliation: Some("Budapest"),
        categories: vec!["math.CO".to_owned()],
        // 2024-05-01T10:00:00Z.
        published: Timestamp::from_second(NEWEST_UPDATE - 86_400).unwrap_or_default(),
        updated: updated(asked, index),
    };
    entry.write(behaviour.form)
}

/// When the paper at this place had its last version: one a minute, if they are sorted by that.
fn updated(asked: &SearchRequest, index: u32) -> Timestamp {
    let age = if asked.is_by_update() {
        i64::from(index) * 60
    } else {
        0
    };
    Timestamp::from_second(NEWEST_UPDATE - age).unwrap_or_default()
}

/// The feed of an error.
pub(super) fn error(reason: &str) -> String {
    let updated = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let id = format!("https://arxiv.org/api/errors#{}", reason.replace(' ', "_"));
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n\
         <feed xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\" xmlns:arxiv=\"http://arxiv.org/schemas/atom\" \
         xmlns=\"http://www.w3.org/2005/Atom\">\n  <id>https://arxiv.org/</id>\n  <title>arXiv Search Results</title>\n  \
         <updated>{updated}</updated>\n  <opensearch:itemsPerPage>1</opensearch:itemsPerPage>\n  \
         <opensearch:totalResults>1</opensearch:totalResults>\n  <opensearch:startIndex>0</opensearch:startIndex>\n  \
         <entry>\n    <id>{id}</id>\n    <title>Error</title>\n    <updated>{updated}</updated>\n    \
         <link href=\"{id}\" rel=\"alternate\" type=\"text/html\"/>\n    <summary>{reason}</summary>\n    \
         <author>\n      <name>arXiv api core</name>\n    </author>\n  </entry>\n</feed>\n"
    )
}

/// The papers that a request names.
fn named(asked: &SearchRequest) -> impl Iterator<Item = &str> {
    asked.id_list.split(',').filter(|id| !id.is_empty())
}

/// A place among all identifiers for each search, the papers in a row from there: two searches' papers rarely meet, those
/// of one search never.
fn identifier(search_query: &str, index: u32) -> String {
    let place = (hash(search_query) + u64::from(index)) % (MONTHS * NUMBERS);
    let (month, number) = (place / NUMBERS, place % NUMBERS);
    format!("{:02}{:02}.{number:05}v1", month / 12 + 7, month % 12 + 1)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    // Half of the range, so that something can be added.
    hasher.finish() / 2
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn asked(start: u32, max_results: u32) -> SearchRequest {
        SearchRequest {
            search_query: "ti:a&b AND au:\"c\"".into(),
            id_list: String::new(),
            sort_by: String::new(),
            sort_order: String::new(),
            start,
            max_results,
            connection: 7,
        }
    }

    #[test]
    fn pages_of_a_search_share_no_paper() {
        let mut seen = HashSet::new();
        for index in 0..30_000 {
            assert!(seen.insert(identifier("ti:x", index)));
        }
        assert!(!seen.contains(&identifier("ti:y", 0)));
    }

    #[test]
    fn a_total_bounds_what_is_given_and_without_one_all_that_is_asked_is() {
        let count = |feed: String| feed.matches("<entry>").count();
        let bounded = Behaviour {
            total: Some(5),
            ..Behaviour::default()
        };
        assert_eq!(count(write(&asked(3, 8), &Results::Invented, &bounded)), 2);
        assert_eq!(
            count(write(&asked(0, 2000), &Results::Invented, &Behaviour::default())),
            2000
        );
        assert_eq!(count(write(&asked(9, 8), &Results::Invented, &bounded)), 0);
    }

    #[test]
    fn named_papers_are_those_that_are_given() {
        let asked = |id_list: &str, start| SearchRequest {
            id_list: id_list.into(),
            ..asked(start, 8)
        };
        let feed = write(
            &asked("1706.03762v7,hep-th/9901001", 0),
            &Results::Invented,
            &Behaviour::default(),
        );
        for part in [
            ">2</opensearch:totalResults>",
            "abs/1706.03762v7</id>",
            "abs/hep-th/9901001v1</id>",
        ] {
            assert!(feed.contains(part), "{part}: {feed}");
        }
        let rest = write(
            &asked("1706.03762v7,1706.03762v1", 1),
            &Results::Invented,
            &Behaviour::default(),
        );
        assert!(!rest.contains("v7</id>") && rest.contains("v1</id>"), "{rest}");
    }

    #[test]
    fn papers_tell_their_fetch_when_asked_to() {
        let numbered = Behaviour {
            numbered: true,
            ..Behaviour::default()
        };
        assert!(write(&asked(0, 1), &Results::Invented, &numbered).contains("bounds (fetch 7)</title>"));
        assert!(write(&asked(0, 1), &Results::Invented, &Behaviour::default()).contains("bounds</title>"));
    }

    #[test]
    fn the_title_echoes_the_search_escaped_once() {
        let feed = write(&asked(0, 1), &Results::Invented, &Behaviour::default());
        let echo = "ArXiv Query: search_query=ti:a&amp;b AND au:&quot;c&quot;&amp;id_list=&amp;start=0&amp;max_results=1<";
        assert!(feed.contains(echo), "{feed}");
    }
}
