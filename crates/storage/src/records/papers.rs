//! The metadata of each version of a paper, next to the rows of `results` that the same answer gave.
//!
//! Concurrent searches find the same papers. To lock rows in one order, a batch is written in the order of its keys. Of a record
//! with several batches that order is not known before the last one, so it writes while no other record does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use jiff::{Timestamp, civil};
use paper::{PaperId, PaperVersion};
use sqlx::AssertSqlSafe;

use super::PaperBatch;
use crate::{
    StorageError,
    connection::{Lock, Session},
    reads::paper_key::id_columns,
    text_search::vector,
};

/// The lock's key in the space of two integers ("arxi", "pape").
const KEY: (i32, i32) = (0x6172_7869, 0x7061_7065);

/// What is compared of two answers.
const CONTENT: [&str; 10] = [
    "title",
    "authors",
    "abstract",
    "comment",
    "journal",
    "doi",
    "categories",
    "published",
    "updated",
    "links",
];

/// Inserts those papers of a batch that are new, and updates those that changed. Rows that stay as they are are not touched, and not
/// locked.
static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let [title, authors, abstract_text, notes] =
        ["title", "names", "abstract", "concat_ws(' ', comment, journal)"].map(vector);
    let content = |of: &str| CONTENT.map(|column| format!("{of}{column}")).join(", ");
    let (columns, input, stored, inserted) =
        (content(""), content("i."), content("p."), content("excluded."));
    format!(
        "with input as (
           select paper, version, names, category_keys, n, of_text.*,
             timestamptz 'epoch' + published * interval '1 microsecond' as published,
             timestamptz 'epoch' + updated * interval '1 microsecond' as updated,
             timestamptz 'epoch' + fetched * interval '1 microsecond' as fetched_at
           from unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])
             with ordinality as u (paper, version, names, category_keys, texts, published, updated, fetched, n),
             jsonb_to_record(texts::jsonb) as of_text (title text, authors jsonb, abstract text, comment text, journal text,
               doi text, categories text[], links jsonb)),
         changed as materialized (
           select i.* from input i left join public.arxiv_papers p on p.paper = i.paper and p.version = i.version
           where p.paper is null
              or p.fetched_at < i.fetched_at and ({stored}) is distinct from ({input}))
         insert into public.arxiv_papers as p
           (paper, version, {columns}, category_keys, words, first_seen_at, changed_at, fetched_at)
         select paper, version, {columns}, string_to_array(category_keys, ' '),
           setweight({title}, 'A') || setweight({authors}, 'B') || setweight({abstract_text}, 'C') || setweight({notes}, 'D'),
           clock_timestamp(), clock_timestamp(), fetched_at
         from changed order by n
         on conflict (paper, version) do update
           set ({columns}, category_keys, words, changed_at, fetched_at)
             = ({inserted}, excluded.category_keys, excluded.words, excluded.changed_at, excluded.fetched_at)
           where p.fetched_at < excluded.fetched_at and ({stored}) is distinct from ({inserted})"
    )
});

/// Whether the upsert would change nothing, since each paper is there from the same answer or a later one: by the keys in `$3` and
/// `$4` and the time in `$5`.
pub(super) const HAS_ALL: &str =
    "not exists (select from unnest($3::text[], $4::integer[]) as key (paper, version)
       left join public.arxiv_papers p on p.paper = key.paper and p.version = key.version
       where p.paper is null or p.fetched_at < timestamptz 'epoch' + $5 * interval '1 microsecond')";

/// What is waited for before papers are written; to be taken once in a transaction, before the first batch.
pub(super) fn lock(batches: usize) -> Lock {
    match batches {
        0 | 1 => Lock::SharedPair(KEY.0, KEY.1),
        _ => Lock::Pair(KEY.0, KEY.1),
    }
}

/// Papers in the order in which they are written, each with the time of its answer.
pub(super) type Sorted<'a> = BTreeMap<&'a PaperId, (&'a PaperVersion, Timestamp)>;

/// The papers of these answers, in one order: of a version that is in several answers the newest, and of one that an answer has
/// twice the first.
pub(super) fn sorted<'a>(answers: impl IntoIterator<Item = (&'a [PaperVersion], Timestamp)>) -> Sorted<'a> {
    let mut sorted = Sorted::new();
    for (papers, fetched_at) in answers {
        for paper in papers {
            let new = (paper, fetched_at);
            let kept = sorted.entry(&paper.id).or_insert(new);
            if kept.1 < fetched_at {
                *kept = new;
            }
        }
    }
    sorted
}

/// Those of one answer.
pub(super) fn of_answer(answer: &PaperBatch) -> Sorted<'_> {
    sorted([(answer.papers.as_slice(), answer.fetched_at)])
}

/// Writes these papers, under the lock.
pub(super) async fn upsert(session: &mut Session, papers: &Sorted<'_>) -> Result<(), StorageError> {
    if papers.is_empty() {
        return Ok(());
    }
    let (papers, times): (Vec<&PaperVersion>, Vec<i64>) = papers
        .values()
        .map(|(paper, fetched_at)| (*paper, fetched_at.as_microsecond()))
        .unzip();
    let texts: Result<Vec<String>, _> = papers.iter().map(serde_json::to_string).collect();
    let (ids, versions) = id_columns(papers.iter().map(|paper| &paper.id));
    let names = |paper: &&PaperVersion| paper.author_names();
    let column = |of: fn(&PaperVersion) -> Option<Timestamp>| -> Vec<Option<i64>> {
        papers.iter().map(|paper| of(paper).and_then(micros)).collect()
    };
    let upsert = sqlx::query(AssertSqlSafe(UPSERT.as_str())).persistent(session.is_persistent());
    let upsert = upsert
        .bind(ids)
        .bind(versions)
        .bind(papers.iter().map(names).collect::<Vec<_>>())
        .bind(
            papers
                .iter()
                .map(|paper| category_keys(&paper.categories))
                .collect::<Vec<_>>(),
        )
        .bind(texts.map_err(|_| StorageError::Unreadable)?)
        .bind(column(|paper| paper.published))
        .bind(column(|paper| paper.updated))
        .bind(times);
    upsert.execute(session.conn()).await?;
    Ok(())
}

/// The categories and their archives' patterns, with spaces between.
fn category_keys(categories: &[String]) -> String {
    let archives = categories.iter().filter_map(|category| category.split_once('.'));
    let archives: BTreeSet<_> = archives.map(|(archive, _)| format!("{archive}.*")).collect();
    let keys: Vec<_> = categories.iter().chain(&archives).map(String::as_str).collect();
    keys.join(" ")
}

/// Microseconds since 1970. A time that no paper has is none: the database has fewer years than a feed may name.
fn micros(time: Timestamp) -> Option<i64> {
    let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
    (1..=civil::Date::MAX.year())
        .contains(&year)
        .then(|| time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn category_keys_have_each_archive_once() {
        for (categories, keys) in [
            (
                &["math.CO", "cs.DM", "math.GT"][..],
                "math.CO cs.DM math.GT cs.* math.*",
            ),
            (&["hep-th"], "hep-th"),
            (&[], ""),
        ] {
            let categories: Vec<_> = categories.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(category_keys(&categories), keys);
        }
    }

    #[test]
    fn time_outside_of_the_databases_years_is_none() {
        assert_eq!(micros(Timestamp::UNIX_EPOCH), Some(0));
        assert!(micros("9999-06-01T00:00:00Z".parse().unwrap()).is_some());
        assert_eq!(micros("-000044-03-15T00:00:00Z".parse().unwrap()), None);
        assert_eq!(micros(Timestamp::MIN), None);
    }
}
