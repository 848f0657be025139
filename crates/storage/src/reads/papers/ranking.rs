//! The order by relevance: papers with the words in the title come first, as they are found by their index; then those that match best.
//!
//! Every match is compared by the words of title and authors, which are stored with the dates. All words of a paper are stored apart,
//! and to read them takes ten times as long, so they decide only among the best of those without the words in the title.

use sqlx::{Postgres, QueryBuilder};

use super::{
    PaperPosition,
    matches::{IS_NEWEST, push_id},
};
use crate::text_search::PAPER_TITLE;

/// Where so many matches are found among the newest papers, they are those that are compared.
pub(super) const RANKED_ENOUGH: i64 = 100;
/// Of so many, all words are compared.
const BEST: i64 = 50;
/// By how much the rank of these is higher: more than a rank can be.
const BEST_RANK: i64 = 10;
/// The same for papers with the words in the title.
const TITLE_RANK: i64 = 20;
/// The column of `matching` by which all are compared.
pub(super) const SCORE: &str = "ts_rank(head_words, (select asked.any_word from asked)) as score";
/// The condition that the words are in the title.
pub(super) fn in_title() -> String {
    format!("{PAPER_TITLE} @@ (select asked.words from asked)")
}

/// Adds what ranks the rows of `matching` and selects `limit` of them, with `count` in each row.
pub(super) fn push(
    sql: &mut QueryBuilder<Postgres>,
    complete: &str,
    after: Option<&PaperPosition>,
    limit: i64,
) {
    let order = "date desc, paper desc, version desc";
    sql.push(format!(
        ", placed as (
           select paper, version, date, words, score, in_title,
             row_number() over (order by in_title, score desc, {order}) as place
           from matching, counted where {complete}),
         ranked as materialized (
           select paper, version, date,
             case when in_title then {TITLE_RANK}::real + score
               when place <= {BEST} then {BEST_RANK}::real + ts_rank(words, (select asked.words from asked))
               else score end::real as rank
           from placed)
         select count, found.* from counted left join lateral (
           select paper, version, rank, date from (select * from ranked where true"
    ));
    if let Some(after) = after {
        let rank = f32::from_bits(u32::try_from(after.key).unwrap_or_default());
        sql.push(" and (rank, date, paper, version) < (")
            .push_bind(rank)
            .push("::real, (select updated from public.arxiv_papers where (paper, version) = (");
        push_id(sql, after);
        sql.push("), ");
        push_id(sql, after);
    }
    sql.push(format!(
        " order by rank desc, {order} offset 0) p where {IS_NEWEST} order by rank desc, {order} limit "
    ));
    sql.push_bind(limit)
        .push(format!(") as found on true order by rank desc, {order}"));
}
