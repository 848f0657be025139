//! Words that are written in different ways.

use futures::TryStreamExt;
use storage::{QueryFilter, Reads, ResultFilter, TextQuery};

use crate::setup::Server;

fn both(text: &str) -> ResultFilter {
    let words = TextQuery::parse(text).unwrap();
    ResultFilter {
        author: Some(words.clone()),
        title: Some(words),
        ..ResultFilter::default()
    }
}

async fn titles(reads: &Reads, filter: &ResultFilter) -> Vec<String> {
    let rows = reads.find(filter, 0, 100).await.unwrap();
    rows.into_iter().map(|row| row.paper.title).collect()
}

/// Spellings of a name: each is stored, is typed, and finds all the others.
const SAME: [&[&str]; 12] = [
    &[
        "Pat O'Brien",
        "Pat OBrien",
        "Pat O\u{2019}Brien",
        "Pat O\u{2018}Brien",
        "Pat O\u{2BC}Brien",
        "Pat O\u{B4}Brien",
        "Pat O`Brien",
        "Pat O\u{2032}Brien",
        "Pat O\u{2B9}Brien",
        "Pat O\u{FF07}Brien",
        "Pat O\u{92}Brien",
        "Pat O\u{201B}Brien",
        "Pat O\u{2BB}Brien",
        "Pat O\u{A78C}Brien",
        "PAT O\u{2019}BRIEN",
    ],
    &["Gel\u{2B9}fand", "Gel'fand", "Gelfand", "Gel\u{2032}fand"],
    &["\u{2BF}Al\u{12B}", "Ali", "'Ali", "\u{2018}Al\u{12B}"],
    &[
        "Jean-Pierre",
        "Jean\u{2010}Pierre",
        "Jean\u{2011}Pierre",
        "Jean\u{2012}Pierre",
        "Jean\u{2013}Pierre",
        "Jean\u{2014}Pierre",
        "Jean\u{2015}Pierre",
        "Jean\u{2212}Pierre",
        "Jean\u{FE63}Pierre",
        "Jean Pierre",
        "Jean\u{A0}Pierre",
        "Jean\u{3000}Pierre",
    ],
    &[
        "coefficient",
        "coe\u{FB03}cient",
        "coef\u{AD}ficient",
        "coef\u{200B}ficient",
        "\u{FEFF}coefficient",
        "Coef\u{2060}ficient",
    ],
    &[
        "Erd\u{151}s",
        "Erdo\u{30B}s",
        "Erd\u{F6}s",
        "Erdos",
        r"Erd\H{o}s",
        r"Erd{\H o}s",
        r#"Erd\"os"#,
        "ERDOS",
    ],
    &[
        "Poincar\u{E9}",
        "Poincare\u{301}",
        r"Poincar\'e",
        r"Poincar\'{e}",
        r"Poincar{\'e}",
        "Poincare",
    ],
    &["Stra\u{DF}e", "Strasse", r"Stra{\ss}e", "STRA\u{1E9E}E"],
    &["Y\u{131}ld\u{131}z", "Yildiz", "Y\u{131}ldiz"],
    &["\u{130}nan", "Inan", "inan", "\u{131}nan"],
    &["S\u{F8}ren", "Soren", r"S{\o}ren", r"S\o ren", "S\u{D8}REN"],
    &[
        "v\u{1DC4}ector",
        "v\u{20D7}ector",
        "ve\u{FE20}ctor",
        "vector",
        "v\u{1AB0}ector",
    ],
];

