-- Pages hold the whole metadata of a paper since this version. Processes of the version before read pages of their own form only, and both
-- are at work during an upgrade: so the form is a part of the hash, and neither finds the other's pages. Those end with their day.
comment on column public.arxiv_pages.search_hash is
    'SHA-256 of the form of entries and of search; see crates/storage/src/pages.rs for the form';
comment on column public.arxiv_pages.entries is
    'A JSON array of papers, each with its whole metadata; text, since it is only read as a whole';
