-- A page that was fetched anew, as somebody would not take the one from before, stands beside it: who goes on with the old
-- one still finds it.
alter table public.arxiv_pages drop constraint arxiv_pages_pkey;
alter table public.arxiv_pages add primary key (search_hash, day, start, count, fetched_at);
