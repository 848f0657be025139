//! Papers: a table of them, what is asked for, and how much space they take.

use anyhow::{Context, Result};
use serde::Serialize;
use testbed::{postgres::Postgres, tools::progress};

use super::Draws;

/// Papers of one statement that inserts.
const CHUNK: u32 = 20_000;
/// Papers of a month.
const OF_A_MONTH: u32 = 8_000;
/// How many words there are: word n is 1/n times as frequent as the first.
const VOCABULARY: u32 = 60_000;
/// How many values requests draw from.
const DRAWS: u32 = 200;
/// The index of words: built at the end, as it takes several times as long while papers are inserted.
const WORDS_INDEX: &str =
    "select indexdef from pg_indexes where tablename = 'arxiv_papers' and indexdef like '%USING gin%'";

/// How much space a paper takes in the database, its part of the indexes included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PaperBytes {
    /// Of a whole paper.
    pub whole: u64,
    /// Without the text and the words of its abstract.
    pub without_abstract: u64,
}

/// Fills the table with papers: titles of 10 words, abstracts of about 1.2 kB, and one to seven authors.
pub(super) async fn fill(server: &Postgres, count: u32) -> Result<()> {
    let index = values(server, WORDS_INDEX).await?;
    let index = index
        .first()
        .context("the table of papers has no index of words")?;
    let drop = "do $$ declare name text; begin
        select indexname into strict name from pg_indexes where tablename = 'arxiv_papers' and indexdef like '%USING gin%';
        execute format('drop index %I', name); end $$";
    server.execute("arxiv", drop).await?;
    for first in (0..count).step_by(usize::try_from(CHUNK)?) {
        let end = count.min(first + CHUNK);
        server.execute("arxiv", &insert(first, end)).await?;
        progress::print(&format!("bench: {end} of {count} papers"));
    }
    progress::print("bench: their index of words");
    let build = format!("set maintenance_work_mem = '512MB'; {index}");
    server.execute("arxiv", &build).await
}

/// What there is to ask for, of every part of the table.
pub(super) async fn draws(server: &Postgres, count: u32) -> Result<Draws> {
    let numbers = || (0..DRAWS).map(|n| u32::try_from(u64::from(n) * u64::from(count) / u64::from(DRAWS)));
    let mut draws = Draws::from([(
        "categories",
        ["math.CO", "cs.LG", "hep-th", "math.*"]
            .map(String::from)
            .to_vec(),
    )]);
    let ids: Result<Vec<_>, _> = numbers().map(|n| n.map(id)).collect();
    draws.insert("ids", ids?);
    let dois: Result<Vec<_>, _> = numbers().map(|n| n.map(|n| doi(n - n % 3))).collect();
    draws.insert("dois", dois?);
    // Of 175 words, each is word n with a probability of 1 / 11 n.
    let middle = count / 1_000 * 175 / 11;
    let words = format!(
        "select word from (select {word} as word from generate_series({least}, {most}, greatest(1, ({most} - {least}) / {DRAWS})) n) words,
           lateral (select count(*) as papers from arxiv_papers where words @@ to_tsquery('simple', word)) counted
         where papers between 700 and 1400",
        word = word("n"),
        least = (middle * 4 / 5).max(1),
        most = (middle * 5 / 4).max(1),
    );
    let authors = format!(
        "select distinct lower(split_part(authors->0->>'name', ' ', 2)) from arxiv_papers where paper = any('{{{}}}')",
        draws["ids"].join(",")
    );
    for (name, sql) in [("words", words), ("authors", authors)] {
        let sql = format!("set enable_seqscan = off; {sql}");
        let found = values(server, &sql).await?;
        (!found.is_empty())
            .then(|| draws.insert(name, found))
            .with_context(|| format!("no {name} for requests"))?;
    }
    Ok(draws)
}

/// The space of a paper. The share of the abstract is that of a part of them, once with and once without.
pub(super) async fn bytes(server: &Postgres, count: u32) -> Result<PaperBytes> {
    let part = (count / 20).max(5_000).min(count);
    let whole = total(server, "arxiv_papers").await? / u64::from(count);
    let columns = "paper, version, title, authors, comment, journal, doi, categories, published, updated, links, first_seen_at,
        changed_at, fetched_at, category_keys";
    let mut sizes = [0; 2];
    for (size, (abstract_text, words)) in sizes
        .iter_mut()
        .zip([("abstract", "words"), ("''", "ts_filter(words, '{a,b,d}')")])
    {
        let copy = format!(
            "create table sample (like arxiv_papers including all) with (toast_tuple_target = 128);
             insert into sample ({columns}, abstract, words)
               select {columns}, {abstract_text}, {words} from arxiv_papers order by paper limit {part};"
        );
        server.execute("arxiv", &copy).await?;
        server.execute("arxiv", "vacuum sample").await?;
        *size = total(server, "sample").await? / u64::from(part);
        server.execute("arxiv", "drop table sample").await?;
    }
    let [with, without] = sizes;
    Ok(PaperBytes {
        whole,
        without_abstract: (whole * without).checked_div(with).unwrap_or_default(),
    })
}

