//! Marks feeds whose objects are gone: a week later they are removed, unless they are restored.

use std::collections::HashSet;

use crd::ArxivFeed;
use kube::{Api, api::ListParams};
use service::health::Heartbeat;
use uuid::Uuid;

use crate::{
    controller::error::Error,
    process::{dependencies::Dependencies, kubernetes::within},
};

/// Objects in one page of a listing, and rows that are read at once.
const PAGE: u32 = 500;

/// One round. A feed that is registered again, because its object is there after all, is back as it was.
pub(super) async fn mark_gone(with: &Dependencies, heartbeat: &Heartbeat) -> Result<(), Error> {
    // Before the objects are listed: a feed that is created in between is no gone one.
    let known = known(with).await?;
    if known.is_empty() {
        return Ok(());
    }
    heartbeat.beat();
    let present = present(with).await?;
    for (uid, namespace) in known {
        if !present.contains(&uid) {
            let dropped = with.records.feeds().drop(uid).await;
            dropped.map_err(Error::storage("marking a feed whose object is gone"))?;
            tracing::info!(%uid, namespace, "a feed's object is gone");
        }
        heartbeat.beat();
    }
    Ok(())
}

/// Uid and namespace of each feed in the database whose object this process would see.
async fn known(with: &Dependencies) -> Result<Vec<(Uuid, String)>, Error> {
    let watched: HashSet<String> = with.namespaces.names().collect();
    let (mut known, mut after) = (Vec::new(), None);
    loop {
        let page = with
            .records
            .feeds()
            .objects(after, PAGE)
            .await
            .map_err(Error::storage("reading the feeds"))?;
        after = page.last().map(|(uid, _)| *uid);
        if after.is_none() {
            return Ok(known);
        }
        let is_watched = |namespace: &String| watched.is_empty() || watched.contains(namespace);
        known.extend(page.into_iter().filter(|(_, namespace)| is_watched(namespace)));
    }
}

/// The uids of the objects in all that is watched, of whichever class.
async fn present(with: &Dependencies) -> Result<HashSet<Uuid>, Error> {
    let mut present = HashSet::new();
    for queries in &with.watched {
        let client = with.client.clone();
        let feeds: Api<ArxivFeed> = match queries.namespace() {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let listed = within(feeds.list_metadata(&page)).await?;
            let uids = listed
                .items
                .iter()
                .filter_map(|object| object.metadata.uid.as_deref());
            present.extend(uids.filter_map(|uid| Uuid::parse_str(uid).ok()));
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(present)
}
