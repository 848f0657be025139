-- When the next request to arXiv may be sent, in one row for all processes.
create table public.arxiv_gate (
    single boolean primary key default true check (single),
    next_slot timestamptz not null default clock_timestamp(),
    cooldown_until timestamptz,
    throttled_in_a_row integer not null default 0,
    -- Set with a slot, cleared at the end of its lease: a holder that finds it set knows that the lease before was lost.
    request_open boolean not null default false,
    -- The start time of the server that gave the last slot. If it is not that of the server that is asked, another one took over
    -- since then, perhaps without the last writes.
    given_by timestamptz
);

insert into public.arxiv_gate default values;
