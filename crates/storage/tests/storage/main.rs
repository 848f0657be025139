//! The stores on real Postgres servers, each test with its own.

mod adoption;
mod connections;
mod gate;
mod ledger;
mod migrations;
mod pages;
mod reads;
mod records;
mod rights;
mod setup;
mod writes;
