//! The example that posts what is new to a chat, with real deliveries.

use std::{net::TcpListener, path::Path};

use serde_json::json;
use testbed::{
    TempDir,
    net::Receiver,
    process::{Child, Spec},
    test_env::{LIMIT, WEBHOOK_SECRET, within},
    tools::packages,
};
use tokio::net::TcpStream;

use super::webhooks::start;

#[tokio::test(flavor = "multi_thread")]
async fn example_posts_what_a_run_has_found_to_a_chat() {
    let requirements = include_str!("../../../../examples/feeds/chat/requirements.txt");
    let install = || packages::python("python-chat", requirements).unwrap();
    let bin = tokio::task::spawn_blocking(install).await.unwrap();
    let (feeds, chat, folder) = (
        start().await,
        Receiver::start().unwrap(),
        TempDir::new("chat").unwrap(),
    );
    feeds.env.let_webhooks_read_secrets().await.unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/feeds/chat/receiver.py");
    let receiver = Spec::new(bin.join("python"), folder.path().join("receiver.log"))
        .arg(example)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("WEBHOOK_SECRET", WEBHOOK_SECRET)
        .env("CHAT_URL", chat.url())
        .env("PORT", port.to_string());
    let _receiver = Child::spawn(receiver).unwrap();
    let listens = within(LIMIT, async || TcpStream::connect(("127.0.0.1", port)).await.ok());
    assert!(listens.await.is_some());
    let address = format!("http://127.0.0.1:{port}/");
    let webhook = json!({"name": "chat", "url": address, "secretRef": {"name": "hooks", "key": "chat"}});
    feeds.create_with("knuth", &[webhook]).await;
    let message = feeds.received(&chat, 1).await[0].json();
    let text = message["text"].as_str().unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("**knuth**: 5 new", 6), "{text}");
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.contains("](https://arxiv.org/abs/")),
        "{text}"
    );
    feeds.delivered("knuth", ("True", "AllDelivered")).await;
}
