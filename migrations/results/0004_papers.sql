-- arXiv's metadata of papers: one row for each version that any search ever found. The rows of results are derived from the same
-- answers, and are written in the same transactions.
create table public.arxiv_papers (
    -- arXiv's identifier without the version: 2405.00001, math/0309136.
    paper text collate "C" not null,
    -- From 1; 0 where arXiv named none.
    version integer not null check (version >= 0),
    -- Texts as arXiv has them, with its TeX. What arXiv does not tell is null.
    title text not null,
    -- [{"name": …, "affiliations": […]}, …], in the paper's order.
    authors jsonb not null,
    abstract text not null,
    comment text,
    journal text,
    doi text,
    -- The primary one first.
    categories text[] not null,
    -- When the first version was submitted, and when this one.
    published timestamptz,
    updated timestamptz,
    -- [{"href": …, "rel": …, "title": …}, …]
    links jsonb not null,
    -- When the row was written first, and last: arXiv adds a DOI or a journal reference to a version years later.
    first_seen_at timestamptz not null,
    changed_at timestamptz not null,
    -- When the answer was fetched that the row is from, by the clock of the upstream database. An answer from before does not change
    -- the row. One that says the same writes nothing, so this is the first answer of those that said so.
    fetched_at timestamptz not null,
    -- The categories, and with each archive of theirs all of it: math.CO and math.*
    category_keys text[] not null,
    -- Words for full-text search, without case and accents: of the title (A), the authors (B), the abstract (C), comment and journal
    -- reference (D). Written by the program that writes the row (crates/storage/src/text_search).
    words tsvector not null,
    -- Those of title and authors. By these all matches are compared when they are ordered by relevance.
    head_words tsvector generated always as (ts_filter(words, '{a,b}')) stored,
    primary key (paper, version)
)
-- Long values are stored apart, so that a page of the table has the dates of many papers: those of every match are read.
with (toast_tuple_target = 128);
alter table public.arxiv_papers alter column head_words set storage main;
-- No two writers insert or change the same rows in different orders: those of one page are written in the order of the key, and who
-- writes several pages does so alone.
