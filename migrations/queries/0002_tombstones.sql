-- Objects that ended without rows, and what their users are told: from here on nothing of them is recorded.
create table public.arxiv_query_tombstones (
    query_uid uuid primary key,
    -- In CamelCase, as in the object's conditions.
    reason text not null,
    message text not null,
    -- For callers of the REST API.
    http_status integer,
    ended_at timestamptz not null default clock_timestamp()
);

create index arxiv_closed_queries_closed_at_idx on public.arxiv_query_tombstones (ended_at);

-- The only deletion there is. A week is far longer than any process can have been on its way to record something.
create function public.prune_query_tombstones() returns bigint
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with pruned as (
        delete from public.arxiv_query_tombstones
        where ended_at < clock_timestamp() - interval '7 days'
        returning 1)
    select count(*) from pruned;
$$;

revoke all on function public.prune_query_tombstones() from public;
