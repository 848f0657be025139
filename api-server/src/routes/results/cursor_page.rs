//! Pages after a cursor: made of rows that are settled, so that a full one never changes within its epoch.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use storage::{Position, Watermark};

use crate::routes::results::{
    ResultPages, ResultsRequest, TotalCount, add_next, is_full, text_of, with_head,
};
use crate::{
    error::{ApiError, Code},
    limits::client::Client,
    output::cursor::Cursor,
    output::feed::FeedOf,
};
use wire::{headers::etag, hex};

/// A full page at an address that names its epoch never changes; a day limits how long a client's cache may show a deleted
/// row.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("max-age=86400, immutable");
/// May be kept, and has to be checked each time.
const CHECK: HeaderValue = HeaderValue::from_static("no-cache");

impl ResultPages {
    pub(super) async fn cursor_page(
        &self,
        request: &ResultsRequest,
        client: &Client,
        cursor: Option<Cursor>,
        total: TotalCount,
    ) -> Result<Response, ApiError> {
        let headers = &request.headers;
        let position = cursor.map_or(Position::START, |cursor| Position {
            epoch: cursor.epoch,
            id: cursor.after,
        });
        let tag = |settled: Watermark| {
            etag::strong(&[
                "results",
                &settled.epoch.to_string(),
                &settled.after.to_string(),
                &request.items_per_page.to_string(),
                &format!("{:?}", request.form),
                &request.rows.canonical,
                // It is in a header, which has to be true in a 304 too.
                &format!("{total:?}"),
            ])
        };
        // arXiv adds to papers later, so whole papers are known again by the text.
        let is_whole = request.form.shows_whole_papers();
        // Rows stay the same only at the address of a page in the epoch of its cursor; the total count changes.
        let is_immutable = |settled: Watermark| {
            !is_whole
                && matches!(total, TotalCount::NotAsked)
                && cursor.is_some_and(|cursor| cursor.epoch == settled.epoch)
        };
        if etag::is_conditional(headers) && !is_whole {
            let settled = caught_up(self.reads.watermark(position).await?, cursor)?;
            if let Some(kept) = etag::matching(headers, &tag(settled)) {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                cache(&mut response, kept, is_immutable(settled));
                return Ok(response);
            }
        }
        let reservation = self.responses.reserve(client, request.items_per_page).await?;
        let filter = &request.rows.filter;
        let page = self
            .reads
            .settled_after(filter, position, request.items_per_page)
            .await?;
        let settled = caught_up(page.as_ref().map(|page| page.watermark), cursor)?;
        let rows = page.map(|page| page.rows).unwrap_or_default();
        let last = rows.last().map(|row| row.id);
        let is_full = is_full(rows.len(), request.items_per_page);
        let of = FeedOf::Results(&request.rows.canonical);
        let text = text_of(&self.reads, request.form, &of, rows).await?;
        let mut tag = tag(settled);
        if is_whole {
            tag = etag::strong(&[&tag, &hex(&Sha256::digest(&text)[..])]);
            if let Some(kept) = etag::matching(headers, &tag).filter(|_| is_full) {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                cache(&mut response, kept, false);
                return Ok(response);
            }
        }
        let body = Body::from(reservation.into_bytes(text)?);
        let mut response = with_head(request.form.format, body);
        match last.filter(|_| is_full) {
            Some(last) => {
                let tag = HeaderValue::from_str(&tag).map_err(|_| ApiError::internal())?;
                cache(&mut response, tag, is_immutable(settled));
                let next = Cursor {
                    epoch: settled.epoch,
                    after: last,
                };
                add_next(
                    &mut response,
                    request.query.as_deref(),
                    "after",
                    &next.text(&request.rows),
                );
            }
            // More rows will follow these.
            None => {
                response.headers_mut().insert(header::CACHE_CONTROL, CHECK);
            }
        }
        Ok(response)
    }
}

/// 503 for a server that has not got as far as the one that gave the cursor: its answer would miss rows, or show deleted
/// ones.
fn caught_up(settled: Option<Watermark>, cursor: Option<Cursor>) -> Result<Watermark, ApiError> {
    let settled = settled.ok_or_else(|| ApiError::unavailable(Code::NotReplicated))?;
    let is_behind = cursor.is_some_and(|cursor| settled.epoch < cursor.epoch || settled.id < settled.after);
    if is_behind {
        return Err(ApiError::unavailable(Code::NotReplicated));
    }
    Ok(settled)
}

/// The headers of a full page.
fn cache(response: &mut Response, tag: HeaderValue, is_immutable: bool) {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(
        header::CACHE_CONTROL,
        if is_immutable { IMMUTABLE } else { CHECK },
    );
}
