//! The controller of ArxivFeed objects: each run of a feed is an ArxivQuery, which runs like any other.

mod events;
mod failures;
mod overview;
mod plan;
mod reconcile;
mod report;
mod run;
mod runs;
mod validate;
mod webhooks;

pub(crate) use self::run::run;
