-- Pages of arXiv's answers. A page that was fetched again, for a query that would not take the version from before, is stored next
-- to it: a query that continues with the old one still finds it.
create table public.arxiv_pages (
    -- SHA-256 of search, which may be longer than an index entry can be.
    search_hash bytea not null,
    search text not null,
    -- arXiv's day (America/New_York).
    day date not null,
    start bigint not null,
    count bigint not null,
    total bigint not null,
    title text not null,
    -- arXiv's Date header.
    answered_at timestamptz,
    status integer not null,
    -- A JSON array; text, since it is only read as a whole.
    entries text not null,
    -- What was wrong with entries of the answer, in words; those that could not be read are not among the entries.
    defects text[] not null default '{}',
    bytes bigint not null,
    fetched_at timestamptz not null default clock_timestamp(),
    -- Null: valid for all of its day.
    expires_at timestamptz,
    primary key (search_hash, day, start, count, fetched_at)
);

create index arxiv_pages_day_idx on public.arxiv_pages (day);
