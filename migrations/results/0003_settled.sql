-- The settled watermark of results: the id up to which no transaction can still add a row, so that pages of rows up to it never
-- change and have no gaps (docs/adr/0010-settled-results.md).

create table public.arxiv_results_epoch (
    single boolean primary key default true check (single),
    -- Grows whenever settled rows may have changed: deleted, updated, or another server took over. At least the microseconds of
    -- the clock: two servers, of which one goes on from less than the other had, would give the same number to different rows.
    epoch bigint not null default (extract(epoch from clock_timestamp()) * 1000000)::bigint,
    -- The server that advanced the watermark last.
    server_started timestamptz,
    -- The next watermark, and the transactions that may still add rows below it (pg_locks.virtualtransaction).
    candidate bigint,
    waiting_for text[],
    -- The watermark up to which rows were counted; null: they have to be counted again.
    counted bigint
);

insert into public.arxiv_results_epoch default values;

-- Watermarks: every row with an id up to this one exists since then, or never will.
create table public.arxiv_results_settled (
    id bigint primary key,
    settled_at timestamptz not null default clock_timestamp()
);

-- Since this epoch, rows after this id may differ from those that were read there before. Ids grow with epochs: a fork with a
-- lower id replaces those before it.
create table public.arxiv_results_timeline_forks (
    epoch bigint primary key,
    id bigint not null
);

-- So many rows (position) have an id up to this one, in this epoch.
create table public.arxiv_results_row_counts (
    epoch bigint not null,
    position bigint not null,
    id bigint not null,
    primary key (epoch, position)
);

-- A transaction that deletes or changes rows starts a new epoch.
create function public.results_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    new_epoch bigint;
begin
    update public.arxiv_results_epoch
    set epoch = greatest(epoch + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint), counted = null
    returning epoch into new_epoch;
    if tg_op = 'TRUNCATE' then
        -- Ids may be given anew.
        update public.arxiv_results_epoch set candidate = null, waiting_for = null;
        delete from public.arxiv_results_settled;
        delete from public.arxiv_results_timeline_forks;
        insert into public.arxiv_results_timeline_forks (epoch, id) values (new_epoch, -9223372036854775808);
    end if;
    return null;
end $$;

-- Advances the watermark as far as it can; to be called again and again. Nothing is written when nothing is new.
create function public.advance_results_watermark() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    mark public.arxiv_results_epoch;
    settled bigint;
    id_sequence regclass;
    last_id bigint;
    lockers text[];
    last_count public.arxiv_results_row_counts;
    counts bigint;
begin
    -- The sequence of the column, if it gives ids one by one and upwards: with a cache, a session could use ids later that were
    -- taken before.
    select s.seqrelid into id_sequence
    from pg_sequence s
    where s.seqcache = 1 and s.seqincrement > 0 and not s.seqcycle and s.seqrelid = coalesce(
        pg_get_serial_sequence('public.results', 'id')::regclass::oid,
        (select p.refobjid from pg_attrdef d join pg_depend p on p.classid = 'pg_attrdef'::regclass and p.objid = d.oid
           join pg_class c on c.oid = p.refobjid and p.refclassid = 'pg_class'::regclass and c.relkind = 'S'
         where d.adrelid = 'public.results'::regclass
           and d.adnum = (select attnum from pg_attribute where attrelid = 'public.results'::regclass and attname = 'id')));
    if id_sequence is null then
        return;
    end if;
    execute format('select case when is_called then last_value else last_value - 1 end from %s', id_sequence) into last_id;
    select max(id) into settled from public.arxiv_results_settled;
    select * into mark from public.arxiv_results_epoch;
    if mark.server_started = pg_postmaster_start_time() and mark.candidate is null and last_id = settled
       and mark.counted = settled then
        return;
    end if;

    -- One at a time, and none while a transaction is about to start a new epoch.
    select * into mark from public.arxiv_results_epoch for update skip locked;
    if not found then
        return;
    end if;
    if mark.server_started is distinct from pg_postmaster_start_time() then
        -- This server may have taken over from one that had more rows: those after the watermark may not be what was read there.
        update public.arxiv_results_epoch
        set epoch = greatest(epoch + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
            server_started = pg_postmaster_start_time(), candidate = null, waiting_for = null, counted = null
        returning * into mark;
        settled := coalesce((select max(id) from public.arxiv_results_settled), -9223372036854775808);
        delete from public.arxiv_results_timeline_forks where id >= settled;
        insert into public.arxiv_results_timeline_forks (epoch, id) values (mark.epoch, settled);
    end if;

    if mark.candidate is null then
        -- A transaction that adds rows locks the table before it takes an id, and holds that lock to its end. So first the last id,
        -- then the locks: a transaction that has an id up to this one is among them, or has ended.
        execute format('select case when is_called then last_value else last_value - 1 end from %s', id_sequence) into mark.candidate;
        lockers := array(
            select distinct virtualtransaction from pg_locks
            where locktype = 'relation' and mode = 'RowExclusiveLock' and granted and relation = 'public.results'::regclass
              and database = (select oid from pg_database where datname = current_database()));
    else
        lockers := array(
            select distinct virtualtransaction from pg_locks
            where locktype = 'relation' and mode = 'RowExclusiveLock' and granted and relation = 'public.results'::regclass
              and database = (select oid from pg_database where datname = current_database())
              and virtualtransaction = any (mark.waiting_for));
    end if;
    if cardinality(lockers) > 0 then
        update public.arxiv_results_epoch set candidate = mark.candidate, waiting_for = lockers
        where candidate is distinct from mark.candidate or waiting_for is distinct from lockers;
    else
        -- Their commits came before this one, in the log that replicas replay too.
        settled := (select max(id) from public.arxiv_results_settled);
        if settled is null or mark.candidate > settled then
            insert into public.arxiv_results_settled (id) values (mark.candidate);
            -- One that is older than an hour is enough, for readers that leave out young rows.
            delete from public.arxiv_results_settled
            where id < (select max(id) from public.arxiv_results_settled
                        where settled_at < clock_timestamp() - interval '1 hour');
        end if;
        update public.arxiv_results_epoch set candidate = null, waiting_for = null where candidate is not null;
    end if;

    settled := (select max(id) from public.arxiv_results_settled);
    if settled is null or mark.counted = settled then
        return;
    end if;
    delete from public.arxiv_results_row_counts where epoch <> mark.epoch;
    select * into last_count from public.arxiv_results_row_counts
    where epoch = mark.epoch order by position desc limit 1;
    insert into public.arxiv_results_row_counts (epoch, position, id)
    select mark.epoch, coalesce(last_count.position, 0) + n, id
    from (select id, row_number() over (order by id) as n
          from (select id from public.results
                where id > coalesce(last_count.id, -9223372036854775808) and id <= settled
                order by id limit 500000) next) numbered
    where n % 1000 = 0;
    get diagnostics counts = row_count;
    if counts < 500 then
        update public.arxiv_results_epoch set counted = settled;
    end if;
end $$;

revoke all on function public.advance_results_watermark(), public.results_changed() from public;
