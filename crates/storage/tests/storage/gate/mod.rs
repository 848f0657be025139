//! The gate: its lock, between callers and processes, and the pauses that arXiv asks for.

mod slots;

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use storage::{Gate, GateError, GateLease, GateSettings, RequestOutcome, Slot};
use testbed::net::{Proxy, ProxyMode};
use tokio::time::{Instant, timeout};

use crate::setup::{Server, address_of, eventually};

const INTERVAL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_mins(1);
const LONG: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_secs(20);
/// Sessions that hold the gate's lock, or wait for it.
const HOLDERS: &str = "select count(*) from pg_locks where locktype = 'advisory' and granted";
const WAITERS: &str = "select count(*) from pg_locks where locktype = 'advisory' and not granted";

fn settings(server: &Server) -> GateSettings {
    GateSettings {
        address: server.url("arxiv_upstream", "arxiv_sequence").into(),
        interval: INTERVAL,
        slack: Duration::from_secs(1),
        max_slack: Duration::from_secs(1),
        cooldown_base: Duration::from_millis(200),
        cooldown_cap: Duration::from_millis(1500),
        application_name: "gate-tests".into(),
    }
}

/// A process of its own: its own queue and connection.
fn gate(server: &Server) -> Gate {
    Gate::new(GateSettings {
        slack: Duration::from_millis(20),
        ..settings(server)
    })
    .unwrap()
}

/// The database's clock.
async fn now(server: &Server) -> Timestamp {
    let micros: i64 = server
        .value(
            "postgres",
            "select (extract(epoch from clock_timestamp()) * 1000000)::bigint",
        )
        .await;
    Timestamp::from_microsecond(micros).unwrap()
}

/// The first of a few slots that is fresh: on a busy machine an answer may take longer than it is good for.
async fn fresh_slot(turn: &mut GateLease) -> Slot {
    for _ in 0..5 {
        let slot = turn.slot(TIMEOUT).await.unwrap();
        if slot.is_fresh() {
            return slot;
        }
    }
    panic!("no slot is ever fresh")
}

/// A request: waits for turn and slot, "asks", and gives the time by the database's clock.
async fn request(gate: &Gate, server: &Server) -> (Timestamp, Timestamp) {
    let mut turn = gate.acquire(TIMEOUT).await.unwrap();
    while !turn.slot(TIMEOUT).await.unwrap().is_fresh() {}
    let began = now(server).await;
    let arrived = std::time::Instant::now();
    let ended = now(server).await;
    turn.finish(RequestOutcome::Answered, Some(arrived))
        .await
        .unwrap();
    (began, ended)
}

#[tokio::test]
async fn gate_keeps_interval_and_exclusion_between_processes() {
    let server = Server::migrated().await;
    let gates = [gate(&server), gate(&server), gate(&server)];
    let requests = (0..18).map(|n| request(&gates[n % 3], &server));
    let mut times = join_all(requests).await;
    times.sort_unstable();
    for pair in times.windows(2) {
        let ((began, ended), (next, _)) = (pair[0], pair[1]);
        assert!(
            next.duration_since(began).unsigned_abs() >= INTERVAL && next >= ended,
            "{began} {next}"
        );
    }
    assert_eq!(server.value::<i64>("postgres", HOLDERS).await, 0);
    // Connections are kept from turn to turn: one for each process.
    let connections = "select count(*) from pg_stat_activity where application_name = 'gate-tests'";
    assert_eq!(server.value::<i64>("postgres", connections).await, 3);
}

