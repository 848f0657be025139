//! Requesting again what was delivered, or was not.

use uuid::Uuid;

use super::Feeds;
use crate::{
    StorageError,
    connection::{Kind, Session},
};

/// What came of a request to deliver again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redelivery {
    /// So many deliveries wait now that had ended.
    Requested(i64),
    /// There is no such feed.
    NoFeed,
    /// The feed has no such delivery.
    NoDelivery,
    /// The webhook is removed or its receiver is gone, or its items are past their age.
    Impossible,
}

/// The feed that has the name now: $1, in the namespace $2 if there is one.
macro_rules! with_feed {
    ($rest:literal) => {
        concat!(
            "with feed as (
               select feed_uid from public.arxiv_feeds
               where name = $1 and ($2::text is null or namespace = $2) and dropped_at is null
               order by namespace collate \"C\", registered_at desc limit 1)",
            $rest
        )
    };
}
/// Three days count anew, and the first attempt is at once.
const REQUEST: &str = with_feed!(
    ", again as (
       update public.arxiv_feed_deliveries d set state = 'Pending', requested_at = clock_timestamp(), ended_at = null
       from feed f, public.arxiv_feed_webhooks w
       where d.feed_uid = f.feed_uid and w.feed_uid = d.feed_uid and w.name = d.webhook
         and w.removed_at is null and w.gone_at is null
         and (d.delivery_id = $3 and d.state <> 'Pending' or $3::uuid is null and d.state = 'Failed')
         and exists (
           select from public.arxiv_feed_items i
           where i.feed_uid = d.feed_uid and i.position between d.first_position and d.last_position)
       returning d.feed_uid, d.webhook),
     due as (
       update public.arxiv_feed_webhooks w set next_attempt_at = clock_timestamp()
       where exists (select from again where again.feed_uid = w.feed_uid and again.webhook = w.name))
     select (select count(*) from feed), (select count(*) from again)"
);
const STATE: &str = with_feed!(
    " select d.state from public.arxiv_feed_deliveries d join feed using (feed_uid) where d.delivery_id = $3"
);

impl Feeds {
    /// Requests a delivery of a feed again, or without `id` all that have failed. One that waits already goes on.
    pub async fn redeliver(
        &self,
        namespace: Option<&str>,
        name: &str,
        id: Option<Uuid>,
    ) -> Result<Redelivery, StorageError> {
        Session::run(&self.pool, Kind::Transaction, async |session| {
            let request = session.query_as::<(i64, i64)>(REQUEST);
            let request = request.bind(name).bind(namespace).bind(id);
            let (feeds, requested) = request.fetch_one(session.conn()).await?;
            if feeds == 0 {
                return Ok(Redelivery::NoFeed);
            }
            if requested > 0 || id.is_none() {
                return Ok(Redelivery::Requested(requested));
            }
            let state = session.query_scalar::<String>(STATE);
            let state = state.bind(name).bind(namespace).bind(id);
            let state = state.fetch_optional(session.conn()).await?;
            Ok(match state.as_deref() {
                Some("Pending") => Redelivery::Requested(0),
                Some(_) => Redelivery::Impossible,
                None => Redelivery::NoDelivery,
            })
        })
        .await
    }
}
