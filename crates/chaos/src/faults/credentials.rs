//! Passwords of database users change while everything runs.

use std::time::Duration;

use anyhow::Result;

use super::repeated;
use crate::harness::Harness;

/// The users of operators and API servers.
pub(super) const USERS: [&str; 5] = [
    "arxiv_rw",
    "arxiv_ro",
    "arxiv_sequence",
    "arxiv_operator",
    "arxiv_upstream",
];

/// Those that also exist on the separate server of the results.
const OF_RESULTS: [&str; 2] = ["arxiv_rw", "arxiv_ro"];

impl Harness {
    /// As docs/credentials.md has it: first the files, and some time later Postgres. No disturbance: nothing that was fetched may
    /// be lost by it.
    pub(super) async fn rotate_password(&self, user: usize, after: Duration) -> Result<()> {
        let user = USERS[user];
        let number = self.observations().faults.values().sum::<u64>();
        let password = format!("{user}-{number}");
        for service in self.services() {
            service.change_password(user, &password)?;
        }
        tokio::time::sleep(after).await;
        let sql = format!("alter role {user} password '{password}'");
        // Whichever is the primary by then.
        repeated(async || self.pair().0.execute("postgres", &sql).await).await?;
        if let Some(results) = &self.env.stack.databases.results
            && OF_RESULTS.contains(&user)
        {
            repeated(async || results.execute("postgres", &sql).await).await?;
        }
        self.timeline.log(&format!("{user} has the password {password}"));
        Ok(())
    }
}
