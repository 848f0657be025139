-- When the next request to arXiv may go out, in one row for everybody.
create table public.arxiv_gate (
    single boolean primary key default true check (single),
    next_slot timestamptz not null default clock_timestamp(),
    cooldown_until timestamptz,
    throttled_in_a_row integer not null default 0
);

insert into public.arxiv_gate default values;
