//! The statements on `arxiv_pages`.

use std::time::Duration;

use jiff::Timestamp;

use super::{Page, PageHead, PageKey, Session, StorageError, from_micros, micros};
use crate::Paper;

/// The database's clock.
pub(super) async fn clock(session: &mut Session) -> Result<Timestamp, StorageError> {
    let now = session.query_as::<(i64,)>("select (extract(epoch from clock_timestamp()) * 1000000)::bigint");
    let (now,) = now.fetch_one(session.conn()).await?;
    from_micros(now)
}

/// The page that may still be used.
pub(super) async fn get(session: &mut Session, key: &PageKey) -> Result<Option<Page>, StorageError> {
    let Some((head, fetched_at, papers)) = find(session, key, true).await? else {
        return Ok(None);
    };
    let papers = papers.ok_or(StorageError::Unreadable)?;
    Ok(Some(Page {
        head,
        papers: serde_json::from_str(&papers).map_err(|_| StorageError::Unreadable)?,
        fetched_at,
    }))
}

/// The page that may still be used, when it was stored, and its papers as they are stored, if they are asked for.
pub(super) async fn find(
    session: &mut Session,
    key: &PageKey,
    with_papers: bool,
) -> Result<Option<(PageHead, Timestamp, Option<String>)>, StorageError> {
    let find = session.query_as::<(i64, String, Option<i64>, i32, i64, Option<String>)>(
        "select total, title, (extract(epoch from answered_at) * 1000000)::bigint, status,
                (extract(epoch from fetched_at) * 1000000)::bigint, case when $5 then entries end
         from public.arxiv_pages
         where search_hash = sha256(convert_to($1, 'UTF8')) and day = $2::text::date and start = $3 and count = $4
           and (expires_at is null or expires_at > clock_timestamp())
           and (not $7 or fetched_at > timestamptz 'epoch' + $6 * interval '1 microsecond')
         -- Those up to the time before those after it, and of either the nearest.
         order by fetched_at > timestamptz 'epoch' + $6 * interval '1 microsecond',
           abs(extract(epoch from fetched_at - (timestamptz 'epoch' + $6 * interval '1 microsecond')))
         limit 1",
    );
    let (at, only_after) = key.version.bounds();
    let find = find
        .bind(&key.search)
        .bind(key.day.to_string())
        .bind(i64::from(key.start))
        .bind(i64::from(key.count))
        .bind(with_papers)
        .bind(at)
        .bind(only_after);
    let Some((total, title, date, status, fetched_at, papers)) = find.fetch_optional(session.conn()).await?
    else {
        return Ok(None);
    };
    let head = PageHead {
        total: u32::try_from(total).map_err(|_| StorageError::Unreadable)?,
        title,
        date: date.map(from_micros).transpose()?,
        status: u16::try_from(status).map_err(|_| StorageError::Unreadable)?,
    };
    Ok(Some((head, from_micros(fetched_at)?, papers)))
}

/// Within a transaction: inserts the page unless there is a version that the key accepts. When it was stored, if it was.
pub(super) async fn insert(
    session: &mut Session,
    key: &PageKey,
    head: &PageHead,
    papers: &[Paper],
    keep_for: Option<Duration>,
) -> Result<Option<Timestamp>, StorageError> {
    let entries = serde_json::to_string(papers).map_err(|_| StorageError::Unreadable)?;
    let bytes = entries.len() + head.title.len() + key.search.len();
    // One at a time, or two would find none. The lock is released with the transaction.
    let lock = session.query("select pg_advisory_xact_lock(hashtextextended($1, $2))");
    let lock = lock.bind(&key.search).bind(i64::from(key.start));
    lock.execute(session.conn()).await?;
    let insert = session.query_as::<(i64,)>(
        "insert into public.arxiv_pages
           (search_hash, search, day, start, count, total, title, answered_at, status, entries, bytes, expires_at)
         select sha256(convert_to($1, 'UTF8')), $1, $2::text::date, $3, $4, $5, $6,
           timestamptz 'epoch' + $7 * interval '1 microsecond', $8, $9, $10,
           clock_timestamp() + $11 * interval '1 microsecond'
         where not exists (
           select from public.arxiv_pages
           where search_hash = sha256(convert_to($1, 'UTF8')) and day = $2::text::date and start = $3 and count = $4
             and (expires_at is null or expires_at > clock_timestamp())
             and (not $13 or fetched_at > timestamptz 'epoch' + $12 * interval '1 microsecond'))
         returning (extract(epoch from fetched_at) * 1000000)::bigint",
    );
    let (at, only_after) = key.version.bounds();
    let insert = insert
        .bind(&key.search)
        .bind(key.day.to_string())
        .bind(i64::from(key.start))
        .bind(i64::from(key.count))
        .bind(i64::from(head.total))
        .bind(&head.title)
        .bind(head.date.map(Timestamp::as_microsecond))
        .bind(i32::from(head.status))
        .bind(entries)
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .bind(keep_for.map(micros))
        .bind(at)
        .bind(only_after);
    let stored = insert.fetch_optional(session.conn()).await?;
    stored.map(|(micros,)| from_micros(micros)).transpose()
}
