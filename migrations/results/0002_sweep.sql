-- The only deletion there is: all results of one object, once the last is older than an hour. Rows of nobody (null) never match.
-- For servers apart, where results may stand without their row in queries.
create function public.sweep_results(uid uuid) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with swept as (
        delete from public.results
        where query_uid = uid
          and not exists (
              select from public.results young
              where young.query_uid = uid and young.recorded_at >= clock_timestamp() - interval '1 hour')
        returning 1)
    select count(*) from swept;
$$;

revoke all on function public.sweep_results(uuid) from public;
