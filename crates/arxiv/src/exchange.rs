//! One request and its answer.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_compression::tokio::bufread::{DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use futures::TryStreamExt;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio_util::io::StreamReader;
use url::Url;

use crate::headers::ContentCoding;
use crate::parser::parse;
use crate::{Feed, FeedError, FetchError, RedirectError, headers};

/// The most redirects of one search that are followed: one to https, one to a new path, and one in reserve.
const MAX_REDIRECTS: u8 = 3;

/// The part of an error's body that is read for its reason, in bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// The part of a body that is not a feed that is read to recognise it, in bytes.
const MAX_SNIFF: u64 = 1024;

/// The text of arXiv's answer to too many requests, sometimes with status 200.
const RATE_EXCEEDED: &str = "rate exceeded";

/// arXiv's answer to a page request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was found.
    pub feed: Feed,
    /// When arXiv answered, if it said so.
    pub date: Option<jiff::Timestamp>,
    /// The HTTP status.
    pub status: u16,
}

/// The result of a request.
#[derive(Debug)]
pub enum Fetched {
    /// The answer.
    Answer(Answer),
    /// Another request. For arXiv it counts like any other, so it needs its own turn.
    Redirect(PendingRequest),
}

/// A request to be sent: to the page's own address at first, then to the target of each redirect.
#[derive(Debug)]
pub struct PendingRequest {
    url: Url,
    wanted: u32,
    redirects_left: u8,
    time_left: Duration,
    arrived_by: ArrivedBy,
}

/// When a request had arrived at the latest: when the head of its answer came. Nothing is certain earlier, as it may take long to
/// connect, and packets may be lost and sent again.
#[derive(Clone, Debug, Default)]
pub struct ArrivedBy(Arc<OnceLock<Instant>>);

impl ArrivedBy {
    /// The time, if an answer has come.
    pub fn get(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

impl PendingRequest {
    pub(crate) fn new(url: Url, wanted: u32, timeout: Duration) -> Self {
        Self {
            url,
            wanted,
            redirects_left: MAX_REDIRECTS,
            time_left: timeout,
            arrived_by: ArrivedBy::default(),
        }
    }

    /// Known once this request is answered.
    pub fn arrived_by(&self) -> ArrivedBy {
        self.arrived_by.clone()
    }

    /// The same request with this deadline, if it is the nearer one.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self {
            time_left: self.time_left.min(limit),
            ..self
        }
    }

    /// Makes the request. The deadline holds for the sum of all requests that a page needs.
    pub(crate) async fn make(self, http: &reqwest::Client, max_body: usize) -> Result<Fetched, FetchError> {
        let time_left = self.time_left;
        let exchange = tokio::time::timeout(time_left, self.exchange(http, max_body));
        exchange.await.unwrap_or(Err(FetchError::TimedOut))
    }

