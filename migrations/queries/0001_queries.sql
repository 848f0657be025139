-- As the existing service has it, and further columns of ours. A table that exists already got those before this runs
-- (crates/storage/src/migrate/adopt.rs); indexes are built concurrently after it (indexes.rs), and rights granted (grants.rs).
create table if not exists public.queries (
    id serial primary key,
    query_id bigint,
    -- Unix seconds.
    timestamp bigint,
    status smallint,
    num_results integer,
    num_entries smallint,
    query text,
    -- The object the row belongs to; null in rows of the existing service and of clients.
    query_uid uuid,
    -- Null in rows that are older than this column.
    recorded_at timestamptz default statement_timestamp(),
    -- The object's names, by which clients ask for it once it no longer exists. Null as for its uid.
    object_namespace text,
    object_name text
);
