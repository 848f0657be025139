//! The example that posts what is new to a chat, with signed deliveries of the reference library of Standard Webhooks.
#![allow(clippy::unwrap_used)]

use std::{path::Path, time::Duration};

use testbed::{TempDir, process::Spec, tools::packages};

/// For one program on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);

#[tokio::test]
async fn example_posts_each_signed_delivery_to_the_chat_once() {
    let requirements = include_str!("../../../../examples/feeds/chat/requirements.txt");
    let install = || packages::python("python-chat", requirements).unwrap();
    let bin = tokio::task::spawn_blocking(install).await.unwrap();
    let folder = TempDir::new("chat").unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    Spec::new(bin.join("python"), folder.path().join("python.log"))
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(own.join("tests/chat/check.py"))
        .arg(own.join("../../examples/feeds/chat/receiver.py"))
        .run(LIMIT)
        .await
        .unwrap();
}
