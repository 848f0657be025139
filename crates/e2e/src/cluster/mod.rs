//! The cluster of a run, and all that differs between one of this machine's own ([`Node`]) and one in Docker ([`Kind`]).

mod kind;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::Client;

use crate::node::{self, Node};
use crate::parts::{Parts, TOOLS};

pub use kind::Kind;

/// Where the chart is installed. Dropping it ends it.
#[derive(Debug)]
pub enum Cluster {
    /// containerd, the kubelet and what belongs to them, as processes in a room of their own.
    Node(Box<Node>),
    /// A node in a container, as kind makes them.
    Kind(Box<Kind>),
}

impl Cluster {
    /// Starts a node on this machine with these images; only inside a [`crate::room`].
    pub async fn node(parts: &Parts) -> Result<Self> {
        let node = Node::start(&parts.sandbox, &format!("docker.io/library/{TOOLS}")).await?;
        Self::Node(Box::new(node)).with(parts).await
    }

    /// Starts a cluster in Docker with these images.
    pub async fn kind(parts: &Parts) -> Result<Self> {
        Self::Kind(Box::new(Kind::start().await?)).with(parts).await
    }

    async fn with(self, parts: &Parts) -> Result<Self> {
        for archive in &parts.archives {
            let imported = match &self {
                Self::Node(node) => node.runtime().import(archive).await,
                Self::Kind(kind) => kind.load(archive).await,
            };
            imported.with_context(|| format!("cannot bring in {}", archive.display()))?;
        }
        Ok(self)
    }

    /// The admin's credential.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        match self {
            Self::Node(node) => node.control_plane().admin_kubeconfig(),
            Self::Kind(kind) => kind.kubeconfig(),
        }
    }

    pub(crate) fn kubectl(&self) -> &Path {
        match self {
            Self::Node(node) => node.control_plane().kubectl(),
            Self::Kind(kind) => kind.kubectl(),
        }
    }

    /// A folder that goes with the cluster.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Node(node) => node.folder(),
            Self::Kind(kind) => kind.folder(),
        }
    }

    /// A client with the admin's rights.
    pub(crate) async fn client(&self) -> Result<Client> {
        testbed::control_plane::client(&self.kubeconfig()).await
    }

    /// The address at which pods reach what runs on this machine.
    pub(crate) fn host(&self) -> Ipv4Addr {
        match self {
            Self::Node(_) => node::ADDRESS,
            Self::Kind(kind) => kind.host(),
        }
    }

    /// What Kubernetes calls its one node.
    pub(crate) fn node_name(&self) -> &str {
        match self {
            Self::Node(_) => node::NAME,
            Self::Kind(_) => kind::NODE,
        }
    }

    /// Ends the process of a container at once, as when it crashes. `id` is what the pod's status calls `containerID`.
    pub(crate) async fn crash(&self, id: &str) -> Result<()> {
        let id = id.trim_start_matches("containerd://");
        match self {
            Self::Node(node) => node.runtime().crash(id).await,
            Self::Kind(kind) => kind.crash(id).await,
        }
    }

    /// Whether what network policies do not allow is denied.
    pub(crate) fn enforces_policies(&self) -> bool {
        matches!(self, Self::Kind(_))
    }

    /// The port of this machine that leads to a Service of the type `NodePort` with [`DOOR`], where Services cannot be reached
    /// by their own addresses.
    pub(crate) fn door(&self) -> Option<u16> {
        match self {
            Self::Node(_) => None,
            Self::Kind(_) => Some(kind::DOOR_ON_HOST),
        }
    }
}

/// The port of the node that kind-config.yaml opens to the machine.
pub(crate) const DOOR: u16 = 30080;
