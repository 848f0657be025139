//! Restarting operators and API servers that end, as the kubelet does, and reporting servers that end, which are not restarted.

use std::time::{Duration, Instant};

use super::{Plane, Stack};
use crate::process::Child;

const CHECK_EVERY: Duration = Duration::from_millis(100);
/// A process that ran this long is restarted at once.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// A process that ends early is restarted after a growing pause, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Stack {
    /// Restarts them until the future is dropped. `log` gets a line for each event.
    pub async fn supervise(&self, log: impl Fn(&str)) {
        let mut watched: Vec<_> = self
            .services()
            .map(|service| (service, Instant::now(), Duration::ZERO))
            .collect();
        let mut servers = self.servers();
        loop {
            // Reading the exit status also removes the process from the system's table: a zombie would count as running, and
            // its data folder as in use.
            servers.retain(|(name, child)| match child.ended() {
                None => true,
                Some(status) => {
                    log(&format!(
                        "{name} (pid {}) ended: {status}; it is not restarted",
                        child.pid()
                    ));
                    false
                }
            });
            for (service, since, pause) in &mut watched {
                let Some(status) = service.child().ended() else {
                    continue;
                };
                if since.elapsed() > STABLE_AFTER {
                    *pause = Duration::ZERO;
                }
                if since.elapsed() < *pause {
                    continue;
                }
                let pid = service.child().pid();
                match service.child().start_again() {
                    Ok(()) => log(&format!(
                        "{} (pid {pid}) ended: {status}; restarted as pid {}",
                        service.name(),
                        service.child().pid()
                    )),
                    Err(error) => log(&format!("{} cannot be restarted: {error:#}", service.name())),
                }
                *since = Instant::now();
                *pause = (*pause * 2).clamp(Duration::from_millis(500), LONGEST_PAUSE);
            }
            tokio::time::sleep(CHECK_EVERY).await;
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
