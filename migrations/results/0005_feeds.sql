-- Standing searches (ArxivFeed): what each has found, and how far its search is complete. Every version of a paper is found once: the
-- primary key of arxiv_feed_seen says so. All of it is written in the transaction of a run's rows in results, under the lock of the
-- feed's row here (docs/adr/0018-feeds.md).
create table public.arxiv_feeds (
    -- The uid of the feed's first object: its items are known by it.
    feed_uid uuid primary key,
    -- The object in Kubernetes. One that was restored from a backup, or in another cluster, has another uid.
    object_uid uuid not null unique,
    namespace text not null,
    name text not null,
    -- The search, for people.
    title text not null,
    -- A hash of the search. Another search starts another set of seen versions.
    search text not null,
    seen_set integer not null default 1,
    initial_items text not null check (initial_items in ('Include', 'Skip')),
    revisions text not null check (revisions in ('Include', 'Ignore')),
    -- Items that are older are removed; none are when it is null.
    retention_days integer check (retention_days >= 1),
    -- The number of items that the feed ever had: positions have no gap, and go on with another search.
    last_position bigint not null default 0,
    -- All papers that were last updated up to this time are seen. Null: none are.
    watermark timestamptz,
    -- Papers that were last updated before this time are no items: they were there before the feed.
    floor timestamptz,
    -- Whether a run of this search was complete already.
    is_established boolean not null default false,
    -- Where several runs share the way back to the watermark: the watermark after the last one, down to which time the way is
    -- covered, and where the next run goes on.
    backfill_watermark timestamptz,
    backfill_covered timestamptz,
    backfill_start integer,
    backfill_submitted_before timestamptz,
    -- When it runs, as its object says: five fields of cron, in an IANA time zone.
    schedule text not null default '',
    time_zone text not null default 'UTC',
    is_suspended boolean not null default false,
    -- When the next run starts; null when none is planned. In the past: the operator is late.
    next_run_at timestamptz,
    registered_at timestamptz not null default clock_timestamp(),
    last_run_at timestamptz,
    last_outcome text check (last_outcome in ('Complete', 'Incomplete', 'OtherSearch')),
    last_new_items integer,
    last_complete_at timestamptz,
    -- Since then the object is gone: nothing is added. A week later all is removed.
    dropped_at timestamptz
);
create index arxiv_feeds_name_idx on public.arxiv_feeds (name, namespace);

create table public.arxiv_feed_seen (
    feed_uid uuid not null,
    seen_set integer not null,
    paper text collate "C" not null,
    version integer not null,
    primary key (feed_uid, seen_set, paper, version)
);

create table public.arxiv_feed_items (
    feed_uid uuid not null,
    -- From 1. Of the papers of one run, the one that was updated last has the highest.
    position bigint not null check (position >= 1),
    seen_set integer not null,
    -- As in arxiv_papers.
    paper text collate "C" not null,
    version integer not null,
    -- The ArxivQuery that found it.
    run_uid uuid not null,
    recorded_at timestamptz not null,
    primary key (feed_uid, position),
    unique (feed_uid, seen_set, paper, version)
);

-- What came of each run: a process that records it again finds this.
create table public.arxiv_feed_runs (
    run_uid uuid primary key,
    feed_uid uuid not null,
    -- Of its results, if it has any.
    query_id bigint not null,
    new_items integer not null,
    outcome text not null check (outcome in ('Complete', 'Incomplete', 'OtherSearch')),
    recorded_at timestamptz not null
);
create index arxiv_feed_runs_recorded_at_idx on public.arxiv_feed_runs (recorded_at);

-- The webhooks of feeds, as their specs had them when they were registered last. What a run finds is to be delivered to each of them.
create table public.arxiv_feed_webhooks (
    feed_uid uuid not null,
    name text not null,
    -- A hash of its address, which may be a secret of the receiver. Another one is another receiver.
    address text not null,
    -- Since then the feed has no such webhook.
    removed_at timestamptz,
    -- Since then the receiver wants nothing any more: it has answered with status 410.
    gone_at timestamptz,
    -- How many attempts have failed since the last one that did not, and why the last one did.
    failures integer not null default 0,
    last_failure text,
    -- When its next delivery may be attempted. A process that attempts one moves it first, so no other one does.
    next_attempt_at timestamptz not null default clock_timestamp(),
    primary key (feed_uid, name)
);

