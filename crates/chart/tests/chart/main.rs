//! Tests of the chart, by group of templates: it is rendered with helm, checked, and applied to a real API server.
//! One test binary, because each would link the whole testbed.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod access;
mod alerts;
mod capacity;
mod checkers;
mod cluster;
mod conform;
mod crds;
mod credentials;
mod databases;
mod drift;
mod examples;
mod flux;
mod generated;
mod health;
mod installing;
mod kubernetes;
mod migrating;
mod migrations;
mod modes;
mod monitoring;
mod names;
mod network;
mod notes;
mod nulls;
mod pods;
mod rbac;
mod release;
mod scaling;
mod schema;
mod settings;
mod traffic;
mod values;
