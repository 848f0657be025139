-- Whose rows these are: in Kubernetes, an installation claims the objects that it runs by this id.
create table public.arxiv_installation (
    single boolean primary key default true check (single),
    id uuid not null default gen_random_uuid()
);
insert into public.arxiv_installation default values;
