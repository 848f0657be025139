//! Starting operators and API servers again when they die, as the kubelet does; and telling of servers that died, which
//! are left to whoever ended them.

use std::time::{Duration, Instant};

use super::{Plane, Stack};
use crate::process::Child;

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
        let mut left_alone = self.servers();
        loop {
            // To ask how it ended also takes its pid out of the system's table: as a zombie it would pass for running, and
            // its data folder for one in use.
            left_alone.retain(|(name, child)| match child.ended() {
                None => true,
                Some(status) => {
                    tell(&format!(
                        "{name} (pid {}) ended: {status}; it is not started again",
                        child.pid()
                    ));
                    false
                }
            });
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

    /// A control plane that other tests use too is not watched: it belongs to none of them.
    fn servers(&self) -> Vec<(&'static str, &Child)> {
        let mut servers = vec![
            ("postgres primary", self.databases.primary.child()),
            ("postgres replica", self.databases.replica.child()),
        ];
        if let Plane::Own(plane) = &self.control_plane {
            servers.extend([("kube-apiserver", plane.api_server()), ("etcd", plane.etcd())]);
        }
        servers
    }
}
