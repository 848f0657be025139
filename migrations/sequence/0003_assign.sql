-- Gives each of these objects a query id: the one that it has, or the next one. The ids are in the order in which the uids are given. Callers who
-- ask for the same object at the same time wait for each other by its lock, agree, and use up one id: each statement sees what
-- was committed before it. The keys of the locks are in the order in which all take them.
create function public.assign_query_ids(uids uuid[], keys integer[], subkeys integer[]) returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- One plan for each statement, by the key, whatever the table's size when it is made.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
    perform pg_advisory_xact_lock(key, subkey) from unnest(keys, subkeys) as lock (key, subkey);
    insert into public.arxiv_ledger (uid, query_id)
    select uid, nextval('public.arxiv_sequence') from (
        select uid, min(n) from unnest(uids) with ordinality as asked (uid, n)
        where not exists (select from public.arxiv_ledger known where known.uid = asked.uid)
        group by uid order by min(n)) as new;
    return array(
        select query_id from unnest(uids) with ordinality as asked (uid, n)
        join public.arxiv_ledger using (uid) order by n);
end $$;

revoke all on function public.assign_query_ids(uuid[], integer[], integer[]) from public;
