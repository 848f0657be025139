//! When slots are due, how long they are fresh, and where the next one is.

use super::*;

#[tokio::test]
async fn slot_is_stale_after_slack() {
    let server = Server::migrated().await;
    let gate = Gate::new(GateSettings {
        slack: Duration::from_millis(100),
        ..settings(&server)
    })
    .unwrap();
    let mut turn = gate.acquire(TIMEOUT).await.unwrap();
    let slot = fresh_slot(&mut turn).await;
    eventually("it is stale", async || !slot.is_fresh()).await;
    let began = now(&server).await;
    turn.finish(RequestOutcome::Failed, None).await.unwrap();
    // Moved again at the end of the request.
    assert!(
        time(&server, "next_slot")
            .await
            .duration_since(began)
            .unsigned_abs()
            >= INTERVAL
    );
}

/// Far longer than a test, so that the next slot is never due.
fn slow_gate(server: &Server) -> Gate {
    Gate::new(GateSettings {
        interval: LONG,
        slack: LONG * 2,
        max_slack: LONG * 4,
        ..settings(server)
    })
    .unwrap()
}

#[tokio::test]
async fn next_slot_is_an_interval_after_request_had_arrived() {
    let server = Server::migrated().await;
    let ms = Duration::from_millis;
    for ago in [ms(0), ms(30_000), LONG * 2] {
        server
            .execute(
                "arxiv_sequence",
                "update arxiv_gate set next_slot = clock_timestamp()",
            )
            .await;
        let mut turn = slow_gate(&server).acquire(TIMEOUT).await.unwrap();
        turn.slot(TIMEOUT).await.unwrap();
        let began = now(&server).await;
        let arrived = std::time::Instant::now().checked_sub(ago).unwrap();
        turn.finish(RequestOutcome::Answered, Some(arrived))
            .await
            .unwrap();
        let ended = now(&server).await;
        let next_slot = time(&server, "next_slot").await;
        // Never earlier, and later by no more than the correction of a clock.
        assert!(next_slot >= began - ago + LONG, "{ago:?}: {next_slot} {began}");
        assert!(
            next_slot <= ended - ago + LONG + ms(10),
            "{ago:?}: {next_slot} {ended}"
        );
    }
}

#[tokio::test]
async fn next_slot_stays_where_it_was_taken_when_nothing_is_known_of_arrival() {
    let server = Server::migrated().await;
    let mut turn = slow_gate(&server).acquire(TIMEOUT).await.unwrap();
    let began = now(&server).await;
    turn.slot(TIMEOUT).await.unwrap();
    let taken = time(&server, "next_slot").await;
    assert!(taken >= began + LONG * 3);
    turn.finish(RequestOutcome::Failed, None).await.unwrap();
    assert_eq!(time(&server, "next_slot").await, taken);
}

/// The request may be sent until the slack after that is over, whatever becomes of its process.
#[tokio::test]
async fn slot_that_is_taken_before_it_is_due_counts_from_then() {
    let server = Server::migrated().await;
    let gate = slow_gate(&server);
    let mut turn = gate.acquire(TIMEOUT).await.unwrap();
    turn.slot(TIMEOUT).await.unwrap();
    let arrived = std::time::Instant::now();
    turn.finish(RequestOutcome::Answered, Some(arrived))
        .await
        .unwrap();
    let due = time(&server, "next_slot").await;
    let mut turn = gate.acquire(TIMEOUT).await.unwrap();
    let waiting = tokio::spawn(async move { turn.slot(LONG * 2).await.map(drop) });
    eventually("the slot is taken", async || {
        server
            .value::<bool>("arxiv_sequence", "select request_open from arxiv_gate")
            .await
    })
    .await;
    assert_eq!(time(&server, "next_slot").await, due + LONG * 3);
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn slot_is_not_returned_before_it_is_due() {
    let server = Server::migrated().await;
    let gate = Gate::new(settings(&server)).unwrap();
    for _ in 0..3 {
        let mut turn = gate.acquire(TIMEOUT).await.unwrap();
        let due = time(&server, "next_slot").await;
        turn.slot(TIMEOUT).await.unwrap();
        assert!(now(&server).await >= due);
        let arrived = std::time::Instant::now();
        turn.finish(RequestOutcome::Answered, Some(arrived))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn lease_follows_the_last_one_unless_another_process_took_a_slot() {
    let server = Server::migrated().await;
    let (first, second) = (gate(&server), gate(&server));
    let lease = async |gate: &Gate| gate.acquire(TIMEOUT).await.unwrap();
    let unknown = first.last_lease();
    let turn = lease(&first).await;
    assert!(
        !turn.follows(unknown),
        "nothing is known of leases before the first"
    );
    turn.release().await;
    request(&first, &server).await;
    let last = first.last_lease();
    assert_ne!(last, unknown);
    lease(&second).await.release().await;
    let turn = lease(&first).await;
    assert!(turn.follows(last), "the other one took no slot");
    assert!(!turn.follows(unknown));
    turn.release().await;
    // One of this process, since the last lease was asked for.
    request(&first, &server).await;
    let turn = lease(&first).await;
    assert!(!turn.follows(last));
    turn.release().await;

    let last = first.last_lease();
    request(&second, &server).await;
    let turn = lease(&first).await;
    assert!(!turn.follows(last));
    turn.release().await;
    request(&first, &server).await;
    let last = first.last_lease();
    let mut broken = lease(&second).await;
    broken.slot(TIMEOUT).await.unwrap();
    drop(broken);
    let turn = lease(&first).await;
    assert!(!turn.follows(last), "its request may be open");
    turn.release().await;
}

/// Its answer alone takes longer than a slot is good for with a database nearby.
#[tokio::test]
async fn slot_is_fresh_for_longer_when_database_is_distant() {
    let server = Server::migrated().await;
    let way = Proxy::start(address_of(&server.postgres)).await.unwrap();
    let gate = Gate::new(GateSettings {
        address: server.url_by(&way, "arxiv_upstream", "arxiv_sequence").into(),
        slack: Duration::from_millis(20),
        ..settings(&server)
    })
    .unwrap();
    let delay = Duration::from_millis(60);
    way.set(ProxyMode::Slow(delay));
    for _ in 0..2 {
        let mut turn = gate.acquire(TIMEOUT).await.unwrap();
        let asked = now(&server).await;
        fresh_slot(&mut turn).await;
        // And the next one is as much farther.
        let next_slot = time(&server, "next_slot").await;
        assert!(next_slot.duration_since(asked).unsigned_abs() > INTERVAL + delay * 2);
        turn.finish(RequestOutcome::Answered, None).await.unwrap();
    }
}

#[tokio::test]
async fn gate_continues_when_clock_is_set_back() {
    let server = Server::migrated().await;
    server
        .execute(
            "arxiv_sequence",
            "update arxiv_gate set next_slot = now() + interval '1 year'",
        )
        .await;
    let mut turn = gate(&server).acquire(TIMEOUT).await.unwrap();
    turn.slot(SOON).await.unwrap();
    turn.release().await;
}
