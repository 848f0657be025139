//! Pools, and what they do when a server is lost.

mod failover;
mod poolers;
mod pools;
mod rotation;
