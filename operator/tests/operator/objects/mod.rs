//! Objects as users and other tools handle them: changed in place, deleted, refused; and what they cost Kubernetes.

mod calls;
mod deletion;
mod generations;
mod names;
mod refusals;
