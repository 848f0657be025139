//! A process's connection to the gate's database is reset while its request to arXiv is open, and another process waits.

use std::time::Duration;

use testbed::{
    Stack,
    arxiv::Behaviour,
    http_get,
    stack::{Options, Server},
};

const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn broken_gate_connection_never_causes_two_requests_at_once() {
    let stack = Stack::start(Options {
        operators: 0,
        api_servers: vec!["arxiv-api".into(); 2],
        min_interval: Duration::from_millis(60),
        proxies: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let arxiv = stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        delay_ms: 4_000,
        total: Some(100),
        ..Behaviour::default()
    });
    for round in 0..3 {
        arxiv.clear_record();
        let ask = |n: usize| {
            let url = stack.api_servers[n]
                .url()
                .join(&format!("arxiv-api?title=round{round}of{n}"))
                .unwrap();
            tokio::spawn(async move { http_get(url).await.unwrap() })
        };
        let first = ask(0);
        arxiv.wait_for_requests(1, LIMIT).await.unwrap();
        let second = ask(1);
        // Waiting behind the first one, or about to: both cases are worth testing.
        stack.api_servers[0].proxy(Server::Primary).unwrap().reset();
        let ((lost, _), (answered, body)) = (first.await.unwrap(), second.await.unwrap());
        assert_eq!((lost, answered), (503, 200), "{body}");
        assert_eq!(arxiv.max_open(), 1, "round {round}");
    }
}