#[tokio::test]
async fn every_spelling_of_a_word_finds_all_others() {
    let server = Server::migrated().await;
    let pool = server.pool("arxiv_ro", "arxiv");
    let mut admin = server.admin("arxiv").await;
    for name in SAME.iter().copied().flatten() {
        let insert = "with q as (insert into queries (timestamp, status, query) values (1, 200, $1))
                      insert into results (author, title) values ($1, $1)";
        sqlx::query(insert).bind(name).execute(&mut admin).await.unwrap();
    }
    let reads = Reads::new(pool.clone(), pool, None);
    for names in SAME {
        for typed in names {
            let phrase = format!("“{typed}”");
            for text in [*typed, &phrase] {
                assert_eq!(titles(&reads, &both(text)).await, names, "{text}");
            }
            let filter = QueryFilter {
                status: None,
                text: both(typed).title,
            };
            let found: Vec<_> = reads.queries(0, None, filter).try_concat().await.unwrap();
            assert_eq!(found.len(), names.len(), "{typed}");
        }
    }
}

#[tokio::test]
async fn word_with_an_apostrophe_is_found_by_its_parts_and_in_phrases() {
    let server = Server::migrated().await;
    let rows = "insert into results (title) values
        ('On l’Hôpital’s rule and O''Brien''s graphs'), ('OBriens graphs'), ('O Brien s graphs'), ('graphs of Brien and O')";
    server.execute("arxiv", rows).await;
    let pool = server.pool("arxiv_ro", "arxiv");
    let reads = Reads::new(pool.clone(), pool, None);
    for (text, count) in [
        ("hopital rule", 1),
        ("lhopitals", 1),
        ("\"on l'Hopital's rule\"", 1),
        ("\"on lhopitals rule\"", 1),
        ("\"O'Brien's graphs\"", 3),
        ("\"OBriens graphs\"", 2),
        ("brien graphs", 3),
        ("O'Brien", 2),
        ("\"graphs O'Brien\"", 0),
    ] {
        let filter = ResultFilter {
            author: None,
            ..both(text)
        };
        assert_eq!(titles(&reads, &filter).await.len(), count, "{text}");
    }
}

#[tokio::test]
async fn plain_text_has_the_words_that_it_has_next_to_a_letter_with_an_accent() {
    let server = Server::migrated().await;
    let mut admin = server.admin("arxiv").await;
    let index = "select pg_get_indexdef(indexrelid, 2, true) from pg_index
                 where indexrelid::regclass::text like 'results_words_%'";
    let of_title: String = sqlx::query_scalar(index).fetch_one(&mut admin).await.unwrap();
    let mut texts: Vec<String> = ('\0'..='\u{7F}')
        .filter(|c| !['\0', '\'', '`'].contains(c))
        .map(|c| format!("Spin{c}Orbit {c}At 3{c}14 ,{c}, A{c}"))
        .collect();
    texts.extend(
        [
            "",
            "\n",
            "Deep Learning: A Survey\nof 2405.00001v2 (e.g. <b>, a@b.org, http://a.b/c?d=e_f)",
        ]
        .map(str::to_owned),
    );
    for text in texts {
        let words = format!(
            "select ({of_title})::text, ts_delete(of_accent, 'uxu')::text
             from (select $1::text as title) plain, lateral (select {of_title} as of_accent from (select $1 || ' üxü' as title) accent) a"
        );
        let words = sqlx::query_as(sqlx::AssertSqlSafe(words)).bind(&text);
        let (plain, with_accent): (String, String) = words.fetch_one(&mut admin).await.unwrap();
        assert_eq!(plain, with_accent, "{text:?}");
        assert_eq!(plain.is_empty(), text.trim().is_empty(), "{text:?}: {plain}");
    }
}

/// Texts whose words take the most of a vector's megabyte: all different, of few letters with four bytes each.
#[tokio::test]
async fn longest_texts_are_stored() {
    let server = Server::migrated().await;
    for text in [
        "select string_agg(chr(131072 + n) || ' ''', '') from generate_series(0, 42000) n",
        "select string_agg(chr(131072 + n % 42000) || chr(131072 + n / 42000), '''') from generate_series(0, 140000) n",
        "select string_agg(md5(n::text) || '''', ' ') from generate_series(0, 20000) n",
    ] {
        let insert = format!("insert into results (title) {text}");
        server.execute("arxiv", &insert).await;
    }
}
