//! Query ids: where they come from, and which object has which.

mod ledger;
mod sequence;

pub use self::{ledger::Ledger, sequence::Sequence};
