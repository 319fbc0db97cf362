//! Reading, writing, committing, and finding it again.

use super::*;

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart_and_after_a_crash() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("b", 2), ("c", 3)]).await;
    assert_eq!(fixture.value("b").await, Some(2));
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.value("b").await, Some(2));
    fixture.put(&[("b", 20)]).await;
    let fixture = fixture.crash().await;
    assert_eq!(fixture.value("a").await, Some(1));
    assert_eq!(fixture.value("b").await, Some(20));
    assert_eq!(fixture.value("d").await, None);
    fixture.check().await;
}

#[tokio::test]
async fn a_rollback_leaves_nothing() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let transaction = fixture.begin();
    add(&transaction, "a", 5).await.unwrap();
    transaction.rollback().await;
    assert!(transaction.commit().await.is_err());
    assert_eq!(fixture.value("a").await, Some(1));
    let transaction = fixture.begin();
    add(&transaction, "a", 5).await.unwrap();
    drop(transaction);
    assert_eq!(fixture.value("a").await, Some(1));
    assert!(fixture.node.locks().is_empty());
}

#[tokio::test]
async fn scans_merge_shards_in_key_order_both_ways() {
    let fixture = Fixture::new().await;
    let all: Vec<String> = (0..500).map(|number| format!("row{number:04}")).collect();
    let rows: Vec<(&str, i64)> = all.iter().map(|name| (name.as_str(), 1)).collect();
    fixture.put(&rows).await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    assert_eq!(names(&transaction, KeyRange::default(), false).await, all);
    let mut reversed = all.clone();
    reversed.reverse();
    assert_eq!(names(&transaction, KeyRange::default(), true).await, reversed);
    let range = KeyRange {
        from: Some(key("row0100")),
        to: Some(key("row0200")),
    };
    assert_eq!(names(&transaction, range, false).await, all[100..200]);
    let empty = KeyRange {
        from: Some(key("row0200")),
        to: Some(key("row0100")),
    };
    assert!(names(&transaction, empty, false).await.is_empty());
}

#[tokio::test]
async fn a_statement_sees_the_writes_of_earlier_commands_only() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("c", 3)]).await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    for name in ["a", "b", "c"] {
        lock_row(&transaction, name, Mode::Exclusive).await.unwrap();
    }
    transaction.write(TABLE, &key("a"), set_value(10)).unwrap();
    transaction.write(TABLE, &key("b"), RowWrite::Put(row("b", 2))).unwrap();
    transaction.write(TABLE, &key("c"), RowWrite::Delete).unwrap();
    assert_eq!(value_of(transaction.get(TABLE, &key("a")).await.unwrap()), Some(1));
    assert_eq!(names(&transaction, KeyRange::default(), false).await, ["a", "c"]);
    transaction.next_command();
    assert_eq!(value_of(transaction.get(TABLE, &key("a")).await.unwrap()), Some(10));
    assert_eq!(names(&transaction, KeyRange::default(), false).await, ["a", "b"]);
    assert_eq!(names(&transaction, KeyRange::default(), true).await, ["b", "a"]);
    assert_eq!(fixture.value("a").await, Some(1), "nobody else sees any of it");
    transaction.commit().await.unwrap();
    assert_eq!(fixture.value("a").await, Some(10));
    assert_eq!(fixture.value("c").await, None);
    fixture.check().await;
}

#[tokio::test]
async fn a_savepoint_takes_back_writes_and_locks() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("b", 1)]).await;
    let transaction = fixture.begin();
    add(&transaction, "a", 1).await.unwrap();
    let mark = transaction.savepoint();
    add(&transaction, "a", 10).await.unwrap();
    add(&transaction, "b", 10).await.unwrap();
    transaction.rollback_to(mark).await.unwrap();
    transaction.begin_statement(true).await.unwrap();
    assert_eq!(value_of(transaction.get(TABLE, &key("a")).await.unwrap()), Some(2));
    // The lock on b is free again, the one on a is not.
    let other = fixture.begin();
    other.begin_statement(true).await.unwrap();
    let lock = |name| vec![row_lock(name, RowPart::Row, Mode::Exclusive)];
    assert!(other.lock(lock("b"), LockWait::NoWait).await.unwrap());
    assert!(!other.lock(lock("a"), LockWait::Skip).await.unwrap());
    other.rollback().await;
    transaction.rollback_to(mark).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!((fixture.value("a").await, fixture.value("b").await), (Some(2), Some(1)));
}

