//! The webhooks of a feed, as its spec has them, and how their receivers do.

use uuid::Uuid;

use super::Feeds;
use crate::{
    StorageError,
    connection::{Kind, Session},
};

/// A webhook, as a feed's spec has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WebhookSpec<'a> {
    /// Its name, one of its own among those of the feed.
    pub name: &'a str,
    /// A hash of its address. Another one is another receiver, which has not failed yet.
    pub address: &'a str,
}

/// How a webhook does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookState {
    /// Its name.
    pub name: String,
    /// How many attempts have failed since the last one that did not.
    pub failures: i32,
    /// Why the last attempt failed, if it did.
    pub last_failure: Option<String>,
    /// Whether its receiver wants nothing any more.
    pub is_gone: bool,
    /// How many deliveries wait.
    pub pending: i64,
    /// How many deliveries were given up, and not requested again.
    pub failed: i64,
}

/// Webhooks that are new, are back, or have another address begin anew; those that are not named are removed.
const SET: &str = "with wanted as (select * from unnest($2::text[], $3::text[]) as w(name, address)),
     removed as (
       update public.arxiv_feed_webhooks w set removed_at = clock_timestamp()
       where feed_uid = $1 and removed_at is null and not exists (select from wanted where wanted.name = w.name))
     insert into public.arxiv_feed_webhooks as w (feed_uid, name, address) select $1, name, address from wanted
     on conflict (feed_uid, name) do update set
       address = excluded.address, removed_at = null, gone_at = null, failures = 0, last_failure = null,
       next_attempt_at = clock_timestamp()
     where w.removed_at is not null or w.address <> excluded.address";
/// What waits for webhooks that are removed is not delivered any more.
const DROP_PENDING: &str =
    "update public.arxiv_feed_deliveries d set state = 'Dropped', ended_at = clock_timestamp()
     where d.feed_uid = $1 and d.state = 'Pending' and exists (
       select from public.arxiv_feed_webhooks w
       where w.feed_uid = d.feed_uid and w.name = d.webhook and w.removed_at is not null)";
const STATES: &str = "select w.name, w.address, w.failures, w.last_failure, w.gone_at is not null,
       (select count(*) from public.arxiv_feed_deliveries d
        where d.feed_uid = w.feed_uid and d.webhook = w.name and d.state = 'Pending'),
       (select count(*) from public.arxiv_feed_deliveries d
        where d.feed_uid = w.feed_uid and d.webhook = w.name and d.state = 'Failed')
     from public.arxiv_feed_webhooks w where w.feed_uid = $1 and w.removed_at is null order by w.name collate \"C\"";

impl Feeds {
    /// Registers the webhooks of a feed, by the uid of its first object ([`super::FeedState::id`]), before a run of it is created;
    /// how they do, by their names.
    pub async fn set_webhooks(
        &self,
        feed: Uuid,
        webhooks: &[WebhookSpec<'_>],
    ) -> Result<Vec<WebhookState>, StorageError> {
        let (present, states) = self.webhooks(feed).await?;
        let mut wanted: Vec<_> = webhooks
            .iter()
            .map(|webhook| (webhook.name, webhook.address))
            .collect();
        wanted.sort_unstable();
        if present
            .iter()
            .map(|(name, address)| (&**name, &**address))
            .eq(wanted.iter().copied())
        {
            return Ok(states);
        }
        let (names, addresses): (Vec<&str>, Vec<&str>) = wanted.into_iter().unzip();
        Session::run(&self.pool, Kind::Transaction, async |session| {
            let set = session.query(SET).bind(feed).bind(names).bind(addresses);
            set.execute(session.conn()).await?;
            let drop = session.query(DROP_PENDING).bind(feed);
            drop.execute(session.conn()).await?;
            Ok(())
        })
        .await?;
        Ok(self.webhooks(feed).await?.1)
    }

    /// The names with their addresses, and how they do.
    async fn webhooks(&self, feed: Uuid) -> Result<(Vec<(String, String)>, Vec<WebhookState>), StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let states = session.query_as::<(String, String, i32, Option<String>, bool, i64, i64)>(STATES);
            let states = states.bind(feed).fetch_all(session.conn()).await?;
            let states = states.into_iter();
            Ok(states
                .map(
                    |(name, address, failures, last_failure, is_gone, pending, failed)| {
                        let state = WebhookState {
                            name: name.clone(),
                            failures,
                            last_failure,
                            is_gone,
                            pending,
                            failed,
                        };
                        ((name, address), state)
                    },
                )
                .unzip())
        })
        .await
    }
}
