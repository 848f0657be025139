//! A Git repository, served on loopback by `git http-backend` (a CGI program, RFC 3875), as on a real Git server.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::future::try_join;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use testbed::net::Port;
use testbed::process::find_program;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use url::Url;

/// What a client sends: the names of the objects that it has and wants.
const MAX_BODY: usize = 1 << 20;
/// Requests at once.
const MAX_REQUESTS: usize = 8;
/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);
/// The repository's name in its URL, and of its folder.
const NAME: &str = "repository.git";

/// A repository with one branch, `main`, and a folder in which files are changed before they are committed.
#[derive(Debug)]
pub struct Repository {
    git: Git,
    port: Port,
    server: JoinHandle<()>,
}

/// How git is called: without any setting of the developer's.
#[derive(Clone, Debug)]
struct Git {
    program: PathBuf,
    /// The folder of the repository and of its files.
    folder: PathBuf,
}

impl Git {
    fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().current_dir(self.files());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .env("HOME", &self.folder)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    }

    /// Runs it; what it prints.
    fn run(&self, args: &[&str]) -> Result<String> {
        let author = ["-c", "user.name=testbed", "-c", "user.email=testbed@example.org"];
        let output = self.command().args(author).args(args).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        ensure!(
            output.status.success(),
            "git {}: {}",
            args.join(" "),
            text(&output.stderr)
        );
        Ok(text(&output.stdout))
    }
}

impl Repository {
    /// Creates an empty one in `folder`, and serves it.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let program = find_program("git").context("git is not installed")?;
        let git = Git {
            program,
            folder: folder.to_owned(),
        };
        std::fs::create_dir_all(git.files())?;
        let apart = format!("--separate-git-dir={}", folder.join(NAME).display());
        git.run(&["init", "--quiet", "--initial-branch=main", &apart])?;
        let port = Port::reserve()?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", port.number()))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            server: tokio::spawn(serve(listener, Arc::new(git.clone()))),
            git,
            port,
        })
    }

    /// Where it is cloned from.
    pub fn url(&self) -> Result<Url> {
        Ok(format!("http://127.0.0.1:{}/{NAME}", self.port.number()).parse()?)
    }

    /// The folder of its files.
    pub fn files(&self) -> PathBuf {
        self.git.files()
    }

    /// Commits all files as they are; the commit's hash.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git.run(&["add", "--all"])?;
        self.git.run(&["commit", "--quiet", "--message", message])?;
        self.git.run(&["rev-parse", "HEAD"])
    }

    /// Names the last commit.
    pub fn tag(&self, name: &str) -> Result<()> {
        self.git.run(&["tag", name]).map(drop)
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, git: Arc<Git>) {
    let slots = Arc::new(Semaphore::new(MAX_REQUESTS));
    loop {
        // Before a connection is accepted: those that wait take nothing here.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let git = Arc::clone(&git);
                tokio::spawn(async move {
                    connection(stream, &git).await;
                    drop(slot);
                });
            }
            // For example, no free file descriptor: others may be closed meanwhile.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// One request: a connection without one takes a slot, which an idle one must not keep.
async fn connection(stream: TcpStream, git: &Git) {
    let service = service_fn(|request| respond(request, git));
    let mut served = http1::Builder::new();
    // The client gets an error, or is gone.
    let _ = served
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(request: Request<Incoming>, git: &Git) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let text = |name: HeaderName| {
        let value = head.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let mut command = tokio::process::Command::from(git.command());
    let mut child = command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &git.folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", text(HeaderName::from_static("git-protocol")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let input = child.stdin.take();
    let written = async {
        if let Some(mut input) = input {
            // It reads only as much as it needs.
            let _ = input.write_all(&body).await;
        }
        Ok(())
    };
    let ((), Output { stdout, .. }) = try_join(written, child.wait_with_output()).await?;
    parse(&Bytes::from(stdout)).ok_or_else(|| io::Error::other("no CGI response"))
}

/// A CGI response: headers, among them the status if it is not 200, an empty line, and the body.
fn parse(output: &Bytes) -> Option<Response<Full<Bytes>>> {
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(output.get(..end)?).ok()?;
    let mut response = Response::new(Full::new(output.slice(end + 4..)));
    for line in head.lines() {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            *response.status_mut() = StatusCode::from_bytes(value.get(..3)?.as_bytes()).ok()?;
        } else {
            let name: HeaderName = name.parse().ok()?;
            response
                .headers_mut()
                .append(name, HeaderValue::from_str(value).ok()?);
        }
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgi_response_has_its_status_headers_and_body() {
        let parsed = |text: &'static str| parse(&Bytes::from_static(text.as_bytes()));
        let found = parsed("Content-Type: a/b\r\nExpires: x\r\n\r\nbody\r\n\r\n").unwrap();
        assert_eq!(
            (found.status(), &found.headers()["content-type"]),
            (StatusCode::OK, &"a/b".parse().unwrap())
        );
        let missing = parsed("Status: 404 Not Found\r\n\r\n").unwrap();
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        assert!(parsed("no headers").is_none());
    }
}