-- Items of a feed that are to be delivered to a webhook, or were. Written in the transaction of the run that found them; of the pending
-- ones of a webhook, the one with the lowest positions is the next.
create table public.arxiv_feed_deliveries (
    -- What the receiver knows it by, in each attempt.
    delivery_id uuid primary key default gen_random_uuid(),
    feed_uid uuid not null,
    webhook text not null,
    first_position bigint not null,
    last_position bigint not null check (last_position >= first_position),
    state text not null default 'Pending' check (state in ('Pending', 'Delivered', 'Failed', 'Dropped')),
    attempts integer not null default 0,
    recorded_at timestamptz not null,
    -- When it was recorded, or requested again: three days later it fails.
    requested_at timestamptz not null,
    ended_at timestamptz,
    unique (feed_uid, webhook, first_position)
);
create index arxiv_feed_deliveries_pending_idx on public.arxiv_feed_deliveries (feed_uid, webhook, first_position)
    where state = 'Pending';
create index arxiv_feed_deliveries_failed_idx on public.arxiv_feed_deliveries (feed_uid, webhook) where state = 'Failed';
create index arxiv_feed_deliveries_ended_at_idx on public.arxiv_feed_deliveries (ended_at);

-- Removes items past their feed's age that are not to be delivered any more, versions that were seen by a search that the feed no longer
-- has, what came of runs more than 90 days ago, deliveries that ended more than 30 days ago, and feeds whose object is gone for a week,
-- so many rows that it does not take long; how many. What the present search of a feed has seen stays.
create function public.prune_feeds() returns bigint
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with feeds as materialized (
        select feed_uid, seen_set, retention_days, coalesce(dropped_at < clock_timestamp() - interval '7 days', false) as is_gone
        from public.arxiv_feeds for update skip locked
    ), items as (
        delete from public.arxiv_feed_items i
        using feeds f, lateral (
            select position from public.arxiv_feed_items o
            where o.feed_uid = f.feed_uid
              and (f.is_gone or o.recorded_at < clock_timestamp() - f.retention_days * interval '1 day'
                and not exists (
                    select from public.arxiv_feed_deliveries d
                    where d.feed_uid = f.feed_uid and d.state = 'Pending' and d.first_position <= o.position))
              -- Items are in the order of their times.
              and o.position < (select min(position) + 1000 from public.arxiv_feed_items where feed_uid = f.feed_uid)
            ) oldest
        where i.feed_uid = f.feed_uid and i.position = oldest.position
        returning 1
    ), seen as (
        delete from public.arxiv_feed_seen s
        using feeds f, lateral (
            select seen_set, paper, version from public.arxiv_feed_seen o
            where o.feed_uid = f.feed_uid and (f.is_gone or o.seen_set < f.seen_set)
            limit 1000) former
        where s.feed_uid = f.feed_uid and s.seen_set = former.seen_set and s.paper = former.paper and s.version = former.version
        returning 1
    ), runs as (
        delete from public.arxiv_feed_runs
        where run_uid in (
            select run_uid from public.arxiv_feed_runs
            where recorded_at < clock_timestamp() - interval '90 days' order by recorded_at limit 1000)
        returning 1
    ), deliveries as (
        delete from public.arxiv_feed_deliveries
        where delivery_id in (
            (select delivery_id from public.arxiv_feed_deliveries
             where ended_at < clock_timestamp() - interval '30 days' order by ended_at limit 1000)
            union all
            (select d.delivery_id from feeds f join public.arxiv_feed_deliveries d using (feed_uid) where f.is_gone limit 1000))
        returning 1
    ), webhooks as (
        delete from public.arxiv_feed_webhooks w
        using feeds f
        where w.feed_uid = f.feed_uid and (f.is_gone or w.removed_at is not null and not exists (
            select from public.arxiv_feed_deliveries d where d.feed_uid = w.feed_uid and d.webhook = w.name))
        returning 1
    ), gone as (
        delete from public.arxiv_feeds g
        using feeds f
        where g.feed_uid = f.feed_uid and f.is_gone
          and not exists (select from public.arxiv_feed_items i where i.feed_uid = g.feed_uid)
          and not exists (select from public.arxiv_feed_seen s where s.feed_uid = g.feed_uid)
          and not exists (select from public.arxiv_feed_deliveries d where d.feed_uid = g.feed_uid)
        returning 1
    )
    select (select count(*) from items) + (select count(*) from seen) + (select count(*) from runs) + (select count(*) from deliveries)
      + (select count(*) from webhooks) + (select count(*) from gone);
$$;

revoke all on function public.prune_feeds() from public;
