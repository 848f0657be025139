//! The steps of a reconciliation, in their order; see `reconcile` in the controller.

pub(crate) mod close;
pub(crate) mod ended;
pub(crate) mod number;
pub(crate) mod pages;
pub(crate) mod record;
pub(crate) mod stands;
pub(crate) mod status;
pub(crate) mod suspend;
pub(crate) mod validate;
