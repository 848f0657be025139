//! A fake arXiv that answers each connection as the test says, byte by byte.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use url::Url;

/// Established, and closed by the other side only.
const OPEN: [&str; 2] = ["01", "08"];

/// The server; its threads end with the test's process.
pub(crate) struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    /// Reads each connection's request, then leaves the connection to `answer` with the number of the
    /// request.
    pub(crate) fn start(answer: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        Self::start_raw(heads, move |mut stream| {
            let head = read_head(&mut stream);
            let number = {
                let mut heads = noted.lock().unwrap();
                heads.push(head);
                heads.len() - 1
            };
            answer(number, stream);
        })
    }

    /// Answers every request with these bytes, and leaves it to the client to close the connection.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, mut stream| {
            let _ = stream.write_all(&bytes);
            hold(stream);
        })
    }

    /// Leaves each connection to `serve` as it is.
    pub(crate) fn start_raw(
        heads: Arc<Mutex<Vec<String>>>,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let accepted = Arc::clone(&connections);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                accepted.lock().unwrap().push(stream.try_clone().unwrap());
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Self {
            address,
            heads,
            connections,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}/api/query", self.address).parse().unwrap()
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// How many connections the client has not closed. The kernel tells it of the client's ends: it is seen
    /// there at once, while on a busy machine it may not have come to this side yet.
    pub(crate) fn open(&self) -> usize {
        let SocketAddr::V4(address) = self.address else {
            panic!("{} is not IPv4", self.address)
        };
        let us = format!(
            "{:08X}:{:04X}",
            u32::from_ne_bytes(address.ip().octets()),
            address.port()
        );
        let sockets = fs::read_to_string("/proc/self/net/tcp").unwrap();
        let ends = sockets.lines().filter(|line| {
            // A number, this end, the other end, the state.
            let fields: Vec<_> = line.split_whitespace().take(4).collect();
            matches!(fields[..], [_, _, other, state] if other == us && OPEN.contains(&state))
        });
        ends.count()
    }
}

/// Keeps the connection open on this side for as long as the test runs.
pub(crate) fn hold(stream: TcpStream) {
    std::mem::forget(stream);
}

/// An answer with a length, so that the client knows its end while the connection stays open.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap()
}
