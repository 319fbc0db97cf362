//! Isolation levels, anomaly by anomaly, with the locks a planner would ask for.

use super::*;

#[tokio::test]
async fn a_snapshot_of_repeatable_read_does_not_move_and_one_of_read_committed_does() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let repeatable = fixture.begin_at(Isolation::RepeatableRead);
    let committed = fixture.begin();
    for transaction in [&repeatable, &committed] {
        transaction.begin_statement(true).await.unwrap();
        assert_eq!(value_of(transaction.get(TABLE, &key("a")).await.unwrap()), Some(1));
    }
    fixture.put(&[("a", 2), ("b", 1)]).await;
    for transaction in [&repeatable, &committed] {
        transaction.begin_statement(true).await.unwrap();
    }
    assert_eq!(value_of(repeatable.get(TABLE, &key("a")).await.unwrap()), Some(1));
    assert_eq!(names(&repeatable, KeyRange::default(), false).await, ["a"]);
    assert_eq!(value_of(committed.get(TABLE, &key("a")).await.unwrap()), Some(2));
    assert_eq!(names(&committed, KeyRange::default(), false).await, ["a", "b"]);
}

#[tokio::test]
async fn sessions_change_different_paths_of_one_row_at_the_same_time() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let (one, two) = (fixture.begin(), fixture.begin_at(Isolation::RepeatableRead));
    for (transaction, name, value) in [(&one, "a", 10), (&two, "b", 20)] {
        transaction.begin_statement(true).await.unwrap();
        let lock = vec![row_lock("a", RowPart::Path(member(name)), Mode::Exclusive)];
        assert!(transaction.lock(lock, LockWait::NoWait).await.unwrap(), "neither waits");
        transaction.write(TABLE, &key("a"), set_member(name, value)).unwrap();
    }
    one.commit().await.unwrap();
    // What `two` writes and reads did not change, though the row did.
    two.begin_statement(true).await.unwrap();
    let locked = two.read_locked(TABLE, &key("a"), &[member("b")]).await.unwrap();
    assert!(locked.changed);
    two.commit().await.unwrap();
    let reader = fixture.begin();
    reader.begin_statement(true).await.unwrap();
    let row = reader.get(TABLE, &key("a")).await.unwrap();
    assert_eq!((member_of(&row, "a"), member_of(&row, "b")), ("10".into(), "20".into()));
    fixture.check().await;
}

#[tokio::test]
async fn repeatable_read_fails_on_a_changed_path_and_only_there() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let transaction = fixture.begin_at(Isolation::RepeatableRead);
    transaction.begin_statement(true).await.unwrap();
    let other = fixture.begin();
    other.begin_statement(true).await.unwrap();
    lock_path(&other, "a", member("a"), Mode::Exclusive).await.unwrap();
    other.write(TABLE, &key("a"), set_member("a", 5)).unwrap();
    other.commit().await.unwrap();
    lock_row(&transaction, "a", Mode::Exclusive).await.unwrap();
    assert!(transaction.read_locked(TABLE, &key("a"), &[member("b")]).await.is_ok());
    assert!(
        transaction
            .read_locked(TABLE, &key("a"), &[Path::column(0)])
            .await
            .is_ok()
    );
    assert!(is_serialization(
        &transaction.read_locked(TABLE, &key("a"), &[member("a")]).await
    ));
    assert!(is_serialization(
        &transaction.read_locked(TABLE, &key("a"), &[Path::column(2)]).await
    ));
    assert!(is_serialization(&transaction.read_locked(TABLE, &key("a"), &[]).await));
}

#[tokio::test]
async fn read_committed_is_told_that_the_row_changed_while_it_waited() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let first = fixture.begin();
    add(&first, "a", 1).await.unwrap();
    let second = fixture.begin();
    second.begin_statement(true).await.unwrap();
    let (locked, committed) = tokio::join!(
        async {
            lock_path(&second, "a", Path::column(1), Mode::Exclusive).await.unwrap();
            second.read_locked(TABLE, &key("a"), &[Path::column(1)]).await.unwrap()
        },
        first.commit()
    );
    committed.unwrap();
    assert!(locked.changed);
    assert_eq!(value_of(locked.row), Some(2), "no lost update");
}

