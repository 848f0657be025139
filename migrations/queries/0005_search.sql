-- A hash of what the object searches for: with the object's names it says whose record a row is, for an object that was restored
-- under another uid. Null in rows that are older than this column, and as for the object's uid.
alter table public.queries add column if not exists object_search text;
