-- A query that failed is told of by its name once its object is gone, for as long as its closing is kept.
alter table public.arxiv_query_tombstones
    -- Null in closings from before, and in those of rows that were removed for their age.
    add column object_namespace text,
    add column object_name text;

create index arxiv_closed_queries_object_name_idx on public.arxiv_query_tombstones (object_name, object_namespace)
    where object_name is not null;
