//! Redirects.

use std::io::Write;

use arxiv::Fetched;
use tokio_util::sync::CancellationToken;

use crate::server::{Server, hold, response};
use crate::{client, fetch, good, request};

#[tokio::test]
async fn redirect_on_the_same_host_is_one_more_request() {
    let server = Server::start(|number, mut stream| {
        let bytes = if number < 3 {
            response("301 Moved", &format!("Location: /new/{number}?q\r\n"), "")
        } else {
            good()
        };
        stream.write_all(&bytes).unwrap();
        hold(stream);
    });
    let client = client(server.url());
    let token = CancellationToken::new();
    let mut pending = client.pending(&request());
    for number in 0..3 {
        let Ok(Fetched::Redirect(next)) = client.fetch(pending, &token).await else {
            panic!("no redirect")
        };
        assert_eq!(server.connections(), number + 1, "followed on its own");
        assert_eq!(server.open(), 0);
        pending = next;
    }
    let fetched = client.fetch(pending, &token).await.unwrap();
    assert!(matches!(fetched, Fetched::Answer(answer) if answer.feed.total == 1234));
    assert!(
        server.heads()[3].starts_with("GET /new/2?q HTTP/1.1\r\n"),
        "{:?}",
        server.heads()
    );
}

#[tokio::test]
async fn redirect_is_refused_after_the_most_allowed() {
    let server = Server::start(|number, mut stream| {
        stream
            .write_all(&response("307 Moved", &format!("Location: /{number}\r\n"), ""))
            .unwrap();
        hold(stream);
    });
    let error = fetch(server.url()).await.unwrap_err();
    assert_eq!(error.to_string(), "arXiv's answer is a redirect too many");
    assert_eq!(server.connections(), 4);
}
