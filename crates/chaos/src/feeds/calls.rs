//! What users, the cluster and clients do about feeds: each call once, as the next tick repeats it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use crd::{ArxivFeed, FEED_LABEL};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sqlx::Row;
use testbed::test_env::WEBHOOK_SECRET;
use tokio::time::timeout;

use super::Feeds;
use super::manifests::{Manifest, SECRET};
use crate::history::{FeedRead, Item};
use crate::workload::REQUEST_LIMIT;

/// Attempts are due, those that wait included.
const DUE: &str = "update public.arxiv_feed_webhooks set next_attempt_at = clock_timestamp()
    where next_attempt_at > clock_timestamp()";
const PENDING: &str =
    "select count(*) from public.arxiv_feed_deliveries d join public.arxiv_feeds f using (feed_uid)
    where d.state = 'Pending' and f.object_uid::text = any($1)";
/// The uids of the feed's object and of the run.
const COMPLETE: &str = "select f.object_uid::text, r.run_uid::text
    from public.arxiv_feed_runs r join public.arxiv_feeds f using (feed_uid)
    where r.outcome = 'Complete' order by r.recorded_at";
/// Items of one page, so that there are several.
const PAGE: usize = 70;
/// One statement, or one page. Ticks do not wait for the end of an outage.
const DATABASE_LIMIT: Duration = Duration::from_secs(2);
const COOLING_DOWN: &str =
    "select exists (select from public.arxiv_gate where cooldown_until > clock_timestamp())";

/// What is read from a database, if it answers.
async fn within_limit<T>(read: impl Future<Output = Result<T>>) -> Option<T> {
    timeout(DATABASE_LIMIT, read).await.ok()?.ok()
}

impl Feeds {
    /// The Secret of the webhooks, and the right to read it.
    pub(super) async fn let_webhooks_sign(&self) -> Result<()> {
        let env = &self.harness.env;
        let (name, key) = SECRET;
        env.create_secret(name, key, WEBHOOK_SECRET).await?;
        env.let_webhooks_read_secrets().await
    }

    /// All feeds, if Kubernetes answers.
    pub(super) async fn list(&self) -> Option<Vec<ArxivFeed>> {
        let listed = timeout(REQUEST_LIMIT, self.api.list(&ListParams::default())).await;
        listed.ok()?.ok().map(|listed| listed.items)
    }

    /// Applies manifests, as a controller for Git repositories does: one whose object is gone is created. Those that were applied.
    /// A new object is made one that is as old as the ticks.
    pub(super) async fn apply(&self, manifests: impl Iterator<Item = &Manifest>) -> Vec<ArxivFeed> {
        let last = self.minutes.time(self.ticks.len() - 1);
        let (params, merge) = (
            PatchParams::apply("chaos-manifests").force(),
            PatchParams::default(),
        );
        let mut applied = Vec::new();
        for manifest in manifests {
            let object = Patch::Apply(manifest.object(last, &self.receiver.url()));
            let patch = self.api.patch(manifest.name, &params, &object);
            let Ok(Ok(feed)) = timeout(REQUEST_LIMIT, patch).await else {
                continue;
            };
            let status = feed.status.as_ref();
            let is_new = status.is_some_and(|status| {
                status.last_schedule_time.is_none() && status.observed_generation.is_some_and(|seen| seen > 0)
            });
            if is_new {
                let before = json!({"status": {"lastScheduleTime": self.minutes.before().to_string()}});
                let patch = Patch::Merge(before);
                let backdate = self.api.patch_status(manifest.name, &merge, &patch);
                let _ = timeout(REQUEST_LIMIT, backdate).await;
            }
            applied.push(feed);
        }
        applied
    }

    pub(super) async fn delete(&self, name: &str) {
        let params = DeleteParams::default();
        let delete = self.api.delete(name, &params);
        let deleted = matches!(timeout(REQUEST_LIMIT, delete).await, Ok(Ok(_)));
        *self
            .harness
            .observations()
            .faults
            .entry("renewed-feed")
            .or_default() += 1;
        self.harness
            .timeline
            .log(&format!("fault: feed {name} is deleted: {deleted}"));
    }

