//! What clients read.

mod ended;
mod filters;
mod pages;
mod paper_plans;
mod papers;
mod settled;
mod spellings;
mod stream;
