//! Crashes between the steps of a commit over several shards.

use super::*;

/// Starts a transfer over all shards, lets its coordinator die at a crash point, and opens what the crash left.
async fn crash_at(point: &'static str) -> Fixture {
    let fixture = Fixture::new().await;
    let names: Vec<String> = (0..20).map(|number| format!("row{number}")).collect();
    let rows: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    fixture.put(&rows).await;
    *fixture.node.inner.crash_at.lock() = Some(point);
    let transaction = fixture.begin();
    for name in &names {
        add(&transaction, name, 1).await.unwrap();
    }
    let commit = async { transaction.commit().await.map(drop) };
    let died = tokio::time::timeout(Duration::from_millis(300), commit).await;
    assert!(died.is_err(), "the coordinator dies at {point}");
    fixture.crash().await
}

async fn total(fixture: &Fixture) -> i64 {
    let mut sum = 0;
    for number in 0..20 {
        sum += fixture.value(&format!("row{number}")).await.unwrap();
    }
    sum
}

#[tokio::test]
async fn a_coordinator_that_dies_before_the_decision_has_done_nothing() {
    let fixture = crash_at("prepared").await;
    assert_eq!(total(&fixture).await, 20);
    fixture.check().await;
    let fixture = fixture.crash().await;
    assert_eq!(total(&fixture).await, 20);
}

#[tokio::test]
async fn a_coordinator_that_dies_after_the_decision_has_done_everything() {
    let fixture = crash_at("decided").await;
    assert_eq!(total(&fixture).await, 40);
    fixture.check().await;
    let fixture = fixture.crash().await;
    assert_eq!(total(&fixture).await, 40);
    fixture.check().await;
}

#[tokio::test]
async fn a_reader_waits_for_the_decision_of_what_it_would_see() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]).await;
    *fixture.node.inner.crash_at.lock() = Some("prepared");
    let transaction = fixture.begin();
    for name in ["a", "b", "c", "d", "e"] {
        add(&transaction, name, 1).await.unwrap();
    }
    let before = fixture.begin();
    before.begin_statement(true).await.unwrap();
    let commit = async { transaction.commit().await.map(drop) };
    assert!(tokio::time::timeout(Duration::from_millis(300), commit).await.is_err());
    // A snapshot from before the first Prepare does not wait, a later one does: it cannot know.
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(value_of(before.get(TABLE, &key(name)).await.unwrap()), Some(1));
    }
    let after = fixture.begin();
    after.begin_statement(true).await.unwrap();
    let mut waiting = 0;
    for name in ["a", "b", "c", "d", "e"] {
        let key = key(name);
        let get = after.get(TABLE, &key);
        tokio::pin!(get);
        waiting += usize::from(futures::poll!(&mut get).is_pending());
    }
    assert!(waiting > 0);
}

/// The coordinator dies and its node does not: its participants ask, the anchor decides ABORT, and the locks are free.
#[tokio::test]
async fn what_a_dead_coordinator_prepared_is_aborted_by_its_anchor() {
    let fixture = Fixture::new().await;
    let names = ["a", "b", "c", "d", "e"];
    fixture.put(&names.map(|name| (name, 1))).await;
    *fixture.node.inner.crash_at.lock() = Some("prepared");
    let transaction = fixture.begin();
    for name in names {
        add(&transaction, name, 1).await.unwrap();
    }
    let commit = async { transaction.commit().await.map(drop) };
    assert!(tokio::time::timeout(Duration::from_millis(300), commit).await.is_err());
    *fixture.node.inner.crash_at.lock() = None;
    fixture
        .node
        .inner
        .live
        .coordinated(crate::locks::TxnId(transaction.id()));
    let next = fixture.begin();
    for name in names {
        add(&next, name, 10).await.unwrap();
    }
    next.commit().await.unwrap();
    for name in names {
        assert_eq!(fixture.value(name).await, Some(11));
    }
    fixture.check().await;
}

/// Records of decisions go once the horizon has passed their transactions.
#[tokio::test]
async fn decisions_are_forgotten_behind_the_horizon() {
    use crate::machine::records::{Record, all};
    let fixture = Fixture::new().await;
    let names = ["a", "b", "c", "d", "e"];
    fixture.put(&names.map(|name| (name, 1))).await;
    let decisions = || {
        let count = |shard: &Arc<crate::shard::Shard>| all(&shard.view(), Record::Decision).unwrap().len();
        fixture.node.inner.local_leaders().iter().map(count).sum::<usize>()
    };
    assert_eq!(decisions(), 1);
    fixture.check().await;
    for shard in &fixture.node.inner.local_leaders() {
        shard.move_horizon(crate::oracle::clock_ms() + 1).unwrap();
        // The horizon is applied, then what it lets go of is proposed.
        shard.settle().await;
        shard.settle().await;
    }
    assert_eq!(decisions(), 0);
    fixture.check().await;
}

#[tokio::test]
async fn what_became_of_a_commit_can_be_asked_until_the_horizon() {
    use crate::TransactionOutcome::{Aborted, Committed, InProgress};
    use crate::machine::records::{Record, all};
    let fixture = Fixture::new().await;
    let names = ["a", "b", "c", "d", "e"];
    fixture.put(&names.map(|name| (name, 1))).await;
    let [alone, over_shards, rolled_back, open] = [fixture.begin(), fixture.begin(), fixture.begin(), fixture.begin()];
    let ids = [&alone, &over_shards, &rolled_back].map(Transaction::id);
    add(&alone, "a", 1).await.unwrap();
    alone.commit().await.unwrap();
    for name in names {
        add(&over_shards, name, 1).await.unwrap();
    }
    over_shards.commit().await.unwrap();
    add(&rolled_back, "b", 1).await.unwrap();
    rolled_back.rollback().await;
    let outcomes = |fixture: &Fixture| ids.map(|id| fixture.node.outcome(id).unwrap());
    assert_eq!(fixture.node.outcome(open.id()).unwrap(), Some(InProgress));
    drop(open);
    let known = [Some(Committed), Some(Committed), Some(Aborted)];
    assert_eq!(outcomes(&fixture), known);

    let fixture = fixture.crash().await;
    assert_eq!(outcomes(&fixture), known);
    assert!(fixture.begin().id() > ids[2], "numbers are never used twice");
    for shard in &fixture.node.inner.local_leaders() {
        shard.move_horizon(crate::oracle::clock_ms() + 60_000).unwrap();
        shard.settle().await;
        shard.settle().await;
        assert!(all(&shard.view(), Record::Committed).unwrap().is_empty());
    }
    assert_eq!(outcomes(&fixture), [None; 3]);
    // What begins to commit behind the horizon is refused: nobody would know whether it is a repetition.
    let late = fixture.begin();
    add(&late, "a", 1).await.unwrap();
    assert!(is_serialization(&late.commit().await));
    assert_eq!(fixture.value("a").await, Some(3));
}
