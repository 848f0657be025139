//! Step 1: the raw spec becomes a search that can be sent, so that no later step can fail on input. Needs no client.

use crd::{ArxivQuery, Reason};
use storage::FailureRecord;
use upstream::ValidatedQuery;

/// The search, or why there is none.
pub(crate) fn validate(object: &ArxivQuery) -> Result<ValidatedQuery, FailureRecord> {
    ValidatedQuery::try_from(&object.spec).map_err(|error| FailureRecord {
        reason: Reason::InvalidSearch.as_str().to_owned(),
        message: error.to_string(),
        http_status: Some(400),
    })
}