    async fn exchange(self, http: &reqwest::Client, max_body: usize) -> Result<Fetched, FetchError> {
        let started = Instant::now();
        let response = http.get(self.url.clone()).send().await.map_err(|error| {
            let kind = if error.is_connect() {
                FetchError::Connect
            } else {
                FetchError::Dropped
            };
            kind(error.without_url())
        })?;
        let _ = self.arrived_by.0.set(Instant::now());
        let status = response.status();
        let head = response.headers().clone();
        tracing::debug!(
            status = status.as_u16(),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "arXiv answered"
        );
        match status {
            StatusCode::OK => {
                let feed = read_feed(response, &head, max_body, self.wanted).await?;
                Ok(Fetched::Answer(Answer {
                    feed,
                    date: headers::date(&head),
                    status: status.as_u16(),
                }))
            }
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => self.follow(&head, started.elapsed()).map(Fetched::Redirect),
            StatusCode::BAD_REQUEST => Err(FetchError::Refused {
                reason: read_reason(response).await,
            }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(FetchError::Throttled {
                status: status.as_u16(),
                retry_after: headers::retry_after(&head),
            }),
            _ => Err(FetchError::Status(status.as_u16())),
        }
    }

    fn follow(self, head: &HeaderMap, spent: Duration) -> Result<Self, FetchError> {
        let url = headers::redirect_target(&self.url, head).map_err(FetchError::Redirect)?;
        let redirects_left = self
            .redirects_left
            .checked_sub(1)
            .ok_or(FetchError::Redirect(RedirectError::TooMany))?;
        Ok(Self {
            url,
            redirects_left,
            time_left: self.time_left.saturating_sub(spent),
            arrived_by: ArrivedBy::default(),
            wanted: self.wanted,
        })
    }
}

async fn read_feed(
    response: Response,
    head: &HeaderMap,
    max_body: usize,
    wanted: u32,
) -> Result<Feed, FetchError> {
    let throttled = || FetchError::Throttled {
        status: StatusCode::TOO_MANY_REQUESTS.as_u16(),
        retry_after: headers::retry_after(head),
    };
    let codings = headers::content_codings(head).ok_or(FetchError::ContentEncoding)?;
    if response
        .content_length()
        .is_some_and(|length| length > max_body as u64)
    {
        return Err(FetchError::Feed(FeedError::TooLarge));
    }
    let body = decoded(response, codings, max_body).await;
    if headers::is_xml(head) == Some(false) {
        let mut start = Vec::new();
        // Whatever fails here, the answer is not a feed.
        let _ = body.take(MAX_SNIFF).read_to_end(&mut start).await;
        let start = String::from_utf8_lossy(&start);
        return Err(if says_rate_exceeded(&start) {
            throttled()
        } else {
            FetchError::ContentType
        });
    }
    match parse(body, max_body, wanted as usize).await {
        Ok(feed) => Ok(feed),
        Err(FeedError::PlainText(text)) if says_rate_exceeded(&text) => Err(throttled()),
        // Also with status 200, whose requests would all fail alike.
        Err(FeedError::Reported(reason)) if is_about_input(&reason) => {
            Err(FetchError::Refused { reason: Some(reason) })
        }
        Err(error) => Err(error.into()),
    }
}

/// The reason in an error's body, if it is the feed that arXiv sends in such a case.
async fn read_reason(response: Response) -> Option<String> {
    let codings = headers::content_codings(response.headers())?;
    let body = decoded(response, codings, MAX_ERROR_BODY).await;
    match parse(body, MAX_ERROR_BODY, 1).await {
        Err(FeedError::Reported(reason)) => Some(reason),
        _ => None,
    }
}

type Body = Box<dyn AsyncBufRead + Send + Unpin>;

fn body(response: Response) -> Body {
    Box::new(StreamReader::new(Box::pin(
        response.bytes_stream().map_err(io::Error::other),
    )))
}

/// The body without its content codings, whether or not they were asked for. Not much more than `max_body` bytes of it can
/// be read.
async fn decoded(response: Response, mut codings: Vec<ContentCoding>, max_body: usize) -> Body {
    const GZIP: u8 = 0x1f;
    let mut body = body(response);
    // No document begins like this; some servers do not say that they compress.
    if codings.is_empty() && first_byte(&mut body).await == Some(GZIP) {
        codings.push(ContentCoding::Gzip);
    }
    for coding in codings.into_iter().rev() {
        let decoder: Box<dyn AsyncRead + Send + Unpin> = match coding {
            ContentCoding::Gzip => {
                let mut decoder = GzipDecoder::new(body);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            // That of RFC 9110 begins with a method, which is always 8. Some servers leave that out.
            ContentCoding::Deflate if first_byte(&mut body).await.is_some_and(|byte| byte & 0xf == 8) => {
                Box::new(ZlibDecoder::new(body))
            }
            ContentCoding::Deflate => Box::new(DeflateDecoder::new(body)),
            ContentCoding::Zstd => {
                let mut decoder = ZstdDecoder::new(body);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
        };
        let limit = u64::try_from(max_body).unwrap_or(u64::MAX).saturating_add(1);
        body = Box::new(BufReader::new(decoder.take(limit)));
    }
    body
}

/// The first byte, which is not taken. An error is found again by who reads.
async fn first_byte(body: &mut Body) -> Option<u8> {
    body.fill_buf().await.ok()?.first().copied()
}

/// Whether arXiv's words for an error are about the request (user manual, 3.4), not about arXiv.
fn is_about_input(reason: &str) -> bool {
    const WORDS: [&str; 5] = [
        "incorrect id format",
        "malformed",
        "must be",
        "invalid",
        "not a valid",
    ];
    let reason = reason.to_ascii_lowercase();
    WORDS.iter().any(|words| reason.contains(words))
}

fn says_rate_exceeded(text: &str) -> bool {
    text.to_ascii_lowercase().contains(RATE_EXCEEDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_arxiv_documents_are_about_the_request_and_others_are_not() {
        for (reason, expected) in [
            ("incorrect id format for 1234.12345", true),
            ("Incorrect ID format for x", true),
            ("malformed id at cond—mat/0709123", true),
            ("start must be an integer", true),
            ("start must be non-negative", true),
            ("max_results must be an integer", true),
            ("max_results must be non-negative", true),
            (
                "sortBy must be in: relevance, lastUpdatedDate, submittedDate",
                true,
            ),
            ("Invalid query string: 'ti:'", true),
            ("internal error", false),
            ("no reason given", false),
            ("Service is temporarily unavailable", false),
            ("timed out", false),
        ] {
            assert_eq!(is_about_input(reason), expected, "{reason}");
        }
    }
}
