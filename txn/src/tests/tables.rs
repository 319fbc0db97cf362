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
    matches!(result, Err(TxnError::Serialization { .. }))
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
