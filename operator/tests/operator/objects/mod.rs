//! Objects as users and other tools handle them: changed in place, deleted, refused.

mod deletion;
mod generations;
mod names;
mod refusals;
