//! Reading a feed out of its database.

use std::io;

use paper::PaperId;
use sqlx::Row;
use uuid::Uuid;

use super::{
    super::{Feeds, Revisions, register},
    Counts, ExportedFeed, ExportedItem, FORMAT, Line, TransferError,
};
use crate::{
    StorageError,
    connection::{Kind, Session, bounded, from_micros},
    reads::paper_key::{id_of, version_of},
    reads::{WhichVersion, whole_papers},
};

/// Items that are read at once, with their papers.
const ITEMS: i64 = 200;
/// Versions that were seen, read at once.
const SEEN: i64 = 5_000;

/// The items after a version of a search, in the order of the versions.
const PAGE: &str = "select i.paper, i.version, i.seen_set, i.position, i.run_uid,
       (extract(epoch from i.recorded_at) * 1000000)::bigint as recorded_at,
       (extract(epoch from p.fetched_at) * 1000000)::bigint as fetched_at
     from public.arxiv_feed_items i join public.arxiv_papers p on p.paper = i.paper and p.version = i.version
     where i.feed_uid = $1 and (i.paper, i.version, i.seen_set) > ($2, $3, $4)
     order by i.paper, i.version, i.seen_set limit $5";

impl Feeds {
    /// Hands the lines of a feed to `write`, as they are at one time; how many there are.
    pub async fn export(
        &self,
        namespace: &str,
        name: &str,
        mut write: impl FnMut(Line) -> io::Result<()>,
    ) -> Result<Counts, TransferError> {
        let mut session = bounded(begin(self)).await?;
        let Some(feed) = bounded(head(&mut session, namespace, name)).await? else {
            return Err(TransferError::NoFeed {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            });
        };
        let (id, seen_set) = (feed.state.id, feed.state.seen_set);
        write(Line::Feed(Box::new(feed)))?;
        let mut counts = Counts::default();
        let mut after = (String::new(), -1, 0);
        loop {
            let items = bounded(items(&mut session, id, &after)).await?;
            let Some(last) = items.last() else { break };
            after = (
                last.paper.id.paper.clone(),
                version_of(&last.paper.id),
                last.seen_set,
            );
            for item in items {
                counts.items += 1;
                write(Line::Item(Box::new(item)))?;
            }
        }
        let mut after = (String::new(), -1);
        loop {
            let seen = bounded(seen(&mut session, (id, seen_set), &after)).await?;
            let Some(last) = seen.last() else { break };
            after = (last.paper.clone(), version_of(last));
            for id in seen {
                counts.seen += 1;
                write(Line::Seen(id))?;
            }
        }
        write(Line::End(counts))?;
        bounded(session.commit()).await?;
        Ok(counts)
    }
}

/// All is read as it is now.
async fn begin(feeds: &Feeds) -> Result<Session, StorageError> {
    let mut session = Session::open(&feeds.pool, Kind::Transaction).await?;
    let snapshot = session.query("set transaction isolation level repeatable read, read only");
    snapshot.execute(session.conn()).await?;
    Ok(session)
}

async fn head(
    session: &mut Session,
    namespace: &str,
    name: &str,
) -> Result<Option<ExportedFeed>, StorageError> {
    // Of a name that was used again the last one, as clients see it.
    let object = session.query_as::<(Uuid, String, Option<i32>)>(
        "select object_uid, title, retention_days from public.arxiv_feeds where namespace = $1 and name = $2 and dropped_at is null
         order by registered_at desc limit 1",
    );
    let object = object.bind(namespace).bind(name);
    let Some((uid, title, retention_days)) = object.fetch_optional(session.conn()).await? else {
        return Ok(None);
    };
    let Some(row) = register::row(session, uid, namespace).await? else {
        return Ok(None);
    };
    Ok(Some(ExportedFeed {
        format: FORMAT,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        title,
        revisions: Revisions::of_word(row.try_get("revisions")?)?,
        retention_days,
        state: register::state_of(&row)?,
    }))
}

async fn items(
    session: &mut Session,
    feed: Uuid,
    (paper, version, seen_set): &(String, i32, i32),
) -> Result<Vec<ExportedItem>, StorageError> {
    let page = session.query_as::<(String, i32, i32, i64, Uuid, i64, i64)>(PAGE);
    let page = page.bind(feed).bind(paper).bind(version).bind(seen_set);
    let rows = page.bind(ITEMS).fetch_all(session.conn()).await?;
    let ids: Result<Vec<_>, _> = rows.iter().map(|row| id_of(row.0.clone(), row.1)).collect();
    let papers = whole_papers(session, &ids?, WhichVersion::Named).await?;
    let items = rows
        .into_iter()
        .map(|(paper, version, seen_set, position, run, recorded, fetched)| {
            let id = id_of(paper, version)?;
            let paper = papers.iter().find(|paper| paper.id == id);
            Ok(ExportedItem {
                position,
                seen_set,
                run,
                recorded_at: from_micros(recorded)?,
                fetched_at: from_micros(fetched)?,
                paper: paper.ok_or(StorageError::Unreadable)?.clone(),
            })
        });
    items.collect()
}

async fn seen(
    session: &mut Session,
    (feed, seen_set): (Uuid, i32),
    (paper, version): &(String, i32),
) -> Result<Vec<PaperId>, StorageError> {
    let page = session.query_as::<(String, i32)>(
        "select paper, version from public.arxiv_feed_seen where feed_uid = $1 and seen_set = $2 and (paper, version) > ($3, $4)
         order by paper, version limit $5",
    );
    let page = page.bind(feed).bind(seen_set).bind(paper).bind(version);
    let rows = page.bind(SEEN).fetch_all(session.conn()).await?;
    rows.into_iter()
        .map(|(paper, version)| id_of(paper, version))
        .collect()
}
