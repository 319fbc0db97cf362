//! C8: what was planned for an older version of a table does not reach it.

use super::*;

async fn write_as_of(fixture: &Fixture, version: u64, names: &[&str]) -> Result<(), TxnError> {
    let transaction = fixture.begin();
    transaction.begin_statement(true).await?;
    transaction.expect_table(TABLE, version);
    for name in names {
        lock_row(&transaction, name, Mode::Exclusive).await?;
        transaction.write(TABLE, &key(name), RowWrite::Put(row(name, 1)))?;
    }
    transaction.commit().await.map(drop)
}

async fn change(fixture: &Fixture, version: u64) {
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction.change_table(TABLE, version).unwrap();
    transaction.commit().await.unwrap();
}

fn is_refused(result: &Result<(), TxnError>) -> bool {
    matches!(result, Err(TxnError::Serialization { .. } | TxnError::Deleted))
}

#[tokio::test]
async fn a_command_for_an_older_version_of_a_table_is_refused() {
    let fixture = Fixture::new().await;
    let many = ["a", "b", "c", "d", "e", "f", "g", "h"];
    write_as_of(&fixture, 1, &["x"]).await.unwrap();
    change(&fixture, 2).await;
    assert!(is_refused(&write_as_of(&fixture, 1, &["y"]).await), "in one phase");
    assert!(is_refused(&write_as_of(&fixture, 1, &many).await), "in two phases");
    assert_eq!(fixture.value("y").await, None);
    write_as_of(&fixture, 2, &many).await.unwrap();
    write_as_of(&fixture, 3, &["y"]).await.unwrap();
    fixture.check().await;

    let fixture = fixture.crash().await;
    assert!(is_refused(&write_as_of(&fixture, 1, &["z"]).await), "after a crash");
    write_as_of(&fixture, 2, &["z"]).await.unwrap();
    let fixture = fixture.reopen().await;
    assert!(is_refused(&write_as_of(&fixture, 1, &["z"]).await), "after a restart");
    fixture.check().await;
}

#[tokio::test]
async fn a_change_that_is_rolled_back_is_none() {
    let fixture = Fixture::new().await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    let mark = transaction.savepoint();
    transaction.change_table(TABLE, 2).unwrap();
    transaction.rollback_to(mark).await.unwrap();
    transaction.commit().await.unwrap();
    write_as_of(&fixture, 1, &["a"]).await.unwrap();
}

#[tokio::test]
async fn a_read_for_an_older_version_of_a_table_is_refused() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1), ("b", 1)]).await;
    let planned_for = async |version: u64| {
        let transaction = fixture.begin();
        transaction.await_tables(&[(TABLE, version)].into()).await.unwrap();
        transaction.begin_statement(true).await.unwrap();
        transaction
    };
    let before = planned_for(1).await;
    before.get(TABLE, &key("a")).await.unwrap();
    change(&fixture, 2).await;
    for transaction in [before, planned_for(1).await] {
        transaction.begin_statement(true).await.unwrap();
        assert!(is_serialization(&transaction.get(TABLE, &key("a")).await));
        let mut rows = transaction.scan(TABLE, KeyRange::default(), false);
        assert!(is_serialization(&rows.next().await.unwrap()));
    }
    assert_eq!(
        fixture.node.read_at_once((TABLE, 1), &key("a"), None).unwrap(),
        None,
        "a transaction finds out"
    );
    assert!(
        fixture
            .node
            .read_at_once((TABLE, 2), &key("a"), None)
            .unwrap()
            .is_some()
    );
    let after = planned_for(2).await;
    assert!(after.get(TABLE, &key("a")).await.unwrap().is_some());
    assert_eq!(names(&after, KeyRange::default(), false).await.len(), 2);
}

#[tokio::test]
async fn a_statement_waits_for_the_change_of_its_table_before_it_is_planned() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let (changer, reader) = (fixture.begin(), fixture.begin());
    changer.begin_statement(true).await.unwrap();
    let exclusive = LockRequest::new(LockName::Table(TABLE), Mode::AccessExclusive);
    changer.lock(vec![exclusive], LockWait::Wait(None)).await.unwrap();
    changer.change_table(TABLE, 2).unwrap();
    let planned = [(TABLE, 1)].into();
    let waits = reader.await_tables(&planned);
    tokio::pin!(waits);
    assert!(futures::poll!(&mut waits).is_pending());
    changer.commit().await.unwrap();
    waits.await.unwrap();
    assert!(!fixture.node.inner.live.has_exclusive_tables());
}
