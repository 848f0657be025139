-- When the next request to arXiv may go out, in one row for everybody.
create table public.arxiv_gate (
    single boolean primary key default true check (single),
    next_slot timestamptz not null default clock_timestamp(),
    cooldown_until timestamptz,
    throttled_in_a_row integer not null default 0,
    -- Set with a slot, cleared at the end of its turn: who finds it set knows that the turn before broke off.
    request_open boolean not null default false,
    -- When the server that last gave out a slot had started. Another one took over since then, perhaps without the last
    -- writes, when it is not the start of the server that is asked.
    given_by timestamptz
);

insert into public.arxiv_gate default values;
