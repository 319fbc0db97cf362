//! Transactions larger than a command may be: what goes ahead of their commit is seen by nobody, all or nothing of it stays.

use super::*;
use crate::machine::staged;

/// Rows of a megabyte; with four shards more than one command may carry on each.
const ROWS: usize = 40;

fn name(number: usize) -> String {
    format!("row{number:03}")
}

fn large(value: i64) -> Row {
    vec![
        Datum::Text("x".into()),
        Datum::Int8(value),
        Datum::Text("y".repeat(1 << 20).into()),
    ]
}

/// A transaction that has put all rows, and an index entry for each.
async fn large_transaction(fixture: &Fixture, value: i64, rows: usize) -> Transaction {
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    for number in 0..rows {
        lock_row(&transaction, &name(number), Mode::Exclusive).await.unwrap();
        let key = key(&name(number));
        transaction.write(TABLE, &key, RowWrite::Put(large(value))).unwrap();
        transaction
            .write_index(TABLE, INDEX, false, &Key::from_static(b"v"), &key, true)
            .unwrap();
    }
    transaction.next_command();
    transaction
}

async fn sum(fixture: &Fixture) -> (usize, i64) {
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    let rows: Vec<_> = transaction.scan(TABLE, KeyRange::default(), false).collect().await;
    let values = rows
        .into_iter()
        .flat_map(|batch| batch.unwrap())
        .map(|(_, row)| match row[1] {
            Datum::Int8(value) => value,
            _ => panic!("not a number"),
        });
    values.fold((0, 0), |(count, sum), value| (count + 1, sum + value))
}

fn staged_count(fixture: &Fixture) -> usize {
    let shards = fixture.node.inner.local_leaders().into_iter();
    shards
        .map(|shard| staged::all(&shard.group.family()).unwrap().len())
        .sum()
}

#[tokio::test]
async fn a_large_transaction_over_several_shards_commits_whole() {
    let fixture = Fixture::new().await;
    let transaction = large_transaction(&fixture, 1, ROWS).await;
    assert_eq!(sum(&fixture).await, (0, 0));
    transaction.commit().await.unwrap();
    assert_eq!(sum(&fixture).await, (ROWS, ROWS as i64));
    assert_eq!(staged_count(&fixture), 0);
    fixture.check().await;
    let fixture = fixture.crash().await;
    assert_eq!(sum(&fixture).await, (ROWS, ROWS as i64));
    // Its locks are free again.
    fixture.put(&[("row001", 7)]).await;
    fixture.check().await;
}

#[tokio::test]
async fn a_large_transaction_on_one_shard_commits_in_one_phase() {
    let fixture = Fixture::new().await;
    let shard = fixture.node.inner.placement.row(TABLE, &key(&name(0)));
    let own: Vec<usize> = (0..80)
        .filter(|number| fixture.node.inner.placement.row(TABLE, &key(&name(*number))) == shard)
        .take(12)
        .collect();
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    for number in &own {
        lock_row(&transaction, &name(*number), Mode::Exclusive).await.unwrap();
        transaction
            .write(TABLE, &key(&name(*number)), RowWrite::Put(large(1)))
            .unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(sum(&fixture).await, (own.len(), own.len() as i64));
    fixture.put(&[(&name(0), 7)]).await;
    fixture.check().await;
}

#[tokio::test]
async fn what_a_crash_leaves_of_a_large_transaction_is_nothing_or_all() {
    for (point, expected) in [
        ("staged", (0, 0)),
        ("prepared", (0, 0)),
        ("decided", (ROWS, ROWS as i64)),
    ] {
        let fixture = Fixture::new().await;
        *fixture.node.inner.crash_at.lock() = Some(point);
        let transaction = large_transaction(&fixture, 1, ROWS).await;
        let coordinator = tokio::spawn(async move { transaction.commit().await.map(drop) });
        while fixture.node.inner.crash_at.lock().is_some() {
            assert!(!coordinator.is_finished(), "the coordinator dies at {point}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for shard in &fixture.node.inner.local_leaders() {
            shard.settle().await;
        }
        assert!(point == "decided" || staged_count(&fixture) > 0, "at {point}");
        let fixture = fixture.crash().await;
        coordinator.abort();
        assert_eq!(sum(&fixture).await, expected, "at {point}");
        assert_eq!(staged_count(&fixture), 0, "at {point}");
        fixture.check().await;
    }
}

#[tokio::test]
async fn a_commit_that_fails_forgets_what_it_staged() {
    let fixture = Fixture::new().await;
    let transaction = large_transaction(&fixture, 1, ROWS).await;
    // Its locks on one shard fall with the epoch.
    let shard = fixture.node.inner.local_leaders()[2].clone();
    let epoch = shard.core().epoch;
    shard.on_rejected(epoch, &TxnError::locks_lost());
    transaction.commit().await.unwrap_err();
    assert_eq!(sum(&fixture).await, (0, 0));
    for shard in &fixture.node.inner.local_leaders() {
        shard.settle().await;
    }
    assert_eq!(staged_count(&fixture), 0);
    fixture.check().await;
}

#[tokio::test]
async fn a_savepoint_reaches_behind_what_was_set_aside() {
    let fixture = Fixture::new().await;
    let transaction = large_transaction(&fixture, 1, 10).await;
    let mark = transaction.savepoint();
    let inner = &transaction.inner;
    inner
        .state
        .lock()
        .buffer
        .set_aside(&inner.node.engine, inner.id)
        .unwrap();
    for number in 5..20 {
        lock_row(&transaction, &name(number), Mode::Exclusive).await.unwrap();
        let key = key(&name(number));
        transaction.write(TABLE, &key, RowWrite::Put(large(100))).unwrap();
    }
    inner
        .state
        .lock()
        .buffer
        .set_aside(&inner.node.engine, inner.id)
        .unwrap();
    transaction.rollback_to(mark).await.unwrap();
    transaction.next_command();
    let own = transaction.get(TABLE, &key(&name(5))).await.unwrap();
    assert_eq!(own.map(|row| row[1] == Datum::Int8(1)), Some(true));
    transaction.commit().await.unwrap();
    assert_eq!(sum(&fixture).await, (10, 10));
    fixture.check().await;
}
