//! One node, one voter per group.

use std::time::{Duration, Instant};

use super::{Alone, PATIENCE, options, set, value};
use crate::{ConsensusError, GroupsOptions, Role};

#[tokio::test(flavor = "multi_thread")]
async fn proposals_are_applied_in_the_order_they_were_made() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    let proposals: Vec<_> = (0..500).map(|number| group.propose(set("k", number))).collect();
    let mut last = 0;
    for (number, proposal) in proposals.into_iter().enumerate() {
        let applied = proposal.await.unwrap();
        assert!(applied.index > last);
        last = applied.index;
        assert_eq!(applied.reply, (number + 1).to_string());
    }
    assert_eq!(value(&group, "k").as_deref(), Some("499"));
    assert_eq!(group.applied_index(), last);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_share_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let mut groups = Vec::new();
    for id in 0..9 {
        groups.push(node.group(id).await.0);
    }
    let before = node.engine.stats().syncs;
    let proposals: Vec<_> = (0..100)
        .flat_map(|round| groups.iter().map(move |group| group.propose(set("k", round))))
        .collect();
    for proposal in proposals {
        proposal.await.unwrap();
    }
    let syncs = node.engine.stats().syncs - before;
    assert!(syncs < 450, "900 proposals took {syncs} syncs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_voter_leads_at_once_and_its_lease_is_always_open() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        // Timeouts that would fail the test if the node waited for one of them.
        let slow = GroupsOptions {
            heartbeat: Duration::from_secs(60),
            election_min: Duration::from_secs(300),
            election_max: Duration::from_secs(600),
            ..options(1)
        };
        let node = Alone::open_with(directory.path(), slow);
        let started = Instant::now();
        let (group, _) = node.group(1).await;
        assert!(group.is_lease_open());
        group.ensure_linearizable().await.unwrap();
        group.propose(set("k", "v")).await.unwrap();
        assert!(started.elapsed() < PATIENCE);
        node.close().await;
        assert!(!group.is_lease_open());
        assert_eq!(group.current_leadership().role, Role::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_for_another_term_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let (group, machine) = node.group(1).await;
    let term = group.current_leadership().term;
    assert!(matches!(
        group.propose_in(term + 1, set("k", 1)).await,
        Err(ConsensusError::NotLeader { .. })
    ));
    assert_eq!(group.propose_in(term, set("k", 2)).await.unwrap().term, term);
    assert_eq!(machine.seen.lock().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_waiting_proposals_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    let total = std::sync::Arc::default();
    let large = crate::types::InFlight::count(100, &total, 50).expect("one alone is always taken");
    assert!(crate::types::InFlight::count(1, &total, 50).is_none());
    drop(large);
    let small = crate::types::InFlight::count(30, &total, 50);
    assert!(small.is_some() && crate::types::InFlight::count(30, &total, 50).is_none());
    // Counted until applied, and no longer.
    for _ in 0..10 {
        group.propose(set("k", "x".repeat(60 << 20))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_proposed_below_the_reserve() {
    let directory = tempfile::tempdir().unwrap();
    drop(Alone::open(directory.path()).group(1).await);
    let full = storage::EngineOptions {
        free_space_reserve_bytes: u64::MAX,
        ..storage::EngineOptions::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let engine = storage::Engine::open(directory.path(), full).unwrap();
    let groups = crate::Groups::open(engine.clone(), crate::LocalTransport::new().end(1), options(1)).unwrap();
    let node = Alone { groups, engine };
    let (group, _) = node.group(1).await;
    assert!(matches!(
        group.propose(set("k", 1)).await,
        Err(ConsensusError::DiskFull)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_group_refuses_and_a_directory_keeps_its_node() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    node.close().await;
    assert!(matches!(group.propose(set("k", 1)).await, Err(ConsensusError::Stopped)));
    drop(group);
    let engine = super::engine(directory.path());
    let other = crate::Groups::open(engine, crate::LocalTransport::new().end(2), options(2));
    assert!(matches!(other.err(), Some(ConsensusError::Configuration(_))));
}
