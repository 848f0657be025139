//! A receiver of webhooks on loopback: it keeps what it gets, and answers as it is told to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The receiver. Ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    shared: Shared,
    task: AbortHandle,
}

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Received {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How it is answered.
    pub reply: Reply,
}

impl Received {
    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// With this status, and a header.
    Status(StatusCode, Option<(HeaderName, HeaderValue)>),
    /// With status 200 and a body without an end.
    Endless,
    /// Not before another reply is set, and then with status 503.
    Stall,
}

impl Reply {
    /// An answer with this status.
    pub fn status(status: u16) -> Self {
        Self::Status(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            None,
        )
    }
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    reply: Reply,
    /// The replies that come first, each for one request.
    queued: VecDeque<Reply>,
    /// Ends the stalls.
    is_set: watch::Sender<()>,
    received: Vec<Received>,
}

impl Receiver {
    /// Starts one on a free port; it accepts everything. To be called within a tokio runtime.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let shared = Shared(Arc::new(Mutex::new(State {
            reply: Reply::status(204),
            queued: VecDeque::new(),
            is_set: watch::Sender::new(()),
            received: Vec::new(),
        })));
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = serving.clone();
                let service = service_fn(move |request| answer(request, shared.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self {
            port,
            shared,
            task: task.abort_handle(),
        })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?token=path-secret", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How it answers from now on.
    pub fn set(&self, reply: Reply) {
        let mut state = self.shared.lock();
        state.reply = reply;
        state.queued.clear();
        state.is_set.send_replace(());
    }

    /// How it answers the next requests, one after the other, before it answers as it does now.
    pub fn set_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.lock().queued.extend(replies);
    }

    /// All that it got, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(request: hyper::Request<Incoming>, shared: Shared) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
    let (reply, mut is_set) = {
        let mut state = shared.lock();
        let next = state.queued.pop_front();
        let reply = next.unwrap_or_else(|| state.reply.clone());
        state.received.push(Received {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body: body.unwrap_or_default(),
            reply: reply.clone(),
        });
        (reply, state.is_set.subscribe())
    };
    let mut response = Response::new(Full::default().boxed());
    match reply {
        Reply::Status(status, header) => {
            *response.status_mut() = status;
            response.headers_mut().extend(header);
        }
        Reply::Endless => {
            let chunks = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'.'; 8_192]))));
            response = Response::new(BodyExt::boxed(StreamBody::new(chunks)));
        }
        Reply::Stall => {
            // An error means that the receiver has ended.
            let _ = is_set.changed().await;
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    Ok(response)
}
