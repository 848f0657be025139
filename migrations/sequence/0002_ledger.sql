-- Which query id is assigned to which object, so that an object that asks again gets the same one.
create table public.arxiv_ledger (
    uid uuid primary key,
    -- Not unique: a sequence that was restored from a backup gives ids again. The rows' own indexes refuse those.
    query_id bigint not null,
    entered_at timestamptz not null default clock_timestamp()
);