/// Two transactions read two rows each and write one of them: without predicate or row locks both would commit.
#[tokio::test]
async fn write_skew_is_not_serializable_and_one_of_two_gives_way() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("b", 1)]).await;
    let on_duty = async |name: &'static str| {
        let transaction = fixture.begin_at(Isolation::Serializable);
        transaction.begin_statement(true).await?;
        let shared = ["a", "b"].map(|name| row_lock(name, RowPart::Path(Path::column(1)), Mode::Shared));
        transaction.lock(shared.to_vec(), LockWait::Wait(None)).await?;
        let mut sum = 0;
        for name in ["a", "b"] {
            sum += value_of(transaction.get(TABLE, &key(name)).await?).unwrap();
        }
        tokio::task::yield_now().await;
        if sum < 2 {
            return Ok(false);
        }
        transaction.begin_statement(true).await?;
        lock_path(&transaction, name, Path::column(1), Mode::Exclusive).await?;
        transaction.read_locked(TABLE, &key(name), &[Path::column(1)]).await?;
        transaction.write(TABLE, &key(name), set_value(0))?;
        transaction.commit().await.map(|_| true)
    };
    let (one, two) = tokio::join!(on_duty("a"), on_duty("b"));
    let outcomes = [&one, &two];
    assert_eq!(
        outcomes.iter().filter(|outcome| is_serialization(outcome)).count(),
        1,
        "{outcomes:?}"
    );
    assert_eq!(
        outcomes.iter().filter(|outcome| matches!(outcome, Ok(true))).count(),
        1,
        "{outcomes:?}"
    );
    let left = fixture.value("a").await.unwrap() + fixture.value("b").await.unwrap();
    assert_eq!(left, 1);
    assert!(fixture.node.locks().is_empty());
}

/// The anomaly is allowed under REPEATABLE READ, as in PostgreSQL.
#[tokio::test]
async fn write_skew_happens_under_repeatable_read() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("b", 1)]).await;
    let (one, two) = (
        fixture.begin_at(Isolation::RepeatableRead),
        fixture.begin_at(Isolation::RepeatableRead),
    );
    for (transaction, name) in [(&one, "a"), (&two, "b")] {
        transaction.begin_statement(true).await.unwrap();
        add(transaction, name, -1).await.unwrap();
    }
    one.commit().await.unwrap();
    two.commit().await.unwrap();
    assert_eq!(fixture.value("a").await.unwrap() + fixture.value("b").await.unwrap(), 0);
}

/// A scan under SERIALIZABLE locks the row set; an insert waits for it.
#[tokio::test]
async fn a_phantom_waits_for_the_scan_under_serializable() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let reader = fixture.begin_at(Isolation::Serializable);
    reader.begin_statement(true).await.unwrap();
    let rows = LockRequest::new(
        LockName::RowSet {
            table: TABLE,
            row: None,
        },
        Mode::Shared,
    );
    reader.lock(vec![rows], LockWait::Wait(None)).await.unwrap();
    assert_eq!(names(&reader, KeyRange::default(), false).await.len(), 1);
    let writer = fixture.begin();
    writer.begin_statement(true).await.unwrap();
    let insert = vec![
        LockRequest::new(
            LockName::RowSet {
                table: TABLE,
                row: Some(key("b")),
            },
            Mode::IntentionExclusive,
        ),
        row_lock("b", RowPart::Row, Mode::Exclusive),
    ];
    assert!(!writer.lock(insert.clone(), LockWait::Skip).await.unwrap());
    reader.begin_statement(true).await.unwrap();
    assert_eq!(names(&reader, KeyRange::default(), false).await.len(), 1);
    reader.commit().await.unwrap();
    assert!(writer.lock(insert, LockWait::Skip).await.unwrap());
}

#[tokio::test]
async fn lock_free_reads_wait_for_access_exclusive_only() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    for mode in [Mode::TableExclusive, Mode::AccessExclusive] {
        let holder = fixture.begin();
        holder.begin_statement(true).await.unwrap();
        holder
            .lock(
                vec![LockRequest::new(LockName::Table(TABLE), mode)],
                LockWait::Wait(None),
            )
            .await
            .unwrap();
        let reader = fixture.begin();
        reader.begin_statement(true).await.unwrap();
        let key = key("a");
        let get = reader.get(TABLE, &key);
        tokio::pin!(get);
        let waits = futures::poll!(&mut get).is_pending();
        assert_eq!(waits, mode == Mode::AccessExclusive);
        if waits {
            holder.commit().await.unwrap();
            assert_eq!(value_of(get.await.unwrap()), Some(1));
        }
    }
}

#[tokio::test]
async fn a_cancelled_wait_ends_and_the_transaction_goes_on() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let holder = fixture.begin();
    add(&holder, "a", 1).await.unwrap();
    let waiter = fixture.node.begin(TransactionOptions {
        session: 7,
        ..TransactionOptions::default()
    });
    let mark = waiter.savepoint();
    waiter.begin_statement(true).await.unwrap();
    {
        let wait = lock_row(&waiter, "a", Mode::Exclusive);
        tokio::pin!(wait);
        assert!(futures::poll!(&mut wait).is_pending());
        assert_eq!(fixture.node.blocking(7), [0]);
        fixture.node.cancel(7);
        assert!(matches!(wait.await, Err(TxnError::Cancelled)));
    }
    waiter.rollback_to(mark).await.unwrap();
    waiter.begin_statement(true).await.unwrap();
    let timeout = LockWait::Wait(Some(Duration::from_millis(5)));
    let refused = waiter
        .lock(vec![row_lock("a", RowPart::Row, Mode::Exclusive)], timeout)
        .await;
    assert!(matches!(refused, Err(TxnError::LockNotAvailable { timeout: true, .. })));
    holder.rollback().await;
    assert!(lock_row(&waiter, "a", Mode::Exclusive).await.unwrap());
}
