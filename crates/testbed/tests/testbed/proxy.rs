//! Each mode of the proxy.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use testbed::net::{Proxy, ProxyMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
const PIECE: &[u8; 8] = b"12345678";

/// An echo server.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn connect(proxy: &Proxy) -> std::io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await
}

/// Sends bytes, and returns what comes back.
async fn round_trip(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut got = Vec::new();
    if let Err(error) = stream.write_all(PIECE).await {
        return (got, Some(error.kind()));
    }
    while got.len() < PIECE.len() {
        let mut chunk = [0; 8];
        match timeout(SOON, stream.read(&mut chunk)).await.unwrap() {
            Ok(0) => return (got, Some(ErrorKind::UnexpectedEof)),
            Ok(count) => got.extend_from_slice(&chunk[..count]),
            Err(error) => return (got, Some(error.kind())),
        }
    }
    (got, None)
}

#[tokio::test]
async fn open_proxy_forwards_and_reset_closes_connections() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await.unwrap();
    assert_eq!(round_trip(&mut stream).await, (PIECE.to_vec(), None));
    proxy.reset();
    let read = timeout(SOON, stream.read(&mut [0])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut stream = connect(&proxy).await.unwrap();
    assert_eq!(round_trip(&mut stream).await, (PIECE.to_vec(), None));
}

#[tokio::test]
async fn refusing_proxy_refuses_until_opened() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await.unwrap();
    assert_eq!(round_trip(&mut stream).await.1, None);
    proxy.set(ProxyMode::Refused);
    assert!(timeout(SOON, stream.read(&mut [0])).await.unwrap().is_err());
    let error = connect(&proxy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    proxy.set(ProxyMode::Open);
    let deadline = Instant::now() + SOON;
    let mut stream = loop {
        match connect(&proxy).await {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(round_trip(&mut stream).await, (PIECE.to_vec(), None));
}

#[tokio::test]
async fn hanging_proxy_delivers_data_later() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut existing = connect(&proxy).await.unwrap();
    assert_eq!(round_trip(&mut existing).await.1, None);
    proxy.set(ProxyMode::Hanging);
    let mut new = connect(&proxy).await.unwrap();
    for stream in [&mut existing, &mut new] {
        stream.write_all(PIECE).await.unwrap();
        let read = timeout(Duration::from_millis(200), stream.read(&mut [0; 8])).await;
        assert!(read.is_err(), "{read:?}");
    }
    proxy.set(ProxyMode::Open);
    for stream in [&mut existing, &mut new] {
        let mut got = [0; 8];
        timeout(SOON, stream.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(&got, PIECE);
    }
}

#[tokio::test]
async fn slow_proxy_delays_and_resetting_proxy_cuts_response() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await.unwrap();
    proxy.set(ProxyMode::Slow(Duration::from_millis(100)));
    let before = Instant::now();
    assert_eq!(round_trip(&mut stream).await, (PIECE.to_vec(), None));
    assert!(before.elapsed() >= Duration::from_millis(200), "both ways");
    proxy.set(ProxyMode::ResetsResponses);
    let (got, error) = round_trip(&mut stream).await;
    assert!(got.len() <= 4, "{got:?}");
    assert_eq!(error, Some(ErrorKind::ConnectionReset));
}
