-- How far the results are settled: up to which id no transaction can still add a row, so that pages of rows below never change
-- and have no holes (docs/adr, "How far results are settled").

-- In a table that was there before, these columns were added already, by a step that does not hold up those who use it.
do $$
begin
    if not exists (select from pg_attribute where attrelid = 'public.results'::regclass and attname = 'arxiv_id') then
        alter table public.results
            -- With its version; null in rows that the existing service or a client wrote.
            add column arxiv_id text,
            -- With spaces between, the primary one first.
            add column categories text;
    end if;
end $$;

create table public.arxiv_results_epoch (
    single boolean primary key default true check (single),
    -- Grows whenever settled rows may have changed: deleted, updated, or another server took over. At least the microseconds of
    -- the clock: two servers, of which one goes on from less than the other had, would give the same number to different rows.
    epoch bigint not null default (extract(epoch from clock_timestamp()) * 1000000)::bigint,
    -- The server that settled last.
    server_started timestamptz,
    -- The next bound, and the transactions that may still add rows below it (pg_locks.virtualtransaction).
    candidate bigint,
    waiting_for text[],
    -- The bound up to which positions were taken; null: they have to be taken anew.
    counted bigint
);

insert into public.arxiv_results_epoch default values;

-- Every row with an id up to this one is there since then, or never comes.
create table public.arxiv_results_settled (
    id bigint primary key,
    settled_at timestamptz not null default clock_timestamp()
);

-- Since this epoch, rows after this id may be others than those that were read there before. Ids grow with epochs: one with a
-- lower id makes those before it needless.
create table public.arxiv_results_timeline_forks (
    epoch bigint primary key,
    id bigint not null
);

-- So many rows have an id up to this one, in this epoch.
create table public.arxiv_results_row_counts (
    epoch bigint not null,
    position bigint not null,
    id bigint not null,
    primary key (epoch, position)
);

-- Whoever deletes or changes rows begins a new epoch in the same transaction.
create function public.results_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    begun bigint;
begin
    update public.arxiv_results_epoch
    set epoch = greatest(epoch + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint), counted = null
    returning epoch into begun;
    if tg_op = 'TRUNCATE' then
        -- Ids may be given anew.
        update public.arxiv_results_epoch set candidate = null, waiting_for = null;
        delete from public.arxiv_results_settled;
        delete from public.arxiv_results_timeline_forks;
        insert into public.arxiv_results_timeline_forks (epoch, id) values (begun, -9223372036854775808);
    end if;
    return null;
end $$;

-- Moves the bound as far as it can; to be called again and again. Nothing is written when there is nothing new.
create function public.advance_results_watermark() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    mark public.arxiv_results_epoch;
    standing bigint;
    numbers regclass;
    given bigint;
    lockers text[];
    place public.arxiv_results_row_counts;
    taken bigint;
begin
    -- The sequence behind the column, if it gives ids one by one and upwards: a session that keeps some for later would give
    -- them out unseen.
    select s.seqrelid into numbers
    from pg_sequence s
    where s.seqcache = 1 and s.seqincrement > 0 and not s.seqcycle and s.seqrelid = coalesce(
        pg_get_serial_sequence('public.results', 'id')::regclass::oid,
        (select p.refobjid from pg_attrdef d join pg_depend p on p.classid = 'pg_attrdef'::regclass and p.objid = d.oid
           join pg_class c on c.oid = p.refobjid and p.refclassid = 'pg_class'::regclass and c.relkind = 'S'
         where d.adrelid = 'public.results'::regclass
           and d.adnum = (select attnum from pg_attribute where attrelid = 'public.results'::regclass and attname = 'id')));
    if numbers is null then
        return;
    end if;
    execute format('select case when is_called then last_value else last_value - 1 end from %s', numbers) into given;
    select max(id) into standing from public.arxiv_results_settled;
    select * into mark from public.arxiv_results_epoch;
    if mark.server_started = pg_postmaster_start_time() and mark.candidate is null and given = standing
       and mark.counted = standing then
        return;
    end if;

    -- One at a time, and none while a transaction is about to begin a new epoch.
    select * into mark from public.arxiv_results_epoch for update skip locked;
    if not found then
        return;
    end if;
    if mark.server_started is distinct from pg_postmaster_start_time() then
        -- This server may have taken over from one that had more: ids and rows after the bound may not be what was read there.
        update public.arxiv_results_epoch
        set epoch = greatest(epoch + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
            server_started = pg_postmaster_start_time(), candidate = null, waiting_for = null, counted = null
        returning * into mark;
        standing := coalesce((select max(id) from public.arxiv_results_settled), -9223372036854775808);
        delete from public.arxiv_results_timeline_forks where id >= standing;
        insert into public.arxiv_results_timeline_forks (epoch, id) values (mark.epoch, standing);
    end if;

    if mark.candidate is null then
        -- Whoever adds rows has locked the table before it takes an id, and holds that to its end. So first the last id, then
        -- the locks: a transaction that has an id up to this one is among them, or has ended.
        execute format('select case when is_called then last_value else last_value - 1 end from %s', numbers) into mark.candidate;
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
        standing := (select max(id) from public.arxiv_results_settled);
        if standing is null or mark.candidate > standing then
            insert into public.arxiv_results_settled (id) values (mark.candidate);
            -- One that is older than an hour is enough, for readers that leave out what is young.
            delete from public.arxiv_results_settled
            where id < (select max(id) from public.arxiv_results_settled
                        where settled_at < clock_timestamp() - interval '1 hour');
        end if;
        update public.arxiv_results_epoch set candidate = null, waiting_for = null where candidate is not null;
    end if;

    standing := (select max(id) from public.arxiv_results_settled);
    if standing is null or mark.counted = standing then
        return;
    end if;
    delete from public.arxiv_results_row_counts where epoch <> mark.epoch;
    select * into place from public.arxiv_results_row_counts
    where epoch = mark.epoch order by position desc limit 1;
    insert into public.arxiv_results_row_counts (epoch, position, id)
    select mark.epoch, coalesce(place.position, 0) + n, id
    from (select id, row_number() over (order by id) as n
          from (select id from public.results
                where id > coalesce(place.id, -9223372036854775808) and id <= standing
                order by id limit 500000) next) numbered
    where n % 1000 = 0;
    get diagnostics taken = row_count;
    if taken < 500 then
        update public.arxiv_results_epoch set counted = standing;
    end if;
end $$;

revoke all on function public.advance_results_watermark(), public.results_changed() from public;
