//! The settled watermark of `results`: up to which id no row will be added any more.

use super::Records;
use crate::{
    StorageError,
    connection::{Kind, Session},
};

impl Records {
    /// Advances the watermark as far as it can; to be called again and again.
    pub async fn advance_watermark(&self) -> Result<(), StorageError> {
        Session::run(self.results(), Kind::Statement, async |session| {
            let advance = session.query("select public.advance_results_watermark()");
            advance.execute(session.conn()).await?;
            Ok(())
        })
        .await
    }
}
