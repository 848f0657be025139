//! Deliveries of new items to webhooks: written with the items, in the transaction of their run.

use jiff::Timestamp;
use uuid::Uuid;

use super::Feeds;
use crate::{
    StorageError,
    connection::{Kind, Session, from_micros},
};

/// The most items of one delivery.
const ITEMS_PER_DELIVERY: usize = 100;
/// The most bytes of the papers of one delivery, unless one alone has more: servers that take no larger body than 1 MB are common.
const BYTES_PER_DELIVERY: usize = 512 * 1024;

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
/// lock. `known`: how many items there were before; `sizes`: of the new ones, in the order of their positions, in bytes;
/// `recorded_at`: microseconds since 1970.
pub(super) async fn insert(
    session: &mut Session,
    feed: Uuid,
    known: i64,
    sizes: impl Iterator<Item = usize>,
    recorded_at: i64,
) -> Result<(), StorageError> {
    let (first, last): (Vec<i64>, Vec<i64>) = parts(known, sizes).into_iter().unzip();
    let insert = session.query(
        "insert into public.arxiv_feed_deliveries (feed_uid, webhook, first_position, last_position, recorded_at, requested_at)
         select $1, w.name, first, last, at, at
         from public.arxiv_feed_webhooks w, unnest($2::bigint[], $3::bigint[]) part (first, last),
              (select timestamptz 'epoch' + $4 * interval '1 microsecond') recorded (at)
         where w.feed_uid = $1 and w.removed_at is null and w.gone_at is null",
    );
    insert
        .bind(feed)
        .bind(first)
        .bind(last)
        .bind(recorded_at)
        .execute(session.conn())
        .await?;
    Ok(())
}

/// The first and the last position of each delivery.
fn parts(known: i64, sizes: impl Iterator<Item = usize>) -> Vec<(i64, i64)> {
    let mut parts: Vec<(i64, i64)> = Vec::new();
    let (mut items, mut bytes) = (0, 0_usize);
    for (position, size) in (known + 1..).zip(sizes) {
        items += 1;
        bytes = bytes.saturating_add(size);
        match parts.last_mut() {
            Some((_, last)) if items <= ITEMS_PER_DELIVERY && bytes <= BYTES_PER_DELIVERY => *last = position,
            _ => {
                parts.push((position, position));
                (items, bytes) = (1, size);
            }
        }
    }
    parts
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

#[cfg(test)]
mod tests {
    use super::*;

    /// So many items of so many bytes each.
    type Sizes = &'static [(usize, usize)];

    #[test]
    fn deliveries_have_at_most_so_many_items_and_bytes_and_at_least_one_item() {
        let large = BYTES_PER_DELIVERY + 1;
        #[rustfmt::skip]
        let cases: [(Sizes, &[(i64, i64)]); 7] = [
            (&[], &[]),
            (&[(1, 2_000)], &[(8, 8)]),
            (&[(100, 2_000)], &[(8, 107)]),
            (&[(201, 2_000)], &[(8, 107), (108, 207), (208, 208)]),
            (&[(4, BYTES_PER_DELIVERY / 2)], &[(8, 9), (10, 11)]),
            (&[(2, BYTES_PER_DELIVERY), (2, 10)], &[(8, 8), (9, 9), (10, 11)]),
            (&[(1, 10), (1, usize::MAX), (2, 10)], &[(8, 8), (9, 9), (10, 11)]),
        ];
        for (sizes, expected) in cases {
            let all = sizes
                .iter()
                .flat_map(|(items, size)| std::iter::repeat_n(*size, *items));
            assert_eq!(parts(7, all), expected, "{sizes:?}");
        }
        assert_eq!(parts(0, [large, large].into_iter()), [(1, 1), (2, 2)]);
    }
}
