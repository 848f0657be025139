//! What is done to servers and to the ways to them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::Postgres;
use testbed::net::ProxyMode;
use testbed::stack::Server;

use crate::bed::Bed;
use crate::facts::Disturbance;
use crate::faults::{SEEN_WITHIN, TERMINATE_LIMIT};
use crate::schedule::{Fault, Outage, Part};

/// When Kubernetes is away for longer, an operator may not renew its lease in time. It had not renewed it for some seconds
/// before, and what it tries meanwhile may hang beyond the end.
const LEASE_IN_DANGER: Duration = Duration::from_secs(1);
/// An operator puts its work down so long after it has renewed its lease for the last time.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(8);

impl Bed {
    fn postgres(&self, server: Server) -> Result<&Postgres> {
        let (primary, replica) = self.pair();
        match server {
            Server::Primary => Ok(primary),
            Server::Replica => Ok(replica),
            Server::Results => {
                let results = self.stack.databases.results.as_ref();
                results.context("there is no such server")
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
        self.timeline.say(&format!("{server:?} is back"));
        tokio::time::sleep(SEEN_WITHIN).await;
        // The primary's commits wait for its replica.
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
        self.lead(Server::Primary, new);
        self.timeline.say("the replica has taken over");
        if let Outage::Freeze(lasts) = outage {
            tokio::time::sleep(lasts).await;
        }
        old.follow(new).await?;
        old.confirms_commits_of(new).await?;
        self.lead(Server::Replica, old);
        self.timeline.say("the old primary is a replica");
        tokio::time::sleep(SEEN_WITHIN).await;
        self.disturbed(from, None, false);
        Ok(())
    }

    fn lead(&self, server: Server, to: &Postgres) {
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
        let plane = self.stack.control_plane();
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
        self.timeline.say("Kubernetes is back");
        let now = self.timeline.now();
        if now > from + LEASE_IN_DANGER {
            let lost = (0..self.stack.operators.len()).map(|operator| Disturbance {
                from,
                to: now + GIVEN_UP_WITHIN,
                victim: Some(operator),
                pauses: false,
            });
            self.notes().disturbances.extend(lost);
        }
        Ok(())
    }

    pub(crate) async fn cut(&self, fault: &Fault) -> Result<()> {
        let Fault::Cut {
            victim,
            server,
            link,
            lasts,
        } = fault
        else {
            return Ok(());
        };
        // Only the operator that leads writes results: all ways to their server, or half of these faults would meet nobody.
        let of_all = *server == Server::Results;
        let services = self.services().into_iter().enumerate();
        let met = services.filter(|(index, _)| of_all || index == victim);
        let proxies: Vec<_> = met.filter_map(|(_, service)| service.proxy(*server)).collect();
        let _no_pause = self.gate.read().await;
        let from = self.timeline.now();
        match link {
            Some(link) => {
                for proxy in &proxies {
                    proxy.set(*link);
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
        tokio::time::sleep(SEEN_WITHIN).await;
        if matches!(server, Server::Primary | Server::Kubernetes) {
            self.disturbed(from, Some(*victim), false);
        }
        Ok(())
    }
}
