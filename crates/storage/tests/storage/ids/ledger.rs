use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use storage::Ledger;
use uuid::Uuid;

use crate::setup::Server;

const LAST: &str = "select last_value from arxiv_sequence";

#[tokio::test]
async fn ledger_returns_same_id_when_asked_again() {
    let server = Server::migrated().await;
    let ledger = Ledger::new(server.pool("arxiv_operator", "arxiv_sequence"));
    let uid = Uuid::new_v4();
    let number = ledger.assign(uid).await.unwrap();
    for _ in 0..5 {
        assert_eq!(ledger.assign(uid).await.unwrap(), number);
    }
    assert_eq!(server.value::<i64>("arxiv_sequence", LAST).await, number);
    assert_eq!(ledger.assign(Uuid::new_v4()).await.unwrap(), number + 1);
}

#[tokio::test]
async fn ledger_assigns_one_id_to_concurrent_callers() {
    let server = Server::migrated().await;
    // As two processes: each with its own pool.
    let ledgers = [(), ()].map(|()| Ledger::new(server.pool("arxiv_operator", "arxiv_sequence")));
    let uids: Vec<Uuid> = (0..10).map(|_| Uuid::new_v4()).collect();
    let calls = uids
        .iter()
        .flat_map(|uid| ledgers.iter().cycle().take(8).map(|ledger| ledger.assign(*uid)));
    let numbers: Vec<i64> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    for of_one in numbers.chunks(8) {
        assert_eq!(of_one, [of_one[0]; 8]);
    }
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), uids.len());
    assert_eq!(
        server.value::<i64>("arxiv_sequence", LAST).await,
        10,
        "numbers were burnt"
    );
}

#[tokio::test]
async fn ledger_assigns_ids_together_in_the_order_of_callers() {
    let server = Server::migrated().await;
    let ledger = Ledger::new(server.pool("arxiv_operator", "arxiv_sequence"));
    let known = ledger.assign(Uuid::from_u128(7)).await.unwrap();
    let uids = [1, 9, 7, 5, 9, 8].map(Uuid::from_u128);
    let numbers = join_all(uids.iter().map(|uid| ledger.assign(*uid))).await;
    let numbers: Vec<_> = numbers.into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, [2, 3, known, 4, 3, 5]);
    assert_eq!(server.value::<i64>("arxiv_sequence", LAST).await, 5);
    for (uid, number) in uids.iter().zip(numbers) {
        assert_eq!(ledger.assign(*uid).await.unwrap(), number);
    }
}

#[tokio::test]
async fn ledger_reassigns_once_when_id_is_taken() {
    let server = Server::migrated().await;
    let ledger = Ledger::new(server.pool("arxiv_operator", "arxiv_sequence"));
    let uid = Uuid::new_v4();
    let taken = ledger.assign(uid).await.unwrap();
    // Two that found the same number taken agree on the new one.
    let replaced = join_all((0..4).map(|_| ledger.reassign(uid, taken))).await;
    let replaced: BTreeSet<i64> = replaced.into_iter().map(Result::unwrap).collect();
    assert_eq!(replaced, BTreeSet::from([taken + 1]));
    assert_eq!(ledger.assign(uid).await.unwrap(), taken + 1);
}

#[tokio::test]
async fn ledger_lists_and_prunes_entries_of_deleted_objects() {
    let server = Server::migrated().await;
    let ledger = Ledger::new(server.pool("arxiv_operator", "arxiv_sequence"));
    let mut uids: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
    for uid in &uids {
        ledger.assign(*uid).await.unwrap();
    }
    uids.sort_unstable();
    assert!(
        ledger
            .uids(Duration::from_hours(1), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(ledger.uids(Duration::ZERO, None, 2).await.unwrap(), uids[..2]);
    assert_eq!(
        ledger.uids(Duration::ZERO, Some(uids[1]), 10).await.unwrap(),
        uids[2..]
    );
    assert_eq!(ledger.prune(&uids[..3]).await.unwrap(), 3);
    assert_eq!(ledger.prune(&uids[..3]).await.unwrap(), 0);
    assert_eq!(ledger.uids(Duration::ZERO, None, 10).await.unwrap(), uids[3..]);
}
