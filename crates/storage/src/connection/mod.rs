//! Connections to Postgres: pools, the session of one operation, and what sessions have in common.

mod locks;
mod pool;
mod session;
mod time;

pub use self::pool::{Access, PoolSettings, pool};
pub(crate) use self::{
    locks::{lock_query_id, lock_uid},
    pool::{bounded, options, session_settings, with_timeout},
    session::{Kind, Session},
    time::{from_micros, micros},
};
