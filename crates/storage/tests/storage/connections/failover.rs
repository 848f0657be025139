//! The primary is lost and its replica takes over, behind the same address.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use storage::{
    Access, Gate, GateSettings, Ledger, PoolSettings, QueryIdTaken, Records, RequestOutcome, Sequence,
};
use testbed::{Postgres, net::Proxy};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    records::objects::record,
    setup::{Server, address_of, eventually, papers, pool_settings},
};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A primary with a replica, and the address that leads to whichever of them is the primary.
struct Pair {
    primary: Server,
    replica: Postgres,
    address: Proxy,
}

impl Pair {
    async fn start(confirmed: bool) -> Self {
        let primary = Server::migrated().await;
        let replica = primary.postgres.replica().await.unwrap();
        if confirmed {
            replica.confirm_commits_of(&primary.postgres).await.unwrap();
        } else {
            replica.wait_replayed(&primary.postgres).await.unwrap();
        }
        let address = Proxy::start(address_of(&primary.postgres)).await.unwrap();
        Self {
            primary,
            replica,
            address,
        }
    }

    fn url(&self, user: &str, database: &str) -> String {
        self.primary.url_by(&self.address, user, database)
    }

    fn pool(&self, user: &str, database: &str) -> storage::Pool {
        storage::Pool::open(self.url(user, database), &pool_settings(Access::ReadWrite)).unwrap()
    }

    fn gate(&self) -> Gate {
        Gate::new(GateSettings {
            interval: Duration::from_secs(3),
            slack: Duration::from_millis(100),
            // So long that it shows whether it is waited for.
            max_slack: Duration::from_secs(4),
            ..GateSettings::new(self.url("arxiv_upstream", "arxiv_sequence"), "gate-tests".into())
        })
        .unwrap()
    }

