-- The only deletion of results: all of one object, once the last is older than an hour. Rows without an object (null) never match.
-- For separate servers, where results may exist without their row in queries.
create function public.sweep_results(uid uuid) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    swept bigint := 0;
begin
    -- A deletion without rows would still fire the trigger on deletions.
    if exists (select from public.results where query_uid = uid) then
        delete from public.results
        where query_uid = uid
          and not exists (
              select from public.results young
              where young.query_uid = uid and young.recorded_at >= clock_timestamp() - interval '1 hour');
        get diagnostics swept = row_count;
    end if;
    return swept;
end $$;

revoke all on function public.sweep_results(uuid) from public;
