//! One API server without the rest of the system.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use super::{LIMIT, eventually};
use crate::TempDir;
use crate::net::Port;
use crate::process::{Child, Spec};
use crate::stack::binary;

/// An API server that gets only the environment variables it is started with. Ends when dropped.
#[derive(Debug)]
pub struct ServerOnly {
    /// Its process.
    pub child: Child,
    /// Where it listens.
    pub port: Port,
    _folder: Arc<TempDir>,
}

impl ServerOnly {
    /// Starts one.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        Self::launch(environment, |spec, _| spec)
    }

    /// Starts one that may have this many files and connections open.
    pub fn start_with_files(files: u32, environment: &[(&str, &str)]) -> Self {
        Self::launch(environment, |spec, program| {
            let limited = format!("ulimit -n {files}; exec {}", program.display());
            Spec::new("/bin/sh", spec.log()).args(["-c", &limited])
        })
    }

    /// How one is started with its log in `folder`.
    pub fn spec(folder: &Path, environment: &[(&str, &str)]) -> Spec {
        with(Spec::new(program(), log(folder)), environment)
    }

    fn launch(environment: &[(&str, &str)], change: impl FnOnce(Spec, &Path) -> Spec) -> Self {
        let folder = TempDir::new("api-server").expect("a folder");
        let port = Port::reserve().expect("a port");
        let program = program();
        let spec = change(Spec::new(&program, log(folder.path())), &program);
        let spec = with(spec, environment).env("LISTEN", format!("127.0.0.1:{}", port.number()));
        Self {
            child: Child::spawn(spec).expect("the server starts"),
            port,
            _folder: Arc::new(folder),
        }
    }

    /// Waits until it accepts connections.
    pub async fn listening(self) -> Self {
        eventually("the server listens", async || {
            assert!(self.child.is_running(), "{}", self.child.log_tail());
            TcpStream::connect(("127.0.0.1", self.port.number())).ok()
        })
        .await;
        self
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.number())
    }

    /// Sends these bytes on a new connection, and returns everything until the server closes it.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.number())).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        // The server may answer and close before all is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn program() -> std::path::PathBuf {
    binary("arxiv-api-server", None).expect("the program is built")
}

fn log(folder: &Path) -> std::path::PathBuf {
    folder.join("api-server.log")
}

fn with(spec: Spec, environment: &[(&str, &str)]) -> Spec {
    let spec = spec.env("LOG_LEVEL", "DEBUG");
    environment
        .iter()
        .fold(spec, |spec, (name, value)| spec.env(*name, *value))
}
