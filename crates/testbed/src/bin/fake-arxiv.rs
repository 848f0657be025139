//! The fake arXiv as a program, for a pod.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use testbed::FakeArxiv;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = std::env::args()
        .nth(1)
        .context("usage: fake-arxiv ADDRESS:PORT")?;
    let address: SocketAddr = address
        .parse()
        .with_context(|| format!("{address} is not an ADDRESS:PORT"))?;
    let _running = FakeArxiv::listen(address)?;
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    ended.recv().await;
    Ok(())
}
