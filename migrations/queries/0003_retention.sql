-- How long rows of objects are kept. Without a row here: for ever. The owner decides, in migrations.
create table public.arxiv_retention (
    single boolean primary key default true check (single),
    days integer not null check (days >= 1)
);

-- Removes the rows of the oldest objects that are past that age, so many that it does not take long, and returns the objects' uids.
-- Each gets a tombstone instead, so that a late process cannot record it again. Rows without an object (null) stay.
create function public.expire_queries() returns setof uuid
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with oldest as (
        select id, recorded_at, coalesce(num_entries, 0)::bigint as entries
        from public.queries, public.arxiv_retention
        where query_uid is not null and recorded_at < clock_timestamp() - days * interval '1 day'
        order by recorded_at
        limit 500
    ), chosen as (
        -- The first one in any case, however many results it has.
        select id, sum(entries) over (order by recorded_at, id) - entries as results_before from oldest
    ), expired as (
        delete from public.queries q using chosen c
        where q.id = c.id and c.results_before < 10000
        returning q.query_uid
    ), tombstones as (
        insert into public.arxiv_query_tombstones (query_uid, reason, message)
        select query_uid, 'Expired', 'its rows were removed, as they were older than they are kept' from expired
        on conflict do nothing
    )
    select query_uid from expired;
$$;

revoke all on function public.expire_queries() from public;
