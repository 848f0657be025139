-- Query ids; the existing service takes them from the same sequence.
create sequence if not exists public.arxiv_sequence;
