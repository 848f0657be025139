//! Addresses where the API server cannot listen.

use std::net::TcpListener;

use testbed::test_env::{LIMIT, ServerOnly};

use crate::NOWHERE;

#[tokio::test]
async fn address_in_use_ends_the_process_with_the_name_of_its_setting() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let server = ServerOnly::start(&[
        ("SERVE", "results"),
        ("DATABASE_RO_URL", NOWHERE),
        ("METRICS_LISTEN", &address),
    ]);
    let status = server.child.wait(LIMIT).await.unwrap();
    let log = server.child.log_tail();
    assert!(!status.success(), "{log}");
    let expected = format!("METRICS_LISTEN: cannot listen at {address}: Address already in use");
    assert!(log.contains(&expected), "{log}");
}
