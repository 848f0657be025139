//! What clients read.

mod ended;
mod filters;
mod pages;
mod papers;
mod settled;
mod spellings;
mod stream;
