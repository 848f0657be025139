-- The object that a row belongs to by its name, so that it can be told of by name once it is gone.

-- In a table that was there before, these columns were added already, by a step that does not hold up those who use it.
do $$
begin
    if not exists (select from pg_attribute where attrelid = 'public.queries'::regclass and attname = 'object_name') then
        alter table public.queries
            -- Null in rows that the existing service or a client wrote, and in those from before.
            add column object_namespace text,
            add column object_name text;
    end if;
end $$;
