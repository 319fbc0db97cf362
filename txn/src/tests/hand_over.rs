//! Hand-over (T4): whoever was shown a commit that is on its way waits for it before anything is told, and nobody else does.

use std::future::Future;
use std::pin::pin;

use super::*;

/// Whether what a transaction was shown is still on its way. It is as long as this task does not sleep: these tests run on one
/// thread, which is also the one that applies commands.
fn waits(transaction: &Transaction) -> bool {
    let settle = pin!(transaction.settle());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    settle.poll(&mut context).is_pending()
}

/// Adds under A.
async fn add_to(transaction: &Transaction, name: &str, by: i64) -> Result<(), TxnError> {
    transaction.begin_statement(true).await?;
    let mut request = row_lock(name, RowPart::Path(Path::column(1)), Mode::Add);
    let by = storage::Numeric::from_i64(by);
    request.add = Some(crate::AddIncrement {
        by: by.clone(),
        min: None,
        max: None,
    });
    transaction.lock(vec![request], LockWait::Wait(None)).await?;
    let added = [Path::column(1)];
    transaction
        .read_locked_to_add(TABLE, &key(name), &[], &added, None)
        .await?;
    let operation = PathOp {
        path: Path::column(1),
        action: storage::Action::Add(by),
    };
    transaction.write(TABLE, &key(name), RowWrite::Change(vec![operation]))
}

async fn read(transaction: &Transaction, name: &str, paths: &[Path]) -> Result<crate::LockedRow, TxnError> {
    transaction.read_locked(TABLE, &key(name), paths).await
}

/// Proposes the commit of a transaction and does not wait for it; then goes on.
macro_rules! propose {
    ($transaction:expr, $commit:ident) => {
        let $commit = $transaction.commit();
        tokio::pin!($commit);
        assert!(futures::poll!(&mut $commit).is_pending());
    };
}

#[tokio::test]
async fn an_answer_waits_for_the_commit_it_rests_on() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let [first, reader, other] = [fixture.begin(), fixture.begin(), fixture.begin()];
    add(&first, "a", 1).await.unwrap();
    for transaction in [&reader, &other] {
        transaction.begin_statement(true).await.unwrap();
    }
    // Before: a path that is not known yet is registered, which lets others have their turn.
    lock_path(&other, "a", member("b"), Mode::Exclusive).await.unwrap();
    propose!(first, commit);

    read(&other, "a", &[member("b")]).await.unwrap();
    assert!(!waits(&other), "it looked at another path");
    assert!(other.exists(TABLE, &key("a")).await.unwrap());
    assert!(!waits(&other), "the row was there before");

    lock_path(&reader, "a", Path::column(1), Mode::Exclusive).await.unwrap();
    assert!(!waits(&reader), "nothing was read yet");
    let locked = read(&reader, "a", &[Path::column(1)]).await.unwrap();
    assert_eq!(value_of(locked.row), Some(2));
    assert!(waits(&reader));
    assert!(waits(&reader), "who gave up waiting once waits again");

    reader.settle().await.unwrap();
    assert!(!waits(&reader));
    commit.await.unwrap();
}

#[tokio::test]
async fn an_addition_rests_on_no_other_addition() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let [first, second, third] = [fixture.begin(), fixture.begin(), fixture.begin()];
    add_to(&first, "a", 1).await.unwrap();
    propose!(first, commit);
    add_to(&second, "a", 1).await.unwrap();
    assert!(!waits(&second));
    propose!(second, also);
    add(&third, "a", 1).await.unwrap();
    assert!(waits(&third), "it read the sum");
    commit.await.unwrap();
    also.await.unwrap();
    third.commit().await.unwrap();
    assert_eq!(fixture.value("a").await, Some(4));
    // A value that was set is no addition: who adds to it has seen that it is a number.
    let [setter, adder] = [fixture.begin(), fixture.begin()];
    add(&setter, "a", 1).await.unwrap();
    propose!(setter, set);
    add_to(&adder, "a", 1).await.unwrap();
    assert!(waits(&adder));
    set.await.unwrap();
}

#[tokio::test]
async fn what_is_gone_new_or_changed_rests_on_the_commit_that_made_it_so() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("b", 1)]).await;
    let [deleter, writer, later] = [fixture.begin(), fixture.begin(), fixture.begin()];
    let repeatable = fixture.begin_at(Isolation::RepeatableRead);
    for transaction in [&deleter, &writer, &later, &repeatable] {
        transaction.begin_statement(true).await.unwrap();
    }
    lock_row(&deleter, "a", Mode::Exclusive).await.unwrap();
    deleter.write(TABLE, &key("a"), RowWrite::Delete).unwrap();
    propose!(deleter, delete);
    add(&writer, "b", 1).await.unwrap();
    propose!(writer, write);

    // The error itself tells that a commit was there.
    lock_path(&repeatable, "b", Path::column(1), Mode::Exclusive)
        .await
        .unwrap();
    assert!(is_serialization(&read(&repeatable, "b", &[Path::column(1)]).await));
    assert!(waits(&repeatable));

    let (gone, seen) = later.look_newest(TABLE, &key("a"), None).await.unwrap();
    assert!(
        gone.is_none() && !waits(&later),
        "a look says what to lock, and nothing else"
    );
    later.saw(seen).unwrap();
    assert!(waits(&later));
    delete.await.unwrap();
    write.await.unwrap();
}

#[tokio::test]
async fn what_was_seen_and_lost_is_a_serialization_failure() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let [first, second] = [fixture.begin(), fixture.begin()];
    add(&first, "a", 1).await.unwrap();
    second.begin_statement(true).await.unwrap();
    propose!(first, commit);
    let (row, seen) = second.look_newest(TABLE, &key("a"), None).await.unwrap();
    assert_eq!(value_of(row), Some(2));
    second.saw(seen).unwrap();
    let inner = &fixture.node.inner;
    let shard = inner.shard(inner.placement.row(TABLE, &key("a"))).unwrap();
    let epoch = shard.core().epoch;
    shard.on_rejected(epoch, &TxnError::Unavailable);
    assert!(is_serialization(&second.settle().await));
    assert!(is_serialization(&second.settle().await), "and stays one");
}
