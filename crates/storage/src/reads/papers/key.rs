//! Identifiers of papers as two columns: the paper, and its version.

use paper::PaperId;

use crate::StorageError;

/// The version, 0 where arXiv named none.
pub(crate) fn version_of(id: &PaperId) -> i32 {
    id.version.map_or(0, i32::from)
}

/// Both columns of several papers.
pub(crate) fn id_columns<'a>(ids: impl IntoIterator<Item = &'a PaperId>) -> (Vec<&'a str>, Vec<i32>) {
    ids.into_iter()
        .map(|id| (id.paper.as_str(), version_of(id)))
        .unzip()
}

/// The identifier of a version in the tables, which have 0 for one that arXiv did not name.
pub(crate) fn id_of(paper: String, version: i32) -> Result<PaperId, StorageError> {
    let version = u16::try_from(version).map_err(|_| StorageError::Unreadable)?;
    Ok(PaperId {
        paper,
        version: (version > 0).then_some(version),
    })
}
