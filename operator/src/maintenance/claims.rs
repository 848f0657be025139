//! Reads the claims again, so that one that was handed over is noticed, by both installations.

use std::{collections::BTreeSet, time::Duration};

use crate::{controller::watch::Unfinished, process::dependencies::Dependencies};

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(10);

/// Reads the claims of all namespaces with unfinished objects, for ever.
pub(crate) async fn run(with: &Dependencies, unfinished: &Unfinished) {
    loop {
        let first = with.claims.first().map(str::to_owned);
        let mut namespaces: BTreeSet<String> = unfinished.namespaces();
        namespaces.extend(first.into_iter().chain(with.namespaces.names()));
        with.claims.refresh(&namespaces).await;
        tokio::time::sleep(PAUSE).await;
    }
}
