//! What is fetched from arXiv, in which order and how often.

mod failures;
mod large;
mod order;
mod politeness;
mod sharing;
mod suspend;
