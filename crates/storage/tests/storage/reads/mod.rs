//! What clients read.

mod ended;
mod filters;
mod pages;
mod settled;
mod spellings;
mod stream;
