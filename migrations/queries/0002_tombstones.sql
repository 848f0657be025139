-- Objects that ended without rows, and why: from here on nothing of them is recorded.
create table public.arxiv_query_tombstones (
    query_uid uuid primary key,
    -- In CamelCase, as in the object's conditions.
    reason text not null,
    message text not null,
    -- For callers of the REST API.
    http_status integer,
    ended_at timestamptz not null default clock_timestamp(),
    -- By which clients ask for a failed query once its object no longer exists. Null where rows were removed for their age.
    object_namespace text,
    object_name text
);

create index arxiv_query_tombstones_ended_at_idx on public.arxiv_query_tombstones (ended_at);
create index arxiv_query_tombstones_object_name_idx on public.arxiv_query_tombstones (object_name, object_namespace)
    where object_name is not null;

-- The only deletion of tombstones. A week is far longer than any process can take to record something.
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
