//! Forwards from the node's address, which pods can reach, to a port on loopback: a database of the testbed.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A listening port that forwards to a port on loopback. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Forward {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Forward {
    /// Forwards from a free port of `host` to `port`.
    pub(crate) async fn to(host: Ipv4Addr, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((mut outer, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut inner) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                        let _ = outer.set_nodelay(true);
                        let _ = inner.set_nodelay(true);
                        let _ = copy_bidirectional(&mut outer, &mut inner).await;
                    }
                });
            }
        });
        Ok(Self { address, task })
    }

    /// Its listening port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}
