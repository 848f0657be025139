//! Pages behind a cursor: made of rows that are settled, so that a full one never changes within its epoch.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use storage::{Position, Watermark};

use crate::routes::results::{Counted, ResultPages, Wanted, is_full, written};
use crate::{
    error::{ApiError, Code},
    limits::client::Client,
    output::cursor::Cursor,
};
use wire::headers::{etag, link};

/// A full page at an address that names its epoch is the same for ever; a day bounds how long a deleted row may be shown by a
/// client's cache.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("max-age=86400, immutable");
/// May be kept, and has to be asked for again each time.
const CHECK: HeaderValue = HeaderValue::from_static("no-cache");

impl ResultPages {
    pub(super) async fn behind(
        &self,
        wanted: &Wanted,
        client: &Client,
        cursor: Option<Cursor>,
        counted: Counted,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let position = cursor.map_or(Position::START, |cursor| Position {
            epoch: cursor.epoch,
            id: cursor.after,
        });
        let tag = |settled: Watermark| {
            etag::strong(&[
                "results",
                &settled.epoch.to_string(),
                &settled.after.to_string(),
                &wanted.items_per_page.to_string(),
                wanted.format.name(),
                &wanted.rows.canonical,
                // Told in a header, which a 304 has to leave true.
                &format!("{counted:?}"),
            ])
        };
        // Only the address of a page in the epoch of its cursor means the same rows for ever; how many there are in all changes.
        let is_immutable = |settled: Watermark| {
            matches!(counted, Counted::NotAsked) && cursor.is_some_and(|cursor| cursor.epoch == settled.epoch)
        };
        if etag::is_conditional(headers) {
            let settled = caught_up(self.reads.watermark(position).await?, cursor)?;
            if let Some(kept) = etag::kept(headers, &tag(settled)) {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                describe(&mut response, kept, is_immutable(settled));
                return Ok(response);
            }
        }
        let reservation = self.responses.reserve(client, wanted.items_per_page).await?;
        let filter = &wanted.rows.filter;
        let page = self
            .reads
            .settled_after(filter, position, wanted.items_per_page)
            .await?;
        let settled = caught_up(page.as_ref().map(|page| page.watermark), cursor)?;
        let rows = page.map(|page| page.rows).unwrap_or_default();
        let mut response = written(wanted.format, &rows, reservation)?;
        match rows.last().filter(|_| is_full(rows.len(), wanted.items_per_page)) {
            Some(last) => {
                let tag = HeaderValue::from_str(&tag(settled)).map_err(|_| ApiError::internal())?;
                describe(&mut response, tag, is_immutable(settled));
                let next = Cursor {
                    epoch: settled.epoch,
                    after: last.id,
                };
                if let Some(link) = link::next(query, &["after"], "after", &next.text(&wanted.rows)) {
                    response.headers_mut().insert(header::LINK, link);
                }
            }
            // Rows will come to stand behind these.
            None => {
                response.headers_mut().insert(header::CACHE_CONTROL, CHECK);
            }
        }
        Ok(response)
    }
}

/// An answer from a server that has not got as far as the one that gave the cursor would miss rows, or show deleted ones.
fn caught_up(settled: Option<Watermark>, cursor: Option<Cursor>) -> Result<Watermark, ApiError> {
    let settled = settled.ok_or_else(|| ApiError::unavailable(Code::NotReplicated))?;
    let is_behind = cursor.is_some_and(|cursor| settled.epoch < cursor.epoch || settled.id < settled.after);
    if is_behind {
        return Err(ApiError::unavailable(Code::NotReplicated));
    }
    Ok(settled)
}

/// What is told of a full page.
fn describe(response: &mut Response, tag: HeaderValue, is_immutable: bool) {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(
        header::CACHE_CONTROL,
        if is_immutable { IMMUTABLE } else { CHECK },
    );
}