    /// The replica becomes the primary; new connections lead to it.
    async fn fail_over(&self) {
        self.replica.promote().await.unwrap();
        self.address.route_to(address_of(&self.replica));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Killed,
    Stopped,
    /// Its machine hangs: connections stay open, and nothing answers.
    Frozen,
    /// It goes on as a standby of the new one.
    Demoted,
}

#[tokio::test]
async fn pool_leaves_old_primary_after_fail_over() {
    for end in [End::Killed, End::Stopped, End::Frozen, End::Demoted] {
        let pair = Pair::start(true).await;
        let settings = PoolSettings {
            max_connections: 5,
            ..pool_settings(Access::ReadWrite)
        };
        let pool = storage::Pool::open(pair.url("arxiv_operator", "arxiv_sequence"), &settings).unwrap();
        let ledger = Ledger::new(pool.clone());
        // Callers of one ledger share statements.
        let ledgers: Vec<_> = (0..20).map(|_| Ledger::new(pool.clone())).collect();
        let all = ledgers.iter().map(|ledger| ledger.assign(Uuid::new_v4()));
        let before: BTreeSet<i64> = futures::future::try_join_all(all)
            .await
            .unwrap()
            .into_iter()
            .collect();
        let (idle, busy) = pool.counts();
        assert_eq!((before.len(), idle + busy), (20, 5));
        let old = &pair.primary.postgres;
        match end {
            End::Killed => old.kill9().await.unwrap(),
            End::Stopped => old.stop().await.unwrap(),
            End::Frozen => old.freeze(),
            End::Demoted => {
                // Sessions stay, as where the address is in front of a server that is demoted without a restart.
                old.execute("postgres", "alter system set default_transaction_read_only = on")
                    .await
                    .unwrap();
                old.execute("postgres", "select pg_reload_conf()").await.unwrap();
            }
        }
        pair.fail_over().await;
        let began = Instant::now();
        // One after the other, so that each connection of the pool has its turn.
        let mut after = BTreeSet::new();
        let deadline = began + Duration::from_secs(30);
        while after.len() < 5 {
            assert!(Instant::now() < deadline, "{end:?}: nobody answers");
            after.extend(ledger.assign(Uuid::new_v4()).await);
        }
        let took = began.elapsed();
        println!("{end:?}: numbers again after {took:?}");
        assert!(after.is_disjoint(&before), "{end:?}: {before:?} {after:?}");
        // One connection waits out its time limit, not each.
        assert!(took < Duration::from_secs(14), "{end:?}: {took:?}");
        if end == End::Frozen {
            old.thaw();
        }
    }
}

/// Numbers come out of Postgres' log 32 at a time: those who did not write to it must wait for it all the same.
#[tokio::test]
async fn sequence_repeats_no_id_after_confirmed_fail_over() {
    let pair = Pair::start(true).await;
    let sequence = Sequence::new(pair.pool("arxiv_sequence", "arxiv_sequence"));
    let mut assigned = BTreeSet::from([sequence.next().await.unwrap()]);
    // It gets and confirms nothing from now on.
    pair.replica.stop().await.unwrap();
    let callers: FuturesUnordered<_> = (0..60)
        .map(|_| timeout(Duration::from_secs(3), sequence.next()))
        .collect();
    for next in callers.collect::<Vec<_>>().await.into_iter().flatten().flatten() {
        assert!(assigned.insert(next), "{next} twice");
    }
    pair.primary.postgres.kill9().await.unwrap();
    pair.replica.start_again().await.unwrap();
    pair.fail_over().await;
    let mut next = 0;
    eventually("numbers again", async || match sequence.next().await {
        Ok(number) => {
            next = number;
            true
        }
        Err(_) => false,
    })
    .await;
    assert!(
        assigned.iter().all(|number| *number < next),
        "{next} after {assigned:?}"
    );
}

/// A primary that was started again shows rows that its standby does not have: nobody may be informed of them.
#[tokio::test]
async fn record_is_reported_only_after_standby_confirms() {
    let pair = Pair::start(true).await;
    let pool = pair.pool("arxiv_rw", "arxiv");
    let records = Records::new(pool.clone(), pool, false);
    let (uid, papers) = (Uuid::new_v4(), papers(3));
    pair.replica.stop().await.unwrap();
    // Committed, and waits for the standby.
    let waits =
        "select exists (select from pg_stat_activity where wait_event = 'SyncRep' and usename = 'arxiv_rw')";
    let committed = eventually("it waits for the standby", async || {
        pair.primary.value("postgres", waits).await
    });
    let first = record(uid, 7, &papers);
    tokio::select! {
        reported = records.record(&first) => panic!("reported: {reported:?}"),
        () = committed => {}
    }
    pair.primary.postgres.kill9().await.unwrap();
    pair.primary.postgres.start_again().await.unwrap();
    let count = "select count(*) from queries where query_uid is not null";
    assert_eq!(pair.primary.value::<i64>("arxiv", count).await, 1);

    let found = timeout(Duration::from_secs(3), records.find(uid)).await;
    assert!(!matches!(found, Ok(Ok(_))), "reported: {found:?}");
    let again = timeout(Duration::from_secs(3), records.record(&record(uid, 8, &papers))).await;
    assert!(!matches!(again, Ok(Ok(_))), "reported: {again:?}");
    pair.replica.start_again().await.unwrap();
    eventually("it is reported", async || {
        matches!(records.find(uid).await, Ok(Some(_)))
    })
    .await;
}

/// The new primary may lack the last slot (replication without confirmation): it has to be taken as if it were there.
#[tokio::test]
async fn gate_keeps_interval_when_fail_over_loses_slot() {
    let pair = Pair::start(false).await;
    let (first, second) = (pair.gate(), pair.gate());
    let mut turn = first.acquire(TIMEOUT).await.unwrap();
    turn.slot(TIMEOUT).await.unwrap();
    turn.finish(RequestOutcome::Answered, None).await.unwrap();
    pair.replica.wait_replayed(&pair.primary.postgres).await.unwrap();

    let mut turn = first.acquire(TIMEOUT).await.unwrap();
    // Taken, and not replicated.
    eventually("the slot is due", async || {
        let next = "select next_slot <= clock_timestamp() + interval '500 ms' from arxiv_gate";
        pair.primary.value::<bool>("arxiv_sequence", next).await
    })
    .await;
    pair.replica.stop().await.unwrap();
    turn.slot(TIMEOUT).await.unwrap();
    let asked = Instant::now();
    pair.primary.postgres.kill9().await.unwrap();
    pair.replica.start_again().await.unwrap();
    pair.fail_over().await;
    let lost = tokio::spawn(async move {
        turn.lost().await;
        Instant::now()
    });
    let mut turn = None;
    eventually("the gate is back", async || {
        turn = second.acquire(TIMEOUT).await.ok();
        turn.is_some()
    })
    .await;
    let mut turn = turn.unwrap();
    turn.slot(TIMEOUT).await.unwrap();
    let again = Instant::now();
    println!("the gate's next slot came {:?} after the lost one", again - asked);
    assert!(again - asked >= Duration::from_secs(3), "{:?}", again - asked);
    assert!(lost.await.unwrap() < again);
    turn.finish(RequestOutcome::Answered, None).await.unwrap();
    // And from then on as ever.
    let mut turn = second.acquire(TIMEOUT).await.unwrap();
    let began = Instant::now();
    turn.slot(TIMEOUT).await.unwrap();
    // Less than with the longest slack, 7 s.
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    turn.release().await;
}

/// What docs/failover.md says of replication that nobody waits for: numbers that were assigned are assigned again, to others.
#[tokio::test]
async fn sequence_may_repeat_ids_without_confirmation_and_rows_keep_theirs() {
    let pair = Pair::start(false).await;
    let elsewhere = Server::migrated().await;
    let ledger = Ledger::new(pair.pool("arxiv_operator", "arxiv_sequence"));
    let pool = elsewhere.pool("arxiv_rw", "arxiv");
    let records = Records::new(pool.clone(), pool, false);
    ledger.assign(Uuid::new_v4()).await.unwrap();
    pair.replica.wait_replayed(&pair.primary.postgres).await.unwrap();
    pair.replica.stop().await.unwrap();
    let mut assigned = BTreeSet::new();
    for _ in 0..40 {
        assigned.insert(ledger.assign(Uuid::new_v4()).await.unwrap());
    }
    let (recorded, papers) = (*assigned.last().unwrap(), papers(2));
    records
        .record(&record(Uuid::new_v4(), recorded, &papers))
        .await
        .unwrap()
        .unwrap();
    pair.primary.postgres.kill9().await.unwrap();
    pair.replica.start_again().await.unwrap();
    pair.fail_over().await;

    let uid = Uuid::new_v4();
    let mut number = 0;
    eventually("the recorded number is assigned again", async || {
        number = match ledger.reassign(uid, number).await {
            Ok(number) => number,
            Err(_) => return false,
        };
        assert!(number <= recorded, "{number}");
        number == recorded
    })
    .await;
    // Existing rows are a fence: a caller that got the number again takes another.
    let outcome = records.record(&record(uid, number, &papers)).await.unwrap();
    assert_eq!(outcome, Err(QueryIdTaken));
}
