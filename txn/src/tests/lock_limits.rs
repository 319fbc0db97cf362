//! Locks that are lost (L9), and locks for which there is no memory (L8), as a transaction learns of it.

use super::*;
use crate::command::Writes;
use crate::commit::{Attempt, Message, Parties, Reply};
use crate::oracle::clock_ms;
use crate::shard::lock::Batch;
use crate::shard::steps::Payload;

/// Ends the epoch of the shard of a row, as a proposal that was rejected does.
fn end_epoch(fixture: &Fixture, name: &str) {
    let inner = &fixture.node.inner;
    let shard = inner.shard(inner.placement.row(TABLE, &key(name))).unwrap();
    let epoch = shard.core().epoch;
    shard.on_rejected(epoch, &TxnError::Unavailable);
}

/// A transaction that holds X on a path of `a` and has written it, after its locks were lost.
async fn robbed(fixture: &Fixture, isolation: Isolation) -> Transaction {
    let transaction = fixture.begin_at(isolation);
    add(&transaction, "a", 1).await.unwrap();
    end_epoch(fixture, "a");
    // Somebody else is let in at once.
    let other = fixture.begin();
    add(&other, "a", 10).await.unwrap();
    other.commit().await.unwrap();
    transaction
}

#[tokio::test]
async fn lost_locks_are_a_serialization_failure_at_the_next_use() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 0)]).await;
    for isolation in [Isolation::ReadCommitted, Isolation::Serializable] {
        let commits = robbed(&fixture, isolation).await;
        assert!(is_serialization(&commits.commit().await), "{isolation:?}: commit");
        let locks = robbed(&fixture, isolation).await;
        assert!(
            is_serialization(&add(&locks, "a", 1).await),
            "{isolation:?}: the next statement"
        );
        let reads = robbed(&fixture, isolation).await;
        let read = reads.read_locked(TABLE, &key("a"), &[Path::column(1)]).await;
        assert!(is_serialization(&read), "{isolation:?}: a read under the lock");
        assert!(
            is_serialization(&reads.commit().await),
            "{isolation:?}: and it stays lost"
        );
    }
    assert_eq!(
        fixture.value("a").await,
        Some(60),
        "nothing of what lost its locks was written"
    );
    fixture.check().await;
}

#[tokio::test]
async fn a_serializable_reader_that_lost_its_locks_does_not_commit() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 0)]).await;
    let reader = fixture.begin_at(Isolation::Serializable);
    reader.begin_statement(true).await.unwrap();
    lock_path(&reader, "a", Path::column(1), Mode::Shared).await.unwrap();
    reader.get(TABLE, &key("a")).await.unwrap();
    end_epoch(&fixture, "a");
    assert!(is_serialization(&reader.commit().await));
}

