//! The log level of a running process.

use std::{fs, path::Path};

use testbed::{
    TempDir,
    test_env::{ServerOnly, eventually, http_client},
};

use crate::NOWHERE;

fn log(server: &ServerOnly) -> String {
    fs::read_to_string(server.child.log()).unwrap()
}

/// As the kubelet does it: the file is there as a whole, or not at all.
fn write(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

/// Sends probes with this id until their lines are logged or not, as expected.
async fn until_probes_are_logged(server: &ServerOnly, id: &str, expected: bool) {
    let mut number = 0;
    eventually("the level counts", async || {
        number += 1;
        let id = format!("{id}-{number}");
        let request = http_client()
            .get(server.url("/healthz"))
            .header("x-request-id", &id);
        request.send().await.unwrap();
        let is_logged = log(server).contains(&format!("request_id={id} "));
        (is_logged == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn log_level_of_running_process_follows_a_file_and_stays_where_that_is_invalid() {
    let folder = TempDir::new("log-level").unwrap();
    let file = folder.path().join("level");
    let server = ServerOnly::start(&[
        ("SERVE", "read-results"),
        ("DATABASE_RO_URL", NOWHERE),
        ("LOG_LEVEL", "notice"),
        ("LOG_LEVEL_FILE", file.to_str().unwrap()),
    ])
    .listening()
    .await;
    until_probes_are_logged(&server, "before", false).await;

    write(&file, "debug\n");
    until_probes_are_logged(&server, "debug", true).await;
    assert!(log(&server).contains("the log level is changed levels=debug"));

    for (invalid, reason) in [
        ("loud", "is no level"),
        ("notice,hyper=debug", "is no part of this program"),
        (&*"x".repeat(5000), "longer than 1024 bytes"),
    ] {
        write(&file, invalid);
        eventually("the text is refused", async || {
            let log = log(&server);
            let line = log.lines().find(|line| line.contains(reason))?;
            assert!(
                line.contains(" ERROR ") && line.contains("levels=debug"),
                "{line}"
            );
            Some(())
        })
        .await;
        until_probes_are_logged(&server, "kept", true).await;
    }
    let refused = log(&server).matches("the log level stays").count();
    assert_eq!(refused, 3, "each once: {}", log(&server));

    write(&file, "notice,access=off");
    until_probes_are_logged(&server, "off", false).await;
    let page = http_client()
        .get(server.url("/docs"))
        .header("x-request-id", "page-1");
    page.send().await.unwrap();
    fs::remove_file(&file).unwrap();
    eventually("the configured level is back", async || {
        let page = http_client()
            .get(server.url("/docs"))
            .header("x-request-id", "page-2");
        page.send().await.unwrap();
        log(&server).contains("request_id=page-2").then_some(())
    })
    .await;
    assert!(!log(&server).contains("request_id=page-1"));
}