async fn total(server: &Postgres, table: &str) -> Result<u64> {
    let sql = format!("select pg_total_relation_size('{table}')");
    let bytes = values(server, &sql).await?.concat();
    bytes.parse().with_context(|| bytes.clone())
}

/// The only column of what a statement selects.
async fn values(server: &Postgres, sql: &str) -> Result<Vec<String>> {
    let text = server.psql("arxiv", sql).await?;
    // Between a line below the names and the number of rows.
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("--"));
    let rows = lines.skip(1).take_while(|line| !line.starts_with('('));
    Ok(rows.map(str::to_owned).collect())
}

fn id(n: u32) -> String {
    let month = n / OF_A_MONTH;
    format!(
        "{}{:02}.{:05}",
        15 + month / 12,
        1 + month % 12,
        1 + n % OF_A_MONTH
    )
}

fn doi(n: u32) -> String {
    format!("10.1103/PhysRevD.{n}")
}

/// The SQL for word `n` of the vocabulary, of two to ten letters.
fn word(n: &str) -> String {
    format!(
        "translate(left(md5(({n})::text), 2 + {n} % 4 + least({n} / 100, 5)), '0123456789', 'ghijklmnop')"
    )
}

/// The SQL that inserts the papers from one number to another.
fn insert(first: u32, end: u32) -> String {
    // A variable, from which a word is taken without reading those before it.
    let drawn =
        |n: &str| format!("rtrim(convert_from(substring(vocabulary from ({n}) * 11 - 10 for 11), 'UTF8'))");
    let text = |words: u32| {
        format!(
            "(select string_agg({}, ' ') from generate_series(1, {words} + 0 * n))",
            drawn(&format!("({VOCABULARY} ^ random())::int"))
        )
    };
    format!(
        "do $do$ declare vocabulary bytea; begin
           select convert_to(string_agg(rpad({word}, 11), '' order by n), 'UTF8') into vocabulary from generate_series(1, {VOCABULARY}) n;
           insert into arxiv_papers (paper, version, title, authors, abstract, comment, journal, doi, categories, published, updated,
             links, first_seen_at, changed_at, fetched_at, category_keys, words)
           select paper, 1, title, (select jsonb_agg(jsonb_build_object('name', name)) from unnest(string_to_array(names, ', ')) name),
             abstract, comment, journal, doi, string_to_array(categories, ' '), at, at,
             jsonb_build_array(jsonb_build_object('href', 'https://arxiv.org/abs/' || paper || 'v1', 'rel', 'alternate'),
               jsonb_build_object('href', 'https://arxiv.org/pdf/' || paper || 'v1', 'rel', 'related', 'title', 'pdf')),
             now(), now(), now(), string_to_array(categories || archives, ' '),
             setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', names), 'B')
               || setweight(to_tsvector('simple', abstract), 'C') || setweight(to_tsvector('simple', concat_ws(' ', comment, journal)), 'D')
           from (
             select to_char(15 + month / 12, 'FM00') || to_char(1 + month % 12, 'FM00') || '.' || to_char(1 + n % {OF_A_MONTH}, 'FM00000') as paper,
               {title} as title, {abstract_text} as abstract,
               (select string_agg(initcap({given}) || ' ' || initcap({family}), ', ') from generate_series(1, 1 + n % 7)) as names,
               case when n % 10 < 7 then (n % 40) || ' pages, ' || (n % 9) || ' figures' end as comment,
               case when n % 3 = 0 then 'Phys. Rev. D ' || n % 100 || ' (2020) ' || n end as journal,
               case when n % 3 = 0 then '10.1103/PhysRevD.' || n end as doi,
               (array['math.CO cs.DM', 'cs.LG', 'hep-th gr-qc math-ph'])[1 + n % 3] as categories,
               (array[' cs.* math.*', ' cs.*', ''])[1 + n % 3] as archives,
               timestamptz '2015-01-01Z' + month * interval '1 month' + n % {OF_A_MONTH} * interval '5 minutes' as at
             from (select n, n / {OF_A_MONTH} as month from generate_series({first}, {end} - 1) n offset 0) numbered offset 0) made;
         end $do$",
        word = word("n"),
        title = text(10),
        abstract_text = text(165),
        given = drawn("300 + (3000 * random())::int"),
        family = drawn("500 + (59000 * random() ^ 2)::int"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_of_arxivs_form() {
        assert_eq!(id(0), "1501.00001");
        assert_eq!(id(999_999), "2505.08000");
    }
}
