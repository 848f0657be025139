//! Query ids and the ids of rows.

mod ledger;
mod usage;
