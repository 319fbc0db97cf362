//! Restarts and crashes of one node.

use std::time::Duration;

use super::{Alone, PATIENCE, copy_directory, options, serving, set, value};
use crate::{GroupsOptions, Members};

#[tokio::test(flavor = "multi_thread")]
async fn c2_what_was_answered_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    let (other, _) = node.group(2).await;
    for number in 0..50 {
        group.propose(set(number, number)).await.unwrap();
        other.propose(set("k", number)).await.unwrap();
    }
    // Half of what follows is flushed, half is only in the log.
    group.snapshot(PATIENCE).await.unwrap();
    for number in 50..100 {
        group.propose(set(number, number)).await.unwrap();
    }
    let applied = group.applied_index();
    copy_directory(directory.path(), crashed.path());

    let node = Alone::open(crashed.path());
    let (group, machine) = node.group(1).await;
    for number in 0..100 {
        assert_eq!(value(&group, &number.to_string()), Some(number.to_string()));
    }
    assert!(group.applied_index() > applied, "the new term's first entry follows");
    let seen = machine.seen.lock().clone();
    assert!(
        seen.len() >= 50 && seen.len() < 60,
        "what was flushed is not applied again: {}",
        seen.len()
    );
    assert_eq!(group.propose(set("k", "v")).await.unwrap().reply, "101");
    let (other, _) = node.group(2).await;
    assert_eq!(other.propose(set("k", "v")).await.unwrap().reply, "51");
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_the_applied_id_is_written_with_the_change() {
    let directory = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    for number in 0..20 {
        group.propose(set(number, number)).await.unwrap();
    }
    // The family reaches the device at some entry or other, without anybody being told.
    node.engine.flush(&group.family()).unwrap();
    copy_directory(directory.path(), crashed.path());
    let node = Alone::open(crashed.path());
    let (group, machine) = node.group(1).await;
    assert!(machine.seen.lock().is_empty(), "all was flushed, with its ids");
    assert_eq!(group.propose(set("k", "v")).await.unwrap().reply, "21");
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_restarted_leader_leads_in_a_new_term() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    let before = group.current_leadership().term;
    node.close().await;
    drop(group);
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    assert!(group.current_leadership().term > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_the_log_is_purged_after_so_many_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open_with(
        directory.path(),
        GroupsOptions {
            snapshot_bytes: 200_000,
            ..options(1)
        },
    );
    let (group, _) = node.group(1).await;
    let big = "x".repeat(1000);
    for number in 0..1000 {
        group.propose(set(number, &big)).await.unwrap();
    }
    let purged = |metrics: &openraft::RaftMetrics<_>| metrics.purged.is_some_and(|purged| purged.index > 500);
    group.raft.wait(Some(PATIENCE)).metrics(purged, "purged").await.unwrap();
    node.close().await;
    drop(group);
    let node = Alone::open(directory.path());
    let (group, machine) = node.group(1).await;
    assert!(machine.seen.lock().len() < 500, "what was purged was flushed before");
    assert_eq!(value(&group, "0"), Some(big.clone()));
    assert_eq!(value(&group, "999"), Some(big));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_shutdown_leaves_nothing_to_replay() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    for number in 0..20 {
        group.propose(set(number, number)).await.unwrap();
    }
    node.groups.shutdown(true).await.unwrap();
    drop((group, node));
    let node = Alone::open(directory.path());
    let (_, machine) = node.group(1).await;
    assert!(machine.seen.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_to_be_added_does_not_lead() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let machine = std::sync::Arc::new(super::Counting::default());
    let group = node
        .groups
        .open_group(crate::GroupId(5), machine, Members::Unknown)
        .await
        .unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(1000), serving(&group))
            .await
            .is_err()
    );
}
