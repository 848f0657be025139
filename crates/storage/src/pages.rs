//! Fetched pages: the cache, the place where a query goes on after a restart, and what makes the first fetch win.
//!
//! Of one page there may be several versions, when somebody would not take the one that was there. Which of them is for
//! whom depends on nothing that comes later, so that everybody who goes on finds what was found before.
//!
//! The search is found by its SHA-256, since it may be longer than an index entry can be.

use std::time::Duration;

use jiff::{Timestamp, civil::Date};
use sqlx::PgPool;

use crate::{
    StorageError,
    connect::bounded,
    session::Session,
    time::{from_micros, micros},
};

/// Which version of a page is read.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PageVersion {
    /// The newest.
    #[default]
    Newest,
    /// The newest that was there at this time; if there was none, the first one after it.
    AsOf(Timestamp),
    /// The first one that came after this time.
    After(Timestamp),
}

impl PageVersion {
    /// The time, in microseconds since 1970, and whether only what came after it will do.
    fn bounds(self) -> (i64, bool) {
        match self {
            // Later than anything, and still a time for Postgres.
            Self::Newest => (Timestamp::MAX.as_microsecond(), false),
            Self::AsOf(time) => (time.as_microsecond(), false),
            Self::After(time) => (time.as_microsecond(), true),
        }
    }
}

/// What one fetched page is an answer to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PageKey {
    /// The search in its normalised form.
    pub search: String,
    /// The day (arXiv's) that the answer holds for.
    pub day: Date,
    /// First entry.
    pub start: u32,
    /// Entries asked for.
    pub count: u32,
    /// Which one of them, if there are several.
    pub version: PageVersion,
}

/// One paper of a page.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct PageEntry {
    /// arXiv's id.
    pub id: String,
    /// All authors, joined.
    pub authors: String,
    /// Title.
    pub title: String,
    /// Journal reference, empty when there is none.
    pub journal: String,
    /// arXiv's categories with spaces between, the primary one first; empty where they were not kept.
    #[serde(default)]
    pub categories: String,
}

/// A page as it was fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewPage {
    /// Papers found in all.
    pub total: u32,
    /// The feed's title.
    pub title: String,
    /// The answer's Date header.
    pub date: Option<Timestamp>,
    /// The answer's HTTP status.
    pub status: u16,
    /// The papers.
    pub entries: Vec<PageEntry>,
    /// How long it may be used, if not for all of its day.
    pub keep_for: Option<Duration>,
}

/// A page as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// Papers found in all.
    pub total: u32,
    /// The feed's title.
    pub title: String,
    /// The answer's Date header.
    pub date: Option<Timestamp>,
    /// The answer's HTTP status.
    pub status: u16,
    /// The papers.
    pub entries: Vec<PageEntry>,
    /// When it was stored, by the database's clock.
    pub fetched_at: Timestamp,
}

/// What stands of a page, but for its papers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageHead {
    /// Papers found in all.
    pub total: u32,
    /// The feed's title.
    pub title: String,
    /// The answer's Date header.
    pub date: Option<Timestamp>,
    /// The answer's HTTP status.
    pub status: u16,
    /// When it was stored, by the database's clock.
    pub fetched_at: Timestamp,
}

/// The store of pages, for the user `arxiv_upstream`.
#[derive(Clone, Debug)]
pub struct Pages {
    pool: PgPool,
}

