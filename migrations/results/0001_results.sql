-- As the existing service has it, and further columns of ours; see the queries' migration.
create table if not exists public.results (
    id serial primary key,
    query_id bigint,
    -- Unix seconds.
    timestamp bigint,
    -- From 0.
    result_number smallint,
    author text,
    title text,
    journal text,
    query_uid uuid,
    -- The same in all rows of a statement: rows are read when they are old enough, and those of a query together.
    recorded_at timestamptz default statement_timestamp(),
    -- With its version. Null in rows of the existing service and of clients.
    arxiv_id text,
    -- With spaces between, the primary one first. Null as for the identifier.
    categories text
);
