//! Starting operators and API servers again when they die, as the kubelet does.

use std::time::{Duration, Instant};

use super::Stack;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Who lived this long is started again at once.
const LIVED_WELL: Duration = Duration::from_secs(10);
/// Who dies early waits longer each time, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Stack {
    /// Looks after them until the future is dropped; `tell` gets a line for each thing done.
    pub async fn supervise(&self, tell: impl Fn(&str)) {
        let mut watched: Vec<_> = self
            .services()
            .map(|service| (service, Instant::now(), Duration::ZERO))
            .collect();
        loop {
            for (service, since, pause) in &mut watched {
                let Some(status) = service.child().ended() else {
                    continue;
                };
                if since.elapsed() > LIVED_WELL {
                    *pause = Duration::ZERO;
                }
                if since.elapsed() < *pause {
                    continue;
                }
                let pid = service.child().pid();
                match service.child().start_again() {
                    Ok(()) => tell(&format!(
                        "{} (pid {pid}) ended: {status}; started again as pid {}",
                        service.name(),
                        service.child().pid()
                    )),
                    Err(error) => tell(&format!("{} cannot be started again: {error:#}", service.name())),
                }
                *since = Instant::now();
                *pause = (*pause * 2).clamp(Duration::from_millis(500), LONGEST_PAUSE);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
