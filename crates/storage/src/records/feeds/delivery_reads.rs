//! Deliveries as clients read them.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Reads, StorageError,
    connection::{Kind, Session, from_micros},
};

/// A delivery to a webhook, as clients see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// What the receiver knows it by.
    pub id: Uuid,
    /// The webhook's name.
    pub webhook: String,
    /// The positions of its items.
    pub positions: (i64, i64),
    /// `Pending`, `Delivered`, `Failed` or `Dropped`.
    pub state: String,
    /// How many attempts there were.
    pub attempts: i32,
    /// When the run was recorded that found the items.
    pub recorded_at: Timestamp,
    /// When it ended; none while it waits.
    pub ended_at: Option<Timestamp>,
}

/// After which delivery a list goes on: they are in the order of their positions, the highest first, then of their webhooks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryKey {
    /// The first of its positions.
    pub first_position: i64,
    /// The webhook's name.
    pub webhook: String,
}

type DeliveryRow = (Uuid, String, i64, i64, String, i32, i64, Option<i64>);

impl Reads {
    /// Deliveries of a feed, those with the newest items first, at most `limit`; of a state, or of all.
    pub async fn deliveries(
        &self,
        feed: Uuid,
        state: Option<&str>,
        after: Option<&DeliveryKey>,
        limit: i64,
    ) -> Result<Vec<Delivery>, StorageError> {
        Session::read(self.results_pool(), Kind::Statement, async |session| {
            let found = session.query_as::<DeliveryRow>(
                "select delivery_id, webhook, first_position, last_position, state, attempts,
                        (extract(epoch from recorded_at) * 1000000)::bigint, (extract(epoch from ended_at) * 1000000)::bigint
                 from public.arxiv_feed_deliveries
                 where feed_uid = $1 and ($2::text is null or state = $2)
                   and ($3::bigint is null or first_position < $3
                     or first_position = $3 and webhook collate \"C\" > $4)
                 order by first_position desc, webhook collate \"C\" limit $5",
            );
            let found = found
                .bind(feed)
                .bind(state)
                .bind(after.map(|after| after.first_position))
                .bind(after.map(|after| after.webhook.as_str()))
                .bind(limit);
            let found = found.fetch_all(session.conn()).await?.into_iter();
            found.map(delivery_of).collect()
        })
        .await
    }
}

fn delivery_of(row: DeliveryRow) -> Result<Delivery, StorageError> {
    let (id, webhook, first, last, state, attempts, recorded_at, ended_at) = row;
    Ok(Delivery {
        id,
        webhook,
        positions: (first, last),
        state,
        attempts,
        recorded_at: from_micros(recorded_at)?,
        ended_at: ended_at.map(from_micros).transpose()?,
    })
}
