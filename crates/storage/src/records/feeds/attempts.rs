//! Attempts to deliver: which deliveries are due, what is in them, and what came of an attempt.

use std::time::Duration;

use jiff::Timestamp;
use paper::PaperVersion;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    FeedItem, Feeds,
    reads::{item_of, with_papers},
};
use crate::{
    StorageError,
    connection::{Kind, Session, from_micros, micros},
};

/// A delivery that is due, the first one of its webhook that is pending.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DueDelivery {
    /// What the receiver knows it by.
    pub id: Uuid,
    /// The uid of the feed's first object.
    pub feed: Uuid,
    /// The uid of its present object.
    pub object: Uuid,
    /// Its object's namespace.
    pub namespace: String,
    /// Its object's name.
    pub name: String,
    /// Its search, for people.
    pub title: String,
    /// The webhook's name.
    pub webhook: String,
    /// The hash of its address.
    pub address: String,
    /// The positions of the items.
    pub positions: (i64, i64),
    /// When the run was recorded that found them.
    pub recorded_at: Timestamp,
    /// For how long it is being delivered.
    pub age: Duration,
    /// How many attempts of its webhook have failed since the last one that did not.
    pub failures: u32,
}

/// How many deliveries are taken at once.
#[derive(Clone, Copy, Debug)]
pub struct DueLimits<'a> {
    /// Of all.
    pub all: i64,
    /// Of each namespace, those that are being attempted included.
    pub of_namespace: i64,
    /// The namespaces of deliveries that are being attempted, each as often as it has some.
    pub attempted: &'a [String],
    /// So long no other process takes them.
    pub lease: Duration,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AttemptEnd<'a> {
    /// The receiver has accepted it.
    Delivered,
    /// It has failed, and there is another one after this time.
    Retried(&'a str, Duration),
    /// It has failed, and there is no other one.
    Failed(&'a str),
    /// The receiver wants nothing any more: this one and all others of the webhook have failed.
    Gone(&'a str),
    /// It was none, for a reason that has nothing to do with the receiver.
    Postponed(Duration),
}

const TAKE: &str = "with head as (
       select distinct on (feed_uid, webhook) * from public.arxiv_feed_deliveries
       where state = 'Pending' order by feed_uid, webhook, first_position),
     due as (
       select h.delivery_id, h.feed_uid, h.webhook, h.first_position, h.last_position, h.recorded_at, h.requested_at,
              f.object_uid, f.namespace, f.name, f.title, w.address, w.failures, w.next_attempt_at,
              row_number() over (partition by f.namespace order by w.next_attempt_at)
                + (select count(*) from unnest($3::text[]) as a(namespace) where a.namespace = f.namespace) as turn
       from head h
       join public.arxiv_feeds f on f.feed_uid = h.feed_uid and f.dropped_at is null
       join public.arxiv_feed_webhooks w on w.feed_uid = h.feed_uid and w.name = h.webhook
       where w.removed_at is null and w.gone_at is null and w.next_attempt_at <= clock_timestamp()),
     chosen as (select * from due where turn <= $2 order by next_attempt_at limit $1),
     taken as (
       update public.arxiv_feed_webhooks w set next_attempt_at = clock_timestamp() + $4 * interval '1 microsecond'
       from chosen c where w.feed_uid = c.feed_uid and w.name = c.webhook and w.next_attempt_at = c.next_attempt_at
       returning w.feed_uid, w.name)
     select c.delivery_id, c.feed_uid, c.object_uid, c.namespace, c.name, c.title, c.webhook, c.address, c.failures,
            c.first_position, c.last_position,
            (extract(epoch from c.recorded_at) * 1000000)::bigint as recorded_at,
            (extract(epoch from clock_timestamp() - c.requested_at) * 1000000)::bigint as age
     from chosen c join taken t on t.feed_uid = c.feed_uid and t.name = c.webhook";
const END_DELIVERY: &str = "update public.arxiv_feed_deliveries
     set state = $2, attempts = attempts + 1, ended_at = case when $2 <> 'Pending' then clock_timestamp() end
     where delivery_id = $1 and state = 'Pending'";
const END_WEBHOOK: &str = "update public.arxiv_feed_webhooks
     set failures = case when $3::text is null then 0 else failures + 1 end, last_failure = $3,
         next_attempt_at = clock_timestamp() + $4 * interval '1 microsecond',
         gone_at = case when $5 then clock_timestamp() end
     where feed_uid = $1 and name = $2 and address = $6";
const FAIL_ALL: &str =
    "update public.arxiv_feed_deliveries set state = 'Failed', ended_at = clock_timestamp()
     where feed_uid = $1 and webhook = $2 and state = 'Pending'";

impl Feeds {
    /// Takes deliveries that are due: those that are due longest first, as far as no namespace has more than its part.
    pub async fn take_due(&self, limits: DueLimits<'_>) -> Result<Vec<DueDelivery>, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let take = session.query(TAKE).bind(limits.all).bind(limits.of_namespace);
            let take = take.bind(limits.attempted).bind(micros(limits.lease));
            let due = take.fetch_all(session.conn()).await?;
            due.iter().map(due_of).collect()
        })
        .await
    }

    /// The items of a delivery with their papers, in the order of their positions. Some are missing if they are past their age.
    pub async fn delivery_items(
        &self,
        due: &DueDelivery,
    ) -> Result<Vec<(FeedItem, PaperVersion)>, StorageError> {
        Session::run(&self.pool, Kind::Transaction, async |session| {
            let items = session.query_as::<(i64, i32, String, i32, i64)>(
                "select position, seen_set, paper, version, (extract(epoch from recorded_at) * 1000000)::bigint
                 from public.arxiv_feed_items where feed_uid = $1 and position between $2 and $3 order by position",
            );
            let (first, last) = due.positions;
            let items = items.bind(due.feed).bind(first).bind(last);
            let items = items.fetch_all(session.conn()).await?.into_iter();
            let items = items.map(item_of).collect::<Result<Vec<_>, _>>()?;
            with_papers(session, items).await
        })
        .await
    }

    /// Records what came of an attempt. A delivery that has ended meanwhile stays as it is, and so does a webhook that has another
    /// address by now.
    pub async fn end_attempt(&self, due: &DueDelivery, end: AttemptEnd<'_>) -> Result<(), StorageError> {
        let (state, failure, wait) = match end {
            AttemptEnd::Delivered => (Some("Delivered"), None, Duration::ZERO),
            AttemptEnd::Retried(why, wait) => (Some("Pending"), Some(why), wait),
            // The next delivery is attempted at once.
            AttemptEnd::Failed(why) | AttemptEnd::Gone(why) => (Some("Failed"), Some(why), Duration::ZERO),
            AttemptEnd::Postponed(wait) => (None, None, wait),
        };
        Session::run(&self.pool, Kind::Transaction, async |session| {
            let Some(state) = state else {
                let postpone = session.query(
                    "update public.arxiv_feed_webhooks
                     set next_attempt_at = clock_timestamp() + $3 * interval '1 microsecond' where feed_uid = $1 and name = $2",
                );
                let postpone = postpone.bind(due.feed).bind(&due.webhook).bind(micros(wait));
                postpone.execute(session.conn()).await?;
                return Ok(());
            };
            let is_gone = matches!(end, AttemptEnd::Gone(_));
            let delivery = session.query(END_DELIVERY).bind(due.id).bind(state);
            delivery.execute(session.conn()).await?;
            let webhook = session.query(END_WEBHOOK).bind(due.feed).bind(&due.webhook);
            let webhook = webhook.bind(failure).bind(micros(wait)).bind(is_gone).bind(&due.address);
            let webhook = webhook.execute(session.conn()).await?;
            if is_gone && webhook.rows_affected() > 0 {
                let all = session.query(FAIL_ALL).bind(due.feed).bind(&due.webhook);
                all.execute(session.conn()).await?;
            }
            Ok(())
        })
        .await
    }
}

fn due_of(row: &PgRow) -> Result<DueDelivery, StorageError> {
    let age: i64 = row.try_get("age")?;
    let failures: i32 = row.try_get("failures")?;
    Ok(DueDelivery {
        id: row.try_get("delivery_id")?,
        feed: row.try_get("feed_uid")?,
        object: row.try_get("object_uid")?,
        namespace: row.try_get("namespace")?,
        name: row.try_get("name")?,
        title: row.try_get("title")?,
        webhook: row.try_get("webhook")?,
        address: row.try_get("address")?,
        positions: (row.try_get("first_position")?, row.try_get("last_position")?),
        recorded_at: from_micros(row.try_get("recorded_at")?)?,
        age: Duration::from_micros(u64::try_from(age).unwrap_or(0)),
        failures: u32::try_from(failures).unwrap_or(0),
    })
}