impl Pages {
    /// The pages in the upstream database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The page that stands there and may still be used.
    pub async fn get(&self, key: &PageKey) -> Result<Option<Page>, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            let page = look(&mut session, key).await?;
            session.commit().await?;
            Ok(page)
        })
        .await
    }

    /// The same without its papers: whether it is there.
    pub async fn head(&self, key: &PageKey) -> Result<Option<PageHead>, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            let found = find(&mut session, key, false).await?;
            session.commit().await?;
            Ok(found.map(|(head, _)| head))
        })
        .await
    }

    /// Stores a page unless a version stands there that will do; what is for this key then.
    pub async fn put(&self, key: &PageKey, page: &NewPage) -> Result<Page, StorageError> {
        bounded(async {
            let mut session = Session::transaction(&self.pool).await?;
            let entries = serde_json::to_string(&page.entries).map_err(|_| StorageError::Unreadable)?;
            let bytes = entries.len() + page.title.len() + key.search.len();
            // One at a time, or two would find that none stands there. It is left with the transaction.
            let alone = session.query("select pg_advisory_xact_lock(hashtextextended($1, $2))");
            let alone = alone.bind(&key.search).bind(i64::from(key.start));
            alone.execute(session.conn()).await?;
            let (at, only_after) = key.version.bounds();
            let put = session.query_as::<(i64,)>(
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
            let put = put
                .bind(&key.search)
                .bind(key.day.to_string())
                .bind(i64::from(key.start))
                .bind(i64::from(key.count))
                .bind(i64::from(page.total))
                .bind(&page.title)
                .bind(page.date.map(Timestamp::as_microsecond))
                .bind(i32::from(page.status))
                .bind(entries)
                .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
                .bind(page.keep_for.map(micros))
                .bind(at)
                .bind(only_after);
            let stored = put.fetch_optional(session.conn()).await?;
            let stands = match stored {
                None => look(&mut session, key).await?,
                Some(_) => None,
            };
            let stands = match (stands, stored) {
                (Some(page), _) => page,
                // The one that was just stored; or none stands any more, and then this is the freshest answer there is.
                (None, stored) => Page {
                    total: page.total,
                    title: page.title.clone(),
                    date: page.date.map(|date| from_micros(date.as_microsecond())).transpose()?,
                    status: page.status,
                    entries: page.entries.clone(),
                    fetched_at: match stored {
                        Some((fetched_at,)) => from_micros(fetched_at)?,
                        None => clock(&mut session).await?,
                    },
                },
            };
            session.commit().await?;
            Ok(stands)
        })
        .await
    }

    /// Deletes pages of days before `day`, those past their time, and the oldest above `max_bytes` in all; how many.
    ///
    /// Pages of the searches in `kept` stay until they are past their time: without them, who has fetched some slices
    /// would have to ask for these again, and several at once might never come to an end.
    pub async fn prune(&self, day: Date, max_bytes: u64, kept: &[&str]) -> Result<u64, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            let prune = session.query(
                "delete from public.arxiv_pages p using (
                   select search_hash, day, start, count, fetched_at, expires_at,
                          sum(bytes) over (order by fetched_at desc, search_hash, day, start, count) as bytes_to_here
                   from public.arxiv_pages) as each
                 where (p.search_hash, p.day, p.start, p.count, p.fetched_at)
                      = (each.search_hash, each.day, each.start, each.count, each.fetched_at)
                   and (each.expires_at <= clock_timestamp()
                     or (p.day < $1::text::date or each.bytes_to_here > $2) and p.search <> all ($3))",
            );
            let prune = prune
                .bind(day.to_string())
                .bind(i64::try_from(max_bytes).unwrap_or(i64::MAX))
                .bind(kept);
            let pruned = prune.execute(session.conn()).await?.rows_affected();
            session.commit().await?;
            Ok(pruned)
        })
        .await
    }

    /// The database's clock.
    pub async fn now(&self) -> Result<Timestamp, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            let now = clock(&mut session).await?;
            session.commit().await?;
            Ok(now)
        })
        .await
    }
}

async fn clock(session: &mut Session) -> Result<Timestamp, StorageError> {
    let now = session.query_as::<(i64,)>("select (extract(epoch from clock_timestamp()) * 1000000)::bigint");
    let (now,) = now.fetch_one(session.conn()).await?;
    from_micros(now)
}

async fn look(session: &mut Session, key: &PageKey) -> Result<Option<Page>, StorageError> {
    let Some((head, entries)) = find(session, key, true).await? else {
        return Ok(None);
    };
    let PageHead {
        total,
        title,
        date,
        status,
        fetched_at,
    } = head;
    let entries = entries.ok_or(StorageError::Unreadable)?;
    Ok(Some(Page {
        total,
        title,
        date,
        status,
        entries: serde_json::from_str(&entries).map_err(|_| StorageError::Unreadable)?,
        fetched_at,
    }))
}

/// The page that may still be used, and its papers as they are stored, if they are asked for.
async fn find(
    session: &mut Session,
    key: &PageKey,
    with_entries: bool,
) -> Result<Option<(PageHead, Option<String>)>, StorageError> {
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
        .bind(with_entries)
        .bind(at)
        .bind(only_after);
    let Some((total, title, date, status, fetched_at, entries)) = find.fetch_optional(session.conn()).await?
    else {
        return Ok(None);
    };
    let head = PageHead {
        total: u32::try_from(total).map_err(|_| StorageError::Unreadable)?,
        title,
        date: date.map(from_micros).transpose()?,
        status: u16::try_from(status).map_err(|_| StorageError::Unreadable)?,
        fetched_at: from_micros(fetched_at)?,
    };
    Ok(Some((head, entries)))
}