    /// Deletes the runs of feeds that are gone, as the garbage collector of Kubernetes does, and records those that are there.
    pub(super) async fn collect_garbage(&self, feeds: &[ArxivFeed]) {
        let queries = &self.harness.env.queries;
        let of_feeds = ListParams::default().labels(FEED_LABEL);
        let Ok(Ok(runs)) = timeout(REQUEST_LIMIT, queries.list(&of_feeds)).await else {
            return;
        };
        let present: BTreeSet<_> = feeds
            .iter()
            .filter_map(|feed| feed.metadata.uid.as_deref())
            .collect();
        for run in &runs {
            self.harness.saw(run);
            let owners = run.metadata.owner_references.iter().flatten();
            if owners.clone().any(|owner| present.contains(owner.uid.as_str())) {
                continue;
            }
            // The feed may be newer than the list.
            let is_gone = owners.clone().all(|owner| self.observed.contains_key(&owner.uid));
            if let Some(name) = run.metadata.name.as_deref().filter(|_| is_gone) {
                let _ = timeout(REQUEST_LIMIT, queries.delete(name, &DeleteParams::default())).await;
            }
        }
    }

    /// Back-offs are over: they are longer than a run.
    pub(super) async fn make_deliveries_due(&self) {
        let _ = timeout(DATABASE_LIMIT, self.harness.results().execute("arxiv", DUE)).await;
    }

    /// Whether no requests are sent since arXiv throttles, which after many throttled answers in a row takes minutes.
    pub(super) async fn is_cooling_down(&self) -> bool {
        let (primary, _) = self.harness.pair();
        let read = async {
            let mut connection = primary.connect("arxiv_sequence").await?;
            anyhow::Ok(
                sqlx::query_scalar(COOLING_DOWN)
                    .fetch_one(&mut connection)
                    .await?,
            )
        };
        within_limit(read).await == Some(true)
    }

    /// How many deliveries of present feeds wait, if the database answers.
    pub(super) async fn pending_deliveries(&self) -> Option<i64> {
        let present: Vec<&String> = self.present().map(|(uid, _)| uid).collect();
        let read = async {
            let mut connection = self.harness.results().connect("arxiv").await?;
            let row = sqlx::query(PENDING)
                .bind(present)
                .fetch_one(&mut connection)
                .await?;
            anyhow::Ok(row.try_get(0)?)
        };
        within_limit(read).await
    }

    /// The runs that were complete, each with the uid of its feed, if the database answers.
    pub(super) async fn complete_runs(&self) -> Option<Vec<(String, String)>> {
        let read = async {
            let mut connection = self.harness.results().connect("arxiv").await?;
            anyhow::Ok(sqlx::query_as(COMPLETE).fetch_all(&mut connection).await?)
        };
        within_limit(read).await
    }

    /// Reads the newest items of a feed.
    pub(super) async fn read_newest(&mut self, server: usize, name: &'static str) {
        let pages = self.pages(server, name, 1);
        if let Ok(Some(items)) = timeout(DATABASE_LIMIT, pages).await {
            self.reads.push(FeedRead {
                name: name.to_owned(),
                is_whole: false,
                items,
            });
        }
    }

    /// Reads all items of a feed.
    pub(super) async fn read_all(&self, server: usize, name: &str) -> Option<Vec<Item>> {
        timeout(REQUEST_LIMIT, self.pages(server, name, usize::MAX))
            .await
            .ok()?
    }

    /// The items of up to so many pages, in the order of their positions, if each of the pages is answered.
    async fn pages(&self, server: usize, name: &str, most: usize) -> Option<Vec<Item>> {
        let env = &self.harness.env;
        let path = format!("feeds/{name}?items_per_page={PAGE}");
        let mut url = env.stack.api_servers[server].url().join(&path).ok()?;
        let mut items = Vec::new();
        for _ in 0..most {
            let response = env.http.get(url.clone()).send().await.ok()?;
            if response.status() != 200 {
                return None;
            }
            let link = response.headers().get("link").and_then(|link| link.to_str().ok());
            let next = link.and_then(next_of).and_then(|next| url.join(next).ok());
            let page: Vec<Value> = response.json().await.ok()?;
            items.extend(page.iter().map(Item::of_json));
            match next {
                Some(next) => url = next,
                None => break,
            }
        }
        items.reverse();
        Some(items)
    }
}

/// The target of a header `Link` with the relation `next`.
fn next_of(link: &str) -> Option<&str> {
    link.split(',').find_map(|link| {
        let (target, relation) = link.split_once(';')?;
        let target = target.trim().strip_prefix('<')?.strip_suffix('>')?;
        relation.contains("next").then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_is_found_among_links() {
        let link = "</feeds/a.atom>; rel=\"alternate\", <?items_per_page=2&after=1.7>; rel=\"next\"";
        assert_eq!(next_of(link), Some("?items_per_page=2&after=1.7"));
        assert_eq!(next_of("</feeds/a.atom>; rel=\"alternate\""), None);
    }
}
