//! After the faults: what the database and the API servers have of feeds, and what the receiver got.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::Row;
use testbed::Postgres;
use testbed::net::{Received, Reply};

use super::{CHECK_EVERY, Feeds, MANIFESTS};
use crate::history::{Attempt, Delivery, Feed, FeedRead, History, Item};

/// The replica has everything after this time.
const REPLAY_LIMIT: Duration = Duration::from_secs(30);

impl Feeds {
    /// Adds what is known of feeds to the history.
    pub(crate) async fn add_to(mut self, history: &mut History) -> Result<()> {
        let server = self.harness.results();
        for (object, mut feed) in feed_rows(server).await? {
            let manifest = MANIFESTS.iter().find(|manifest| manifest.name == feed.name);
            let manifest = manifest.with_context(|| format!("an unknown feed {}", feed.name))?;
            let search = manifest.search();
            feed.has_webhook = manifest.has_webhook;
            feed.items = items(server, &feed.uid).await?;
            feed.deliveries = deliveries(server, &feed.uid).await?;
            let wrong = anyhow::Error::msg;
            feed.found = self.archive.found_until(&search, self.day).map_err(wrong)?;
            if let Some(observed) = self.observed.get(&object) {
                feed.is_present = observed.is_present;
                let required = observed.required(&search, &self.archive, &history.requests);
                feed.required = required.map_err(wrong)?;
            }
            history.feeds.push(feed);
        }
        for server in 0..self.harness.env.stack.api_servers.len() {
            for feed in history.feeds.iter().filter(|feed| feed.is_present) {
                let read = self.until_whole(server, feed).await;
                self.reads.push(read);
            }
        }
        history.feed_reads = self.reads;
        history.attempts = self.receiver.received().iter().map(attempt).collect();
        history.present_feeds = self
            .observed
            .values()
            .filter(|observed| observed.is_present)
            .count();
        history.feeds_are_settled = self.is_settled;
        history.day = self.day;
        Ok(())
    }

    /// All items of a feed, as soon as the replica has them.
    async fn until_whole(&self, server: usize, feed: &Feed) -> FeedRead {
        let began = Instant::now();
        loop {
            let items = self.read_all(server, &feed.name).await.unwrap_or_default();
            if items.len() >= feed.items.len() || began.elapsed() > REPLAY_LIMIT {
                return FeedRead {
                    name: feed.name.clone(),
                    is_whole: true,
                    items,
                };
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }
}

/// All feeds, each with the uid of its object.
async fn feed_rows(server: &Postgres) -> Result<Vec<(String, Feed)>> {
    let rows = sqlx::query(
        "select object_uid::text, feed_uid::text, name from public.arxiv_feeds order by registered_at",
    );
    let rows = rows.fetch_all(&mut server.connect("arxiv").await?).await?;
    let feeds = rows.iter().map(|row| {
        let feed = Feed {
            uid: row.try_get(1)?,
            name: row.try_get(2)?,
            ..Feed::default()
        };
        Ok((row.try_get(0)?, feed))
    });
    feeds.collect()
}

async fn items(server: &Postgres, feed: &str) -> Result<Vec<Item>> {
    let rows = sqlx::query(
        "select position, paper, version, run_uid::text from public.arxiv_feed_items
         where feed_uid = $1::uuid order by position",
    );
    let rows = rows
        .bind(feed)
        .fetch_all(&mut server.connect("arxiv").await?)
        .await?;
    let items = rows.iter().map(|row| {
        let version: i32 = row.try_get(2)?;
        Ok(Item {
            position: row.try_get(0)?,
            version: Some((row.try_get(1)?, u16::try_from(version)?)),
            origin: row.try_get(3)?,
        })
    });
    items.collect()
}

async fn deliveries(server: &Postgres, feed: &str) -> Result<Vec<Delivery>> {
    let rows = sqlx::query(
        "select delivery_id::text, first_position, last_position, state from public.arxiv_feed_deliveries
         where feed_uid = $1::uuid order by first_position",
    );
    let rows = rows
        .bind(feed)
        .fetch_all(&mut server.connect("arxiv").await?)
        .await?;
    let deliveries = rows.iter().map(|row| {
        Ok(Delivery {
            id: row.try_get(0)?,
            first: row.try_get(1)?,
            last: row.try_get(2)?,
            state: row.try_get(3)?,
        })
    });
    deliveries.collect()
}

fn attempt(received: &Received) -> Attempt {
    let mut body = received.json();
    let mut items = Vec::new();
    for item in body["data"]["items"].as_array_mut().into_iter().flatten() {
        items.push(Item::of_json(item));
        // A paper is listed in another category, without a new version: a later attempt has it as it is then.
        if let Some(paper) = item["paper"].as_object_mut() {
            paper.remove("categories");
        }
    }
    Attempt {
        id: received.header("webhook-id").to_owned(),
        body,
        items,
        is_accepted: received.reply == Reply::status(200),
    }
}