#[tokio::test]
async fn index_entries_follow_their_rows() {
    let fixture = Fixture::new().await;
    let write = |transaction: &Transaction, name: &str, value: &str, present: bool| {
        transaction
            .write_index(TABLE, INDEX, false, &key(value), &key(name), present)
            .unwrap();
        transaction
            .write_index(TABLE, UNIQUE, true, &key(value), &key(name), present)
            .unwrap();
    };
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    for (name, value) in [("a", "z"), ("b", "y"), ("c", "x")] {
        write(&transaction, name, value, true);
    }
    transaction.commit().await.unwrap();
    async fn entries(transaction: &Transaction, index: u32, reverse: bool) -> Vec<(Key, Key)> {
        let mut found = Vec::new();
        let mut entries = transaction.scan_index(TABLE, index, index == UNIQUE, KeyRange::default(), reverse);
        while let Some(batch) = entries.next().await {
            found.extend(batch.unwrap());
        }
        found
    }
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    let expected = [(key("x"), key("c")), (key("y"), key("b")), (key("z"), key("a"))];
    for index in [INDEX, UNIQUE] {
        assert_eq!(entries(&transaction, index, false).await, expected);
        let locked = transaction
            .read_index_locked(TABLE, index, index == UNIQUE, &key("y"))
            .await
            .unwrap();
        assert_eq!(locked, [key("b")]);
    }
    write(&transaction, "b", "y", false);
    write(&transaction, "b", "w", true);
    transaction.begin_statement(true).await.unwrap();
    let changed = [(key("w"), key("b")), (key("x"), key("c")), (key("z"), key("a"))];
    for index in [INDEX, UNIQUE] {
        assert_eq!(entries(&transaction, index, false).await, changed);
        let mut reversed = changed.to_vec();
        reversed.reverse();
        assert_eq!(entries(&transaction, index, true).await, reversed);
        let gone = transaction
            .read_index_locked(TABLE, index, index == UNIQUE, &key("y"))
            .await
            .unwrap();
        assert!(gone.is_empty());
    }
    transaction.commit().await.unwrap();
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    assert_eq!(entries(&transaction, INDEX, false).await, changed);
    fixture.check().await;
}

#[tokio::test]
async fn an_emptied_table_is_empty_from_its_commit_on_and_full_before() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("b", 2), ("c", 3)]).await;
    let before = fixture.begin_at(Isolation::RepeatableRead);
    before.begin_statement(true).await.unwrap();
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    let lock = LockRequest::new(LockName::Table(TABLE), Mode::AccessExclusive);
    transaction.lock(vec![lock], LockWait::Wait(None)).await.unwrap();
    transaction.clear_table(TABLE).unwrap();
    transaction.next_command();
    assert!(names(&transaction, KeyRange::default(), false).await.is_empty());
    transaction.write(TABLE, &key("b"), RowWrite::Put(row("b", 9))).unwrap();
    transaction.next_command();
    assert_eq!(names(&transaction, KeyRange::default(), false).await, ["b"]);
    transaction.commit().await.unwrap();
    assert_eq!((fixture.value("a").await, fixture.value("b").await), (None, Some(9)));
    assert_eq!(names(&before, KeyRange::default(), false).await, ["a", "b", "c"]);
    let fixture = fixture.crash().await;
    assert_eq!((fixture.value("a").await, fixture.value("b").await), (None, Some(9)));
    fixture.check().await;
}

#[tokio::test]
async fn the_registry_version_moves_with_registry_commits_only() {
    let fixture = Fixture::new().await;
    let mut version = fixture.node.registry_version();
    let before = *version.borrow_and_update();
    fixture.put(&[("a", 1)]).await;
    assert!(!version.has_changed().unwrap());
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction
        .write(10, &key("table"), RowWrite::Put(row("table", 1)))
        .unwrap();
    let timestamp = transaction.commit().await.unwrap();
    assert!(timestamp > before);
    assert_eq!(*version.borrow_and_update(), timestamp);
    let fixture = fixture.crash().await;
    assert_eq!(*fixture.node.registry_version().borrow(), timestamp);
}

#[tokio::test]
async fn a_sequence_never_goes_back() {
    let next = |state: Option<Vec<u8>>| {
        let last = state.map_or(0, |state| u64::from_be_bytes(state.try_into().unwrap()));
        Ok((last + 1).to_be_bytes().to_vec())
    };
    let fixture = Fixture::new().await;
    for expected in 1..=3u64 {
        assert_eq!(
            fixture.node.advance_sequence(7, &next).await.unwrap(),
            expected.to_be_bytes()
        );
    }
    let fixture = fixture.crash().await;
    assert_eq!(
        fixture.node.advance_sequence(7, &next).await.unwrap(),
        4u64.to_be_bytes()
    );
    let concurrent = futures::future::join_all((0..50).map(|_| fixture.node.advance_sequence(7, &next))).await;
    let mut values: Vec<u64> = concurrent
        .into_iter()
        .map(|state| u64::from_be_bytes(state.unwrap().try_into().unwrap()))
        .collect();
    values.sort_unstable();
    assert_eq!(values, (5..55).collect::<Vec<u64>>());
}

/// C1: what is flushed and where the log goes on are one state, so a crash between two flushes repeats just what came after
/// the first.
#[tokio::test]
async fn a_crash_after_a_flush_repeats_what_came_after_it() {
    let mut fixture = Fixture::new().await;
    let names: Vec<String> = (0..20).map(|number| format!("row{number}")).collect();
    let rows: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    fixture.put(&rows).await;
    for round in 1..=3 {
        fixture.node.checkpoint().unwrap();
        for name in &names {
            let transaction = fixture.begin();
            add(&transaction, name, 1).await.unwrap();
            transaction.commit().await.unwrap();
        }
        fixture = fixture.crash().await;
        for name in &names {
            assert_eq!(fixture.value(name).await, Some(round), "{name}");
        }
        fixture.check().await;
    }
}
