//! Operators as processes: their start and end, their leader, and what they depend on.

mod check;
mod classes;
mod databases;
mod leadership;
mod lifecycle;
mod losses;
mod namespaces;
mod outages;
mod restores;
mod upgrades;
