//! Random histories: nodes come, crash, come back, drain and leave; steps are lost, come late, or come twice from a reconciler
//! that does not know it was replaced; changes of voters stay half done. Then the faults end, and everything must end well.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::world::World;
use crate::reconcile::{Limits, NodeState, Step, plan};
use crate::ring::Standing;
use crate::types::{GroupId, NodeId};

#[derive(Clone, Debug)]
enum Event {
    Add(u64),
    Crash(u64),
    Start(u64),
    SetState(u64, NodeState),
    Tick(u64),
    /// Plan, and carry out what the mask says; what is left waits.
    Plan(u64),
    /// Carry out a step that waits.
    Late(prop::sample::Index),
    /// A change of voters that waits is left half done.
    Half(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    let node = || 1u64..8;
    let state = prop_oneof![
        Just(NodeState::Active),
        Just(NodeState::Draining),
        Just(NodeState::Leaving)
    ];
    prop_oneof![
        3 => (0u64..3).prop_map(Event::Add),
        2 => node().prop_map(Event::Crash),
        3 => node().prop_map(Event::Start),
        1 => (node(), state).prop_map(|(node, state)| Event::SetState(node, state)),
        6 => (100u64..20_000).prop_map(Event::Tick),
        16 => any::<u64>().prop_map(Event::Plan),
        3 => any::<prop::sample::Index>().prop_map(Event::Late),
        1 => any::<prop::sample::Index>().prop_map(Event::Half),
    ]
}

/// Nodes that are up, or would be missed: fewer than a majority of a group may be down at once, or nobody could decide.
fn may_crash(world: &World, node: NodeId) -> bool {
    world.cluster.groups.values().all(|group| {
        let up = |voters: &BTreeSet<NodeId>| {
            let up = voters
                .iter()
                .filter(|voter| **voter != node && world.cluster.is_healthy(group, **voter));
            up.count() * 2 > voters.len()
        };
        !group.voters.contains(&node) || (up(&group.voters) && group.joint_to.as_ref().is_none_or(up))
    })
}

fn play(events: Vec<Event>, shards: u64, domains: bool) -> World {
    let limits = Limits {
        dead_ms: 60_000,
        ..Limits::default()
    };
    let mut world = World::new(shards, limits);
    let mut waiting: Vec<Step> = Vec::new();
    for event in events {
        match event {
            Event::Add(rack) if world.cluster.nodes.len() < 9 => {
                world.add(domains.then(|| format!("rack {rack}")));
            }
            Event::Add(_) => {}
            Event::Crash(node) if may_crash(&world, node) => world.crash(node),
            Event::Crash(_) => {}
            Event::Start(node) => world.start(node),
            Event::SetState(node, state) => {
                // An order to a node that has not joined yet is refused.
                if world
                    .cluster
                    .nodes
                    .get(&node)
                    .is_some_and(|view| view.state != NodeState::Joining)
                {
                    world.set_state(node, state);
                }
            }
            Event::Tick(ms) => world.tick(ms),
            Event::Plan(mask) => {
                let steps = plan(&world.cluster);
                world.check(&steps);
                for (index, step) in steps.into_iter().enumerate() {
                    if mask >> (index % 64) & 3 != 0 {
                        world.carry_out(&step);
                    } else if matches!(step, Step::Open(..) | Step::Close { .. } | Step::ChangeVoters(..)) {
                        // Records are written by commands that name their leader's term and do not come late.
                        waiting.push(step);
                    }
                }
                world.tick(200);
            }
            Event::Late(at) if !waiting.is_empty() => {
                let step = waiting.swap_remove(at.index(waiting.len()));
                // A leader's own change of voters is refused once another one leads; only what is sent comes late.
                if !matches!(step, Step::ChangeVoters(..)) {
                    world.carry_out(&step);
                }
            }
            Event::Half(at) if !waiting.is_empty() => {
                let step = waiting.swap_remove(at.index(waiting.len()));
                let planned = plan(&world.cluster);
                if let Step::ChangeVoters(id, voters) = &step
                    && planned.contains(&step)
                {
                    world.change_voters(*id, voters, false);
                }
            }
            Event::Late(_) | Event::Half(_) => {}
        }
        world.check(&[]);
    }
    world
}

/// Every group has what is wanted, and nothing is where it should not be.
fn check_converged(world: &World) {
    let cluster = &world.cluster;
    let full = cluster
        .nodes
        .keys()
        .filter(|node| cluster.standing(**node) == Standing::Full)
        .count();
    for (id, group) in &cluster.groups {
        let wanted: BTreeSet<NodeId> = cluster.wanted[id].replicas.iter().copied().collect();
        assert!(group.leader.is_some(), "group {id} has no leader\n{}", world.describe());
        if full >= 3 {
            assert_eq!(group.voters, wanted, "group {id}\n{}", world.describe());
            assert!(group.voters.len() >= 3);
        }
        let members: BTreeSet<NodeId> = group.voters.union(&group.learners).copied().collect();
        let open: BTreeSet<NodeId> = group.open.iter().copied().collect();
        assert_eq!(members, open, "group {id}: left over\n{}", world.describe());
        if *id == GroupId::META {
            let takes_part =
                |(_, node): &(&NodeId, &crate::reconcile::NodeView)| node.state != NodeState::Decommissioned;
            assert!(
                cluster
                    .nodes
                    .iter()
                    .filter(takes_part)
                    .all(|(node, _)| members.contains(node))
            );
        }
    }
    if full >= 3 {
        let left = |view: &crate::reconcile::NodeView| matches!(view.state, NodeState::Leaving | NodeState::Joining);
        assert!(!cluster.nodes.values().any(left), "{}", world.describe());
    }
}

fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(256),
        max_shrink_iters: 20_000,
        ..default
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn from_any_start_and_through_any_faults_it_converges_and_stays_safe(
        events in prop::collection::vec(event(), 1..150),
        shards in 1u64..5,
        domains in any::<bool>(),
    ) {
        let mut world = play(events, shards, domains);
        let nodes: Vec<NodeId> = world.cluster.nodes.keys().copied().collect();
        nodes.into_iter().for_each(|node| world.start(node));
        prop_assert!(world.settle(600), "it does not end:\n{}{:?}", world.describe(), plan(&world.cluster));
        check_converged(&world);
    }
}
