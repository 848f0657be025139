//! A receiver in Python with TLS, by the libraries of Standard Webhooks and of `CloudEvents`.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use testbed::{
    TempDir,
    process::{Child, Spec},
    tools::packages,
    wait,
};
use webhooks::{Secrets, Target};

use super::{ID, LOOPBACK, OTHER, SECRET, body, items, sender, time};

/// For one program on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);

struct Receiver {
    child: Child,
    folder: TempDir,
}

impl Receiver {
    async fn start() -> Self {
        let install = || packages::python("python-webhooks", include_str!("requirements.txt")).unwrap();
        let bin = tokio::task::spawn_blocking(install).await.unwrap();
        let folder = TempDir::new("webhooks").unwrap();
        let pair =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        fs::write(&certificate, pair.cert.pem()).unwrap();
        fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receivers/receive.py");
        let spec = Spec::new(bin.join("python"), folder.path().join("receiver.log"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(program)
            .arg(SECRET)
            .arg(certificate)
            .arg(key);
        Self {
            child: Child::spawn(spec).unwrap(),
            folder,
        }
    }

    /// Its line of this number, from 0.
    async fn line(&self, number: usize) -> Value {
        let found = wait::until("the receiver's line", LIMIT, async || {
            anyhow::ensure!(self.child.is_running(), "{}", self.child.log_tail());
            let log = fs::read_to_string(self.child.log())?;
            let mut lines = log.lines().filter(|line| line.starts_with('{'));
            Ok(lines.nth(number).and_then(|line| serde_json::from_str(line).ok()))
        });
        found.await.unwrap()
    }
}

#[tokio::test]
async fn reference_libraries_accept_what_is_signed_with_any_of_the_secrets_and_nothing_else() {
    let receiver = Receiver::start().await;
    let port = receiver.line(0).await["port"].as_u64().unwrap();
    let certificate = receiver.folder.path().join("tls.crt");
    let sender = sender(LOOPBACK, Some(&certificate));
    let target = Target::parse(&format!("https://127.0.0.1:{port}/hook?a=1")).unwrap();
    let items = items();
    let before_and_after = format!("{OTHER} {SECRET}");
    for (number, (secrets, status)) in (1..).zip([(SECRET, 204), (&before_and_after, 204), (OTHER, 400)]) {
        let parsed = Secrets::parse(secrets).unwrap();
        let answer = sender.send(&target, &parsed, ID, body(&items)).await.unwrap();
        let seen = receiver.line(number).await;
        assert_eq!(answer.status, status, "{seen}");
        if status != 204 {
            assert!(seen["refused"].is_string(), "{seen}");
            continue;
        }
        let expected = json!({
            "id": ID, "type": "dev.arxiv-operator.feed.items", "specversion": "1.0", "content": "application/json",
            "source": "/apis/arxiv-operator.dev/v1alpha1/namespaces/papers/arxivfeeds", "subject": "knuth",
            "time": "2026-03-02T05:17:09+00:00", "path": "/hook?a=1",
            "agent": concat!("arxiv-operator/", env!("CARGO_PKG_VERSION")),
            "data": {
                "feed": {"namespace": "papers", "name": "knuth", "search": "au:knuth"},
                "items": items.iter().map(|item| json!({
                    "position": item.position, "added": time(), "paper": item.paper,
                })).collect::<Vec<_>>(),
            },
        });
        assert_eq!(seen, expected);
    }
    // Without its certificate, nothing is sent.
    let stranger = super::sender(LOOPBACK, None);
    let refused = stranger.send(&target, &super::secrets(), ID, body(&items)).await;
    let refused = service_text(&refused.unwrap_err());
    assert!(
        refused.contains("cannot be reached") && !refused.contains("hook"),
        "{refused}"
    );
}

fn service_text(error: &webhooks::SendError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
