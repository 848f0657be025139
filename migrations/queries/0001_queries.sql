-- As the existing service has it, and two columns more. Where its table is there already, those were added before this runs
-- (crates/storage/src/migrate/adopt.rs); indexes are built concurrently after it (indexes.rs), and rights given (grants.rs).
create table if not exists public.queries (
    id serial primary key,
    query_id bigint,
    -- Unix seconds.
    timestamp bigint,
    status smallint,
    num_results integer,
    num_entries smallint,
    query text,
    -- The object the row belongs to; null when it was written by the existing service or for a client.
    query_uid uuid,
    -- Null in rows from before.
    recorded_at timestamptz default clock_timestamp()
);