/// Between the end of an epoch and the moment its transactions are told so, a shard asks nobody but itself. Here nobody is told
/// at all: the epoch that each use names is all that can refuse it.
#[tokio::test]
async fn a_shard_refuses_locks_of_an_older_epoch_by_itself() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 0), ("b", 0)]).await;
    let inner = &fixture.node.inner;
    let shard = inner.shard(inner.placement.row(TABLE, &key("a"))).unwrap();
    let locked = async |isolation| {
        let transaction = fixture.begin_at(isolation);
        add(&transaction, "a", 1).await.unwrap();
        transaction
    };
    let end_silently = || shard.core().epoch.generation += 1;

    let reads = locked(Isolation::ReadCommitted).await;
    end_silently();
    let read = reads.read_locked(TABLE, &key("a"), &[Path::column(1)]).await;
    assert!(is_serialization(&read), "a read under the lock");
    reads.rollback().await;

    let locks = locked(Isolation::ReadCommitted).await;
    end_silently();
    assert!(is_serialization(&add(&locks, "a", 1).await), "the next lock");
    locks.rollback().await;

    let reader = fixture.begin_at(Isolation::Serializable);
    reader.begin_statement(true).await.unwrap();
    lock_path(&reader, "a", Path::column(1), Mode::Shared).await.unwrap();
    end_silently();
    assert!(is_serialization(&reader.commit().await), "a reader at its end");

    // Here the epoch has ended in every way; what is proposed in the new one would be applied.
    let commits = locked(Isolation::ReadCommitted).await;
    let old = Some(shard.core().epoch);
    end_epoch(&fixture, "a");
    let committed = shard.commit_one_phase(commits.inner.id, old, Writes::default(), || Ok(()));
    assert!(is_serialization(&committed.map(drop)), "one phase");

    // The steps of two phases, and what goes ahead of a large commit.
    let owner = locked(Isolation::ReadCommitted).await;
    let old = shard.core().epoch;
    end_silently();
    let id = owner.inner.id;
    let request = [row_lock("a", RowPart::Path(Path::column(1)), Mode::Exclusive)];
    let batch = Batch {
        requests: &request,
        step: 99,
        wait: LockWait::NoWait,
        deadline: None,
        has_written: &|_, _| Ok(false),
    };
    let (granted, _) = shard.lock(owner.inner.asker(), old, batch).await;
    assert!(is_serialization(&granted), "a lock asked for in the epoch of before");
    let staged = shard.stage((id, clock_ms(), 0), Some(old), Vec::new()).map(drop);
    assert!(is_serialization(&staged), "a part of a large commit");
    let attempt = Attempt::begin(inner, id);
    let mut replies = inner.live.coordinate(attempt);
    let parties = |anchor, participant| Parties {
        anchor,
        participants: vec![participant],
    };
    let mut ask = |message| {
        let payload = Payload {
            epoch: Some(old),
            ..Payload::default()
        };
        shard.deliver(message, payload).unwrap();
        match replies.try_recv().unwrap() {
            crate::live::Heard::Reply(reply) => reply,
            crate::live::Heard::Refused(error) => panic!("{error}"),
        }
    };
    let marked = ask(Message::Mark(attempt, parties(shard.id, shard.id + 1)));
    assert_eq!(marked, Reply::Marked(shard.id, false), "the anchor's mark");
    let confirmed = ask(Message::Confirm(attempt));
    assert_eq!(
        confirmed,
        Reply::Confirmed(shard.id, false),
        "a shard that was only read"
    );
    let voted = ask(Message::Prepare(attempt, parties(shard.id + 1, shard.id)));
    assert_eq!(voted, Reply::Voted(shard.id, false), "a vote");
}

#[tokio::test]
async fn locks_of_other_shards_stand_when_one_ends_its_epoch() {
    let fixture = Fixture::new().await;
    let names: Vec<String> = (0..20).map(|number| format!("row{number}")).collect();
    let rows: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    fixture.put(&rows).await;
    let placement = fixture.node.inner.placement;
    let shard = |name: &str| placement.row(TABLE, &key(name));
    let elsewhere = names.iter().find(|name| shard(name) != shard(&names[0])).unwrap();
    let (beside, across) = (fixture.begin(), fixture.begin());
    add(&beside, elsewhere, 1).await.unwrap();
    add(&across, &names[0], 1).await.unwrap();
    end_epoch(&fixture, &names[0]);
    beside.commit().await.unwrap();
    let refused = match add(&across, elsewhere, 1).await {
        Ok(()) => across.commit().await.map(drop),
        refused => refused,
    };
    assert!(is_serialization(&refused), "one of its locks is lost, so all of it");
    assert_eq!(fixture.value(elsewhere).await, Some(2));
    fixture.check().await;
}

#[tokio::test]
async fn without_memory_a_lock_is_refused_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let small = NodeConfig {
        lock_memory_bytes_max: 64 << 10,
        ..config(directory.path())
    };
    let node = Node::open(small).await.unwrap();
    let fixture = Fixture { node, directory };
    fixture.put(&[("a", 0), ("b", 0)]).await;
    let greedy = fixture.begin();
    add(&greedy, "a", 1).await.unwrap();
    let mut refused = 0;
    for number in 0..4_000 {
        match lock_row(&greedy, &format!("row{number}"), Mode::Exclusive).await {
            Ok(granted) => assert!(granted),
            Err(TxnError::LockMemory) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "4,000 locks have room in 4 × 64 KiB");
    // What it holds it still holds, and what it wrote it still commits.
    let nowait = fixture.begin();
    let request = vec![row_lock("a", RowPart::Path(Path::column(1)), Mode::Exclusive)];
    let taken = nowait.lock(request, LockWait::NoWait).await;
    assert!(matches!(
        taken,
        Err(TxnError::LockNotAvailable { .. } | TxnError::LockMemory)
    ));
    nowait.rollback().await;
    greedy.commit().await.unwrap();
    let next = fixture.begin();
    add(&next, "a", 1).await.unwrap();
    add(&next, "b", 1).await.unwrap();
    next.commit().await.unwrap();
    assert_eq!(fixture.value("a").await, Some(2));
    fixture.check().await;
}
