//! Deliveries of new items to webhooks: written with the items, in the transaction of their run.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use uuid::Uuid;

use super::Feeds;
use crate::{
    StorageError,
    connection::{Kind, Session, from_micros},
};

/// The most items of one delivery.
pub const ITEMS_PER_DELIVERY: i64 = 100;

/// Deliveries of all feeds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeliveryStats {
    /// How many wait for their first attempt or another one.
    pub pending: i64,
    /// Since when the one waits that waits longest.
    pub oldest: Option<Timestamp>,
    /// How many were given up, and not requested again.
    pub failed: i64,
}

/// Writes what is to be delivered to each webhook of a feed: the items of a run, in several parts if there are many. Under the feed's
/// lock. `recorded_at`: microseconds since 1970.
pub(super) async fn insert(
    session: &mut Session,
    feed: Uuid,
    positions: RangeInclusive<i64>,
    recorded_at: i64,
) -> Result<(), StorageError> {
    let insert = session.query(
        "insert into public.arxiv_feed_deliveries (feed_uid, webhook, first_position, last_position, recorded_at, requested_at)
         select $1, w.name, first, least(first + $4 - 1, $3), at, at
         from public.arxiv_feed_webhooks w, generate_series($2, $3, $4) first,
              (select timestamptz 'epoch' + $5 * interval '1 microsecond') recorded (at)
         where w.feed_uid = $1 and w.removed_at is null and w.gone_at is null",
    );
    insert
        .bind(feed)
        .bind(positions.start())
        .bind(positions.end())
        .bind(ITEMS_PER_DELIVERY)
        .bind(recorded_at)
        .execute(session.conn())
        .await?;
    Ok(())
}

impl Feeds {
    /// How many deliveries wait or have failed, of feeds and webhooks that are there.
    pub async fn delivery_stats(&self) -> Result<DeliveryStats, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let stats = session.query_as::<(i64, i64, Option<i64>)>(
                "select count(*) filter (where d.state = 'Pending'), count(*) filter (where d.state = 'Failed'),
                        (extract(epoch from min(d.requested_at) filter (where d.state = 'Pending')) * 1000000)::bigint
                 from public.arxiv_feed_deliveries d
                 join public.arxiv_feed_webhooks w on w.feed_uid = d.feed_uid and w.name = d.webhook and w.removed_at is null
                 join public.arxiv_feeds f on f.feed_uid = d.feed_uid and f.dropped_at is null
                 where d.state in ('Pending', 'Failed')",
            );
            let (pending, failed, oldest) = stats.fetch_one(session.conn()).await?;
            Ok(DeliveryStats {
                pending,
                oldest: oldest.map(from_micros).transpose()?,
                failed,
            })
        })
        .await
    }
}
