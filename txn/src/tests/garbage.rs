//! Old versions go, snapshots in use stay, long chains become whole rows.

use storage::mvcc;

use super::*;
use crate::housekeeping::tidy;

/// A node that keeps nothing longer than a snapshot needs it.
async fn forgetful() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let config = NodeConfig {
        retention: Duration::ZERO,
        ..config(directory.path())
    };
    let node = Node::open(config).await.unwrap();
    Fixture { node, directory }
}

async fn tidy_all(fixture: &Fixture) {
    for shard in &fixture.node.inner.local_leaders() {
        tidy(&fixture.node.inner, shard).await.unwrap();
    }
}

/// Stored versions of rows and entries.
fn versions(fixture: &Fixture) -> usize {
    let mut count = 0;
    for shard in &fixture.node.inner.local_leaders() {
        let mut cursor = shard.view().cursor(None, None).unwrap();
        cursor.seek_to_first();
        while let Some(key) = cursor.key() {
            count += usize::from(mvcc::id_of(key).is_some());
            cursor.next();
        }
    }
    count
}

async fn overwrite(fixture: &Fixture, times: i64) {
    for value in 0..times {
        fixture.put(&[("a", value)]).await;
    }
}

#[tokio::test]
async fn old_versions_go_and_the_newest_stays() {
    let fixture = forgetful().await;
    overwrite(&fixture, 5).await;
    fixture.put(&[("b", 1)]).await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    lock_row(&transaction, "b", Mode::Exclusive).await.unwrap();
    transaction.write(TABLE, &key("b"), RowWrite::Delete).unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(versions(&fixture), 7);
    // The clock moves timestamps on; what was written in this millisecond is collected in the next.
    tokio::time::sleep(Duration::from_millis(2)).await;
    fixture.put(&[("c", 1)]).await;
    tidy_all(&fixture).await;
    assert_eq!(versions(&fixture), 2, "a and c");
    assert_eq!((fixture.value("a").await, fixture.value("b").await), (Some(4), None));
    fixture.check().await;
}

#[tokio::test]
async fn a_snapshot_in_use_keeps_what_it_sees() {
    let fixture = forgetful().await;
    overwrite(&fixture, 3).await;
    let reader = fixture.begin_at(Isolation::RepeatableRead);
    reader.begin_statement(true).await.unwrap();
    overwrite(&fixture, 3).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fixture.put(&[("c", 1)]).await;
    tidy_all(&fixture).await;
    assert_eq!(value_of(reader.get(TABLE, &key("a")).await.unwrap()), Some(2));
    drop(reader);
    tidy_all(&fixture).await;
    overwrite(&fixture, 1).await;
    fixture.check().await;
}

#[tokio::test]
async fn a_read_below_the_safe_point_is_refused_and_never_wrong() {
    let fixture = forgetful().await;
    overwrite(&fixture, 3).await;
    let reader = fixture.begin_at(Isolation::RepeatableRead);
    reader.begin_statement(true).await.unwrap();
    // As if this node did not know of the snapshot.
    reader
        .inner
        .oldest_snapshot
        .store(0, std::sync::atomic::Ordering::SeqCst);
    overwrite(&fixture, 3).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fixture.put(&[("c", 1)]).await;
    tidy_all(&fixture).await;
    assert!(matches!(
        reader.get(TABLE, &key("a")).await,
        Err(TxnError::SnapshotTooOld)
    ));
}

#[tokio::test]
async fn an_emptied_table_gives_its_space_back() {
    let fixture = forgetful().await;
    fixture.put(&[("a", 1), ("b", 1), ("c", 1)]).await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction.clear_table(TABLE).unwrap();
    transaction.commit().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    fixture.put(&[("d", 1)]).await;
    for _ in 0..3 {
        tidy_all(&fixture).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        fixture.put(&[("d", 1)]).await;
    }
    tidy_all(&fixture).await;
    let left = fixture
        .node
        .inner
        .local_leaders()
        .iter()
        .flat_map(|shard| shard.facts.clears.all())
        .count();
    assert_eq!(left, 0, "the clears hide nothing any more");
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    assert_eq!(names(&transaction, KeyRange::default(), false).await, ["d"]);
    let fixture = fixture.crash().await;
    assert_eq!(fixture.value("a").await, None);
    fixture.check().await;
}

#[tokio::test]
async fn long_chains_are_consolidated_by_writers_and_by_readers() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 0)]).await;
    for _ in 0..40 {
        let transaction = fixture.begin();
        add(&transaction, "a", 1).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let shard = fixture
        .node
        .inner
        .shard(fixture.node.inner.placement.row(TABLE, &key("a")))
        .unwrap();
    let chain = || {
        mvcc::row_at(
            &shard.view(),
            &mvcc::row_key(TABLE, &key("a")),
            u64::MAX,
            0,
            mvcc::Wanted::default(),
        )
        .unwrap()
        .chain
        .deltas
    };
    assert!(chain() < 17, "{} deltas", chain());
    // Writers that never read leave it to whoever reads next.
    for _ in 0..40 {
        let transaction = fixture.begin();
        transaction.begin_statement(true).await.unwrap();
        lock_path(&transaction, "a", Path::column(1), Mode::Exclusive)
            .await
            .unwrap();
        transaction.write(TABLE, &key("a"), set_value(7)).unwrap();
        transaction.commit().await.unwrap();
    }
    assert!(chain() >= 40);
    assert_eq!(fixture.value("a").await, Some(7));
    tidy(&fixture.node.inner, &shard).await.unwrap();
    assert_eq!(chain(), 0);
    assert_eq!(fixture.value("a").await, Some(7));
    fixture.check().await;
}
