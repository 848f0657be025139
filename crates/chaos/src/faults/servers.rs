//! Outages of servers and of the connections to them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::Postgres;
use testbed::net::ProxyMode;
use testbed::stack::Server;

use super::schedule::{Fault, Outage, Part};
use super::{NOTICED_WITHIN, TERMINATE_LIMIT};
use crate::harness::Harness;
use crate::history::Disturbance;

/// An operator may lose its lease when Kubernetes is unavailable for longer than this: its last renewal may be some seconds
/// old, and its requests may hang beyond the end of the outage.
const LEASE_IN_DANGER: Duration = Duration::from_secs(1);
/// An operator stops its work this long after the last renewal of its lease.
pub(super) const STOPS_WORK_WITHIN: Duration = Duration::from_secs(8);

impl Harness {
    fn postgres(&self, server: Server) -> Result<&Postgres> {
        let (primary, replica) = self.pair();
        match server {
            Server::Primary => Ok(primary),
            Server::Replica => Ok(replica),
            Server::Results => {
                let results = self.env.stack.databases.results.as_ref();
                results.context("there is no server for results")
            }
            Server::Kubernetes => anyhow::bail!("not a database server"),
        }
    }

    pub(crate) async fn database(&self, server: Server, outage: Outage) -> Result<()> {
        let postgres = self.postgres(server)?;
        let _no_pause = match server {
            Server::Primary => Some(self.gate.read().await),
            _ => None,
        };
        let from = self.timeline.now();
        match outage {
            Outage::Kill(down) => {
                postgres.kill9().await?;
                tokio::time::sleep(down).await;
                postgres.start_again().await?;
            }
            Outage::Restart => postgres.restart().await?,
            Outage::Freeze(lasts) => {
                postgres.freeze();
                tokio::time::sleep(lasts).await;
                postgres.thaw();
            }
        }
        self.timeline.log(&format!("{server:?} is back"));
        tokio::time::sleep(NOTICED_WITHIN).await;
        // Commits on the primary wait for its replica.
        if server != Server::Results {
            self.disturbed(from, None, false);
        }
        Ok(())
    }

    /// The replica takes over, and the old primary is made its replica.
    pub(crate) async fn fail_over(&self, outage: Outage) -> Result<()> {
        let _no_pause = self.gate.read().await;
        let from = self.timeline.now();
        let (old, new) = self.pair();
        match outage {
            Outage::Kill(_) => old.kill9().await?,
            Outage::Restart => old.stop().await?,
            Outage::Freeze(_) => old.freeze(),
        }
        new.promote().await?;
        self.failed_over.fetch_xor(true, Ordering::Relaxed);
        self.route_to(Server::Primary, new);
        self.timeline.log("the replica has taken over");
        if let Outage::Freeze(lasts) = outage {
            tokio::time::sleep(lasts).await;
        }
        old.rebuild_as_replica_of(new).await?;
        old.confirm_commits_of(new).await?;
        self.route_to(Server::Replica, old);
        self.timeline.log("the old primary is a replica");
        tokio::time::sleep(NOTICED_WITHIN).await;
        self.disturbed(from, None, false);
        Ok(())
    }

    fn route_to(&self, server: Server, to: &Postgres) {
        for proxy in self
            .services()
            .into_iter()
            .filter_map(|service| service.proxy(server))
        {
            proxy.route_to(SocketAddr::from((Ipv4Addr::LOCALHOST, to.port())));
        }
    }

    pub(crate) async fn stale_reads(&self, lasts: Duration) -> Result<()> {
        let (_, replica) = self.pair();
        replica.pause_replay().await?;
        tokio::time::sleep(lasts).await;
        replica.resume_replay().await
    }

    pub(crate) async fn kubernetes(&self, part: Part, outage: Outage) -> Result<()> {
        let plane = self.env.stack.control_plane();
        let from = self.timeline.now();
        let process = match part {
            Part::ApiServer => plane.api_server(),
            Part::Etcd => plane.etcd(),
        };
        match outage {
            Outage::Freeze(lasts) => {
                process.freeze();
                tokio::time::sleep(lasts).await;
                process.thaw();
            }
            Outage::Kill(down) => {
                process.kill9();
                tokio::time::sleep(down).await;
            }
            Outage::Restart => {
                process.terminate(TERMINATE_LIMIT).await?;
            }
        }
        if !process.is_running() {
            match part {
                Part::ApiServer => plane.start_api_server().await?,
                Part::Etcd => plane.start_etcd().await?,
            }
        }
        self.timeline.log("Kubernetes is back");
        let now = self.timeline.now();
        if now > from + LEASE_IN_DANGER {
            let lost = (0..self.env.stack.operators.len()).map(|operator| Disturbance {
                from,
                to: now + STOPS_WORK_WITHIN,
                victim: Some(operator),
                pauses: false,
            });
            self.observations().disturbances.extend(lost);
        }
        Ok(())
    }

    pub(crate) async fn cut(&self, fault: &Fault) -> Result<()> {
        let Fault::Cut {
            victim,
            server,
            mode,
            lasts,
        } = fault
        else {
            return Ok(());
        };
        // Only the leading operator writes results: affect all processes, or half of these faults would have no effect.
        let of_all = *server == Server::Results;
        let services = self.services().into_iter().enumerate();
        let affected = services.filter(|(index, _)| of_all || index == victim);
        let proxies: Vec<_> = affected
            .filter_map(|(_, service)| service.proxy(*server))
            .collect();
        let _no_pause = self.gate.read().await;
        let from = self.timeline.now();
        match mode {
            Some(mode) => {
                for proxy in &proxies {
                    proxy.set(*mode);
                }
                tokio::time::sleep(*lasts).await;
                for proxy in &proxies {
                    proxy.set(ProxyMode::Open);
                }
            }
            None => {
                for proxy in &proxies {
                    proxy.reset();
                }
            }
        }
        tokio::time::sleep(NOTICED_WITHIN).await;
        if matches!(server, Server::Primary | Server::Kubernetes) {
            self.disturbed(from, Some(*victim), false);
        }
        Ok(())
    }
}
