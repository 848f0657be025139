//! What is fetched from arXiv, in which order and how often.

mod failures;
mod large;
mod named;
mod order;
mod pending;
mod politeness;
mod sharing;
mod suspend;
