//! Telling readers how far the results are settled.

use super::Records;
use crate::{StorageError, connect::bounded, session::Session};

impl Records {
    /// Moves the bound up to which results are settled as far as it can; to be called again and again.
    pub async fn advance_watermark(&self) -> Result<(), StorageError> {
        bounded(async {
            let pool = if self.split { &self.results } else { &self.queries };
            let mut session = Session::statement(pool).await?;
            session
                .query("select public.advance_results_watermark()")
                .execute(session.conn())
                .await?;
            session.commit().await
        })
        .await
    }
}