#[tokio::test]
async fn gate_serves_callers_of_one_process_in_order() {
    let server = Server::migrated().await;
    let gate = gate(&server);
    let turn = gate.acquire(TIMEOUT).await.unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let waiters = (0..6).map(|n| {
        let (gate, order) = (&gate, &order);
        async move {
            let turn = gate.acquire(TIMEOUT).await.unwrap();
            order.lock().unwrap().push(n);
            turn.release().await;
        }
    });
    tokio::join!(join_all(waiters), turn.release());
    assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn gate_is_free_and_lease_is_lost_when_holder_is_killed() {
    let server = Server::migrated().await;
    let (first, second) = (gate(&server), gate(&server));
    let mut turn = first.acquire(TIMEOUT).await.unwrap();
    turn.slot(TIMEOUT).await.unwrap();
    let kill = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted";
    server.value::<bool>("postgres", kill).await;
    let killed = Instant::now();
    let error = timeout(SOON, turn.lost()).await.expect("the loss is noticed");
    assert!(error.is_unavailable(), "{error:?}");
    // Sooner than that of a server that hangs.
    let elapsed = killed.elapsed();
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    // The lost turn cannot end as if nothing had happened.
    assert!(turn.finish(RequestOutcome::Answered, None).await.is_err());

    let mut next = timeout(SOON, second.acquire(TIMEOUT)).await.unwrap().unwrap();
    next.slot(TIMEOUT).await.unwrap();
    next.release().await;
    first.acquire(TIMEOUT).await.unwrap().release().await;
}

/// The lock is free the moment its connection breaks, and its holder learns of it later: the next one has to wait for that.
#[tokio::test]
async fn slot_waits_for_previous_request_when_its_lock_was_lost() {
    let server = Server::migrated().await;
    let (first, second) = (gate(&server), gate(&server));
    let mut turn = first.acquire(TIMEOUT).await.unwrap();
    turn.slot(TIMEOUT).await.unwrap();
    let waiting = tokio::spawn(async move {
        let mut turn = second.acquire(TIMEOUT).await.unwrap();
        let entered = Instant::now();
        turn.slot(TIMEOUT).await.unwrap();
        let took = Instant::now();
        turn.finish(RequestOutcome::Answered, None).await.unwrap();
        // Only after a break: the turn before ended as it should.
        let mut turn = second.acquire(TIMEOUT).await.unwrap();
        let again = Instant::now();
        turn.slot(TIMEOUT).await.unwrap();
        turn.release().await;
        (entered, took, again.elapsed())
    });
    eventually("the second one waits", async || {
        server.value::<i64>("postgres", WAITERS).await == 1
    })
    .await;
    let kill = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted";
    server.value::<bool>("postgres", kill).await;
    turn.lost().await;
    let dropped = Instant::now();
    let (entered, took, again) = waiting.await.unwrap();
    assert!(
        entered < took && dropped < took,
        "{:?} {:?}",
        took - entered,
        dropped - entered
    );
    // Less than the wait after a break.
    assert!(again < Duration::from_secs(2), "{again:?}");
}

#[tokio::test]
async fn lease_is_lost_when_server_hangs() {
    let server = Server::migrated().await;
    let gate = gate(&server);
    let mut turn = gate.acquire(TIMEOUT).await.unwrap();
    server.postgres.freeze();
    let lost = timeout(SOON, turn.lost()).await;
    server.postgres.thaw();
    assert!(lost.expect("the hang is noticed").is_unavailable());
}

#[tokio::test]
async fn gate_is_free_when_lease_or_waiter_is_dropped() {
    let server = Server::migrated().await;
    let (first, second) = (gate(&server), gate(&server));
    let turn = first.acquire(TIMEOUT).await.unwrap();
    {
        let mut waiting = Box::pin(second.acquire(TIMEOUT));
        let waits = eventually("it waits", async || {
            server.value::<i64>("postgres", WAITERS).await == 1
        });
        tokio::select! {
            _ = &mut waiting => panic!("two turns at once"),
            () = waits => {}
        }
    }
    eventually("the waiter is gone", async || {
        server.value::<i64>("postgres", WAITERS).await == 0
    })
    .await;
    assert_eq!(server.value::<i64>("postgres", HOLDERS).await, 1);
    drop(turn);
    eventually("the turn is over", async || {
        server.value::<i64>("postgres", HOLDERS).await == 0
    })
    .await;
    request(&second, &server).await;
}

#[tokio::test]
async fn gate_waits_are_bounded_by_timeout() {
    let server = Server::migrated().await;
    let (first, second) = (gate(&server), gate(&server));
    let turn = first.acquire(TIMEOUT).await.unwrap();
    let short = Duration::from_millis(200);
    // In the process' queue, and in everybody's.
    for gate in [&first, &second] {
        let began = Instant::now();
        let refused = timeout(SOON, gate.acquire(short)).await.unwrap();
        let refused = refused.err().expect("the gate is held");
        assert!(matches!(refused, GateError::Busy { .. }), "{refused:?}");
        assert!(began.elapsed() >= short);
    }
    assert_eq!(server.value::<i64>("postgres", WAITERS).await, 0);
    turn.release().await;

    // And for a slot that is far.
    let slow = Gate::new(GateSettings {
        interval: LONG,
        ..settings(&server)
    })
    .unwrap();
    let mut turn = slow.acquire(TIMEOUT).await.unwrap();
    let began = Instant::now();
    turn.slot(TIMEOUT).await.unwrap();
    let refused = timeout(SOON, turn.slot(short)).await.unwrap();
    let GateError::Busy { retry_after } = refused.unwrap_err() else {
        panic!("another error")
    };
    assert!(retry_after + began.elapsed() > LONG, "{retry_after:?}");
    turn.release().await;
}

/// A time in the gate's row.
async fn time(server: &Server, column: &str) -> Timestamp {
    let micros = format!("select (extract(epoch from {column}) * 1000000)::bigint from arxiv_gate");
    Timestamp::from_microsecond(server.value("arxiv_sequence", &micros).await).unwrap()
}

async fn throttled_in_a_row(server: &Server) -> i32 {
    let sql = "select throttled_in_a_row from arxiv_gate";
    server.value("arxiv_sequence", sql).await
}

#[tokio::test]
async fn cool_down_is_shared_and_grows() {
    let server = Server::migrated().await;
    let (first, second) = (gate(&server), gate(&server));
    let throttled = |retry_after| RequestOutcome::Throttled { retry_after };
    let ms = Duration::from_millis;
    // What is asked for, and the pause that comes of it: 200 ms doubled each time, at most 1.5 s.
    let cases = [
        (throttled(None), 200),
        (throttled(Some(ms(900))), 900),
        (throttled(Some(Duration::ZERO)), 800),
        (throttled(Some(Duration::from_hours(1))), 1500),
        (throttled(None), 1500),
    ];
    let mut refused = 0;
    for (n, (outcome, pause)) in cases.into_iter().enumerate() {
        let mut turn = first.acquire(TIMEOUT).await.unwrap();
        turn.slot(TIMEOUT).await.unwrap();
        let began = now(&server).await;
        let until = turn.finish(outcome, None).await.unwrap().expect("cooling down");
        let ended = now(&server).await;
        // The first is less than nothing where the pause was over before anybody looked.
        let (least, most) = (until.duration_since(ended), until.duration_since(began));
        let pause = SignedDuration::from_millis(pause);
        assert!(least <= pause && pause <= most, "case {n}: {least:?} {most:?}");
        assert_eq!(
            (
                time(&server, "cooldown_until").await,
                throttled_in_a_row(&server).await
            ),
            (until, i32::try_from(n).unwrap() + 1)
        );

        // The other process knows, and asks only after it.
        let mut turn = second.acquire(TIMEOUT).await.unwrap();
        match turn.slot(Duration::ZERO).await {
            Err(GateError::CoolingDown { until: end, .. }) => {
                assert_eq!(end, until);
                refused += 1;
                turn.slot(TIMEOUT).await.unwrap();
            }
            // This machine was slower than a short pause, or it ended just now.
            Ok(_) => {}
            Err(GateError::Busy { .. }) => {
                turn.slot(TIMEOUT).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
        assert!(now(&server).await >= until);
        turn.release().await;
    }
    assert!(refused > 0, "nobody was refused");
    // No answer changes nothing; a good one ends the row.
    for (outcome, in_a_row) in [(RequestOutcome::Failed, 5), (RequestOutcome::Answered, 0)] {
        let mut turn = second.acquire(TIMEOUT).await.unwrap();
        turn.slot(TIMEOUT).await.unwrap();
        assert_eq!(turn.finish(outcome, None).await.unwrap(), None);
        assert_eq!(throttled_in_a_row(&server).await, in_a_row);
    }
}

#[tokio::test]
async fn lease_can_be_sent_to_another_task() {
    let server = Server::migrated().await;
    let gate = gate(&server);
    tokio::spawn(async move {
        let mut turn = gate.acquire(TIMEOUT).await.unwrap();
        turn.slot(TIMEOUT).await.unwrap();
        tokio::select! {
            error = turn.lost() => panic!("{error}"),
            () = tokio::task::yield_now() => {}
        }
        turn.finish(RequestOutcome::Answered, None).await.unwrap();
    })
    .await
    .unwrap();
}
