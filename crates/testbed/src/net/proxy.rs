//! A TCP proxy on loopback whose connections can fail in the ways that networks do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::net::Port;

/// Pause between two attempts to listen: closing connections may keep the port for a moment.
const LISTEN_AGAIN: Duration = Duration::from_millis(5);
const LISTEN_TRIES: u32 = 1000;
const CHUNK: usize = 16 * 1024;

/// What happens to connections and data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// Everything is forwarded.
    #[default]
    Open,
    /// New connections are refused, and open ones are reset.
    Refused,
    /// Nothing is forwarded, not even the end of a connection. New connections are accepted and get no response.
    Hanging,
    /// Each chunk is forwarded after this delay.
    Slow(Duration),
    /// Half of the next chunk of a response is forwarded, then its connection is reset.
    ResetsResponses,
}

/// The proxy. Dropping it closes its port and resets its connections.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    state: watch::Sender<ProxyState>,
    served: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
struct ProxyState {
    mode: ProxyMode,
    /// A connection is reset when this number has changed since it was opened.
    resets: u64,
    /// The address of new connections.
    target: SocketAddr,
}

impl Proxy {
    /// Starts one, on the current runtime, that forwards to `target`.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let port = Port::reserve()?;
        let (state, seen) = watch::channel(ProxyState {
            mode: ProxyMode::Open,
            resets: 0,
            target,
        });
        let listener = listen(port.number()).await?;
        let served = tokio::spawn(serve(listener, port.number(), seen));
        Ok(Self { port, state, served })
    }

    /// The port on loopback to connect to.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Sets the mode, also for open connections.
    pub fn set(&self, mode: ProxyMode) {
        self.state.send_modify(|state| {
            state.mode = mode;
            state.resets += u64::from(mode == ProxyMode::Refused);
        });
    }

    /// Forwards new connections to another address. Open ones stay, as with a Service of Kubernetes.
    pub fn route_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }

    /// Resets all open connections, on both sides.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn listen(port: u16) -> Result<TcpListener> {
    let mut tries = LISTEN_TRIES;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if tries == 0 => return Err(error).context("a proxy cannot listen"),
            Err(_) => tokio::time::sleep(LISTEN_AGAIN).await,
        }
        tries -= 1;
    }
}

/// Listens, unless connections are to be refused, which needs that there is no listener.
async fn serve(listener: TcpListener, port: u16, mut state: watch::Receiver<ProxyState>) {
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let refused = state.borrow_and_update().mode == ProxyMode::Refused;
        if refused {
            listener = None;
        } else if listener.is_none() {
            listener = listen(port).await.ok();
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = state.changed() => if changed.is_err() {
                return;
            },
            accepted = accepted => if let Ok((client, _)) = accepted {
                connections.spawn(connection(client, state.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until it ends.
async fn connection(mut client: TcpStream, state: watch::Receiver<ProxyState>) {
    let born = state.borrow().resets;
    let mut watched = state.clone();
    let reset = async {
        let _ = watched.wait_for(|state| state.resets != born).await;
    };
    let relayed = async {
        until_not_hanging(&mut state.clone()).await;
        let target = state.borrow().target;
        let mut server = TcpStream::connect(target).await?;
        let ended = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            tokio::select! {
                ended = forward(from_client, to_server, state.clone(), false) => ended,
                ended = forward(from_server, to_client, state.clone(), true) => ended,
                () = reset => Err(io::ErrorKind::ConnectionReset.into()),
            }
        };
        if ended.is_err() {
            server.set_zero_linger()?;
        }
        ended
    };
    if relayed.await.is_err() {
        // Closing a connection with zero linger resets it.
        let _ = client.set_zero_linger();
    }
}

async fn until_not_hanging(state: &mut watch::Receiver<ProxyState>) {
    let _ = state.wait_for(|state| state.mode != ProxyMode::Hanging).await;
}

/// Forwards one direction until its end.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<ProxyState>,
    is_response: bool,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await;
        until_not_hanging(&mut state).await;
        let bytes = &chunk[..read?];
        if bytes.is_empty() {
            return Ok(());
        }
        let mode = state.borrow().mode;
        match mode {
            ProxyMode::Slow(pause) => tokio::time::sleep(pause).await,
            ProxyMode::ResetsResponses if is_response => {
                to.write_all(&bytes[..bytes.len() / 2]).await?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            _ => {}
        }
        to.write_all(bytes).await?;
    }
}

/// The same URL with another port.
pub(crate) fn with_port(url: &str, port: u16) -> Result<String> {
    let mut url = url::Url::parse(url)?;
    url.set_port(Some(port))
        .ok()
        .context("a URL that can have a port")?;
    Ok(url.into())
}
