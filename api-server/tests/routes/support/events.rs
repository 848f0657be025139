//! Event streams, read event by event.

use reqwest::{Response, header};
use serde_json::Value;
use testbed::test_env::LIMIT;

use super::Server;

pub(crate) struct Events {
    response: Response,
    rest: String,
}

#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Events {
    /// `last`: the last event that the client has seen.
    pub(crate) async fn open(server: &Server, path: &str, last: Option<&str>) -> Self {
        let accept = ("accept", "text/event-stream");
        let last = last.map(|last| ("last-event-id", last));
        let headers: Vec<_> = [accept].into_iter().chain(last).collect();
        Self::open_with(server, path, &headers).await
    }

    /// With these headers.
    pub(crate) async fn open_with(server: &Server, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = server.send_with("GET", path, headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        Self {
            response,
            rest: String::new(),
        }
    }

    /// The next event, without heartbeats; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.rest.find("\n\n") {
                let block: String = self.rest.drain(..end + 2).collect();
                let field = |name: &str| {
                    let mut lines = block
                        .lines()
                        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    lines.next().map(str::to_owned)
                };
                // A heartbeat has none.
                if let Some(name) = field("event") {
                    return Some(Event {
                        name,
                        id: field("id").unwrap(),
                        data: serde_json::from_str(&field("data").unwrap()).unwrap(),
                    });
                }
                continue;
            }
            let chunk = tokio::time::timeout(LIMIT, self.response.chunk())
                .await
                .unwrap()
                .unwrap()?;
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}
