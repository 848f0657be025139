//! The TeX in arXiv's texts: what of it is kept for BibTeX, and what it is as plain text.

mod accents;
mod commands;
mod math;
mod plain;
mod safe;
mod tokens;

pub(crate) use accents::name_tex;
pub(crate) use plain::{plain, plain_name, without_math};
pub(crate) use safe::safe;
