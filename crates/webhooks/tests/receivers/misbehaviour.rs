//! Receivers that redirect, stall or never end, and addresses that may not be reached.

use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, header};
use testbed::net::{Receiver, Reply};
use webhooks::{Answer, SendError, Target};

use super::{ID, LOOPBACK, body, items, secrets, sender};

async fn send(networks: &str, url: &str) -> Result<Answer, SendError> {
    let target = Target::parse(url).unwrap();
    sender(networks, None)
        .send(&target, &secrets(), ID, body(&items()))
        .await
}

#[tokio::test]
async fn redirect_is_an_answer_and_is_not_followed() {
    let (receiver, elsewhere) = (Receiver::start().unwrap(), Receiver::start().unwrap());
    let location = HeaderValue::try_from(elsewhere.url()).unwrap();
    for status in [301, 302, 303, 307, 308] {
        let status = StatusCode::from_u16(status).unwrap();
        receiver.set(Reply::Status(status, Some((header::LOCATION, location.clone()))));
        let answer = send(LOOPBACK, &receiver.url()).await.unwrap();
        assert_eq!((answer.status, answer.is_accepted()), (status.as_u16(), false));
    }
    assert_eq!((receiver.received().len(), elsewhere.received().len()), (5, 0));
}

#[tokio::test]
async fn status_and_pause_of_an_answer_are_read() {
    let receiver = Receiver::start().unwrap();
    let pause = Some((header::RETRY_AFTER, HeaderValue::from_static("90")));
    receiver.set(Reply::Status(StatusCode::TOO_MANY_REQUESTS, pause));
    let answer = send(LOOPBACK, &receiver.url()).await.unwrap();
    assert_eq!(
        (answer.status, answer.pause),
        (429, Some(Duration::from_secs(90)))
    );
    receiver.set(Reply::status(410));
    assert!(send(LOOPBACK, &receiver.url()).await.unwrap().is_gone());
    receiver.set(Reply::status(200));
    assert!(send(LOOPBACK, &receiver.url()).await.unwrap().is_accepted());
}

#[tokio::test]
async fn receiver_that_stalls_is_cut_off_and_an_endless_answer_is_not_read_to_its_end() {
    let receiver = Receiver::start().unwrap();
    receiver.set(Reply::Endless);
    let started = Instant::now();
    assert!(send(LOOPBACK, &receiver.url()).await.unwrap().is_accepted());
    assert!(started.elapsed() < Duration::from_secs(9), "64 KiB are enough");
    receiver.set(Reply::Stall);
    let started = Instant::now();
    let error = send(LOOPBACK, &receiver.url()).await.unwrap_err();
    assert!(matches!(error, SendError::TimedOut), "{error:?}");
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(9), "{waited:?}");
    assert!(waited < Duration::from_mins(1), "{waited:?}");
    assert!(!format!("{error:?}").contains("path-secret"));
}

#[tokio::test]
async fn address_that_is_not_public_is_refused_however_it_is_written_and_gets_nothing() {
    let receiver = Receiver::start().unwrap();
    let port = receiver.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
    ] {
        let error = send("", &format!("https://{host}:{port}/")).await.unwrap_err();
        assert!(matches!(error, SendError::Address), "{host}: {error:?}");
        let error = send("", &format!("http://{host}:{port}/")).await.unwrap_err();
        assert!(matches!(error, SendError::Insecure), "{host}: {error:?}");
        let error = send("192.168.0.0/16", &format!("https://{host}:{port}/")).await;
        assert!(matches!(error, Err(SendError::Address)), "{host}: {error:?}");
    }
    // A public address, which nothing is sent to without TLS.
    let error = send(LOOPBACK, "http://1.1.1.1/").await.unwrap_err();
    assert!(matches!(error, SendError::Insecure), "{error:?}");
    assert!(receiver.received().is_empty());
    // By its name, if all its addresses are in the networks that are allowed.
    let answer = send("127.0.0.0/8,::1/128", &format!("http://localhost:{port}/")).await;
    assert!(answer.unwrap().is_accepted());
}
