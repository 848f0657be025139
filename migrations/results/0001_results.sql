-- As the existing service has it, and two columns more; see the queries' migration.
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
    recorded_at timestamptz default clock_timestamp()
);
