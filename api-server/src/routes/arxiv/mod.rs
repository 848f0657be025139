//! /arxiv: searches become `ArxivQuery` objects; the queries are listed, read, followed and removed.

pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod new_query;
pub(crate) mod query;
pub(crate) mod query_results;
mod responses;
pub(crate) mod search;
pub(crate) mod search_params;

use std::sync::Arc;

use axum::extract::FromRef;

use crate::{jobs::submit::QuerySubmitter, routes::arxiv::list::Lists, routes::context::RequestContext};

/// What the handlers of /arxiv need.
#[derive(Clone)]
pub(crate) struct Arxiv {
    pub(crate) searches: Arc<QuerySubmitter>,
    pub(crate) lists: Arc<Lists>,
    pub(crate) context: RequestContext,
}

impl FromRef<Arxiv> for RequestContext {
    fn from_ref(arxiv: &Arxiv) -> Self {
        arxiv.context.clone()
    }
}
