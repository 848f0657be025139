//! Deliveries of new items to the webhooks of feeds.

mod attempt;
mod failure;
mod run;

pub(crate) use self::run::run;
