//! How much moves, how even it is, and the invariants whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Sizes of clusters that are looked at.
const SIZES: [u64; 17] = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20, 24, 32, 48, 64];

fn member(id: NodeId) -> Member {
    Member {
        id,
        weight: WEIGHT,
        domain: None,
        standing: Standing::Full,
    }
}

fn members(count: u64) -> Vec<Member> {
    (1..=count).map(member).collect()
}

fn shards(count: u64) -> Vec<GroupId> {
    (1..=count).map(GroupId).collect()
}

/// Replicas that are new: (shard, node).
fn moved(before: &Placement, after: &Placement) -> Vec<(GroupId, NodeId)> {
    let was = |shard: &GroupId, node: &NodeId| before.get(shard).is_some_and(|wanted| wanted.replicas.contains(node));
    let new = after.iter().flat_map(|(shard, wanted)| {
        let new = wanted.replicas.iter().filter(move |node| !was(shard, node));
        new.map(move |node| (*shard, *node))
    });
    new.collect()
}

fn loads(placement: &Placement, members: &[Member]) -> (Vec<u64>, Vec<u64>) {
    let count = |of: &dyn Fn(&Wanted) -> Vec<NodeId>| {
        let mut loads: BTreeMap<NodeId, u64> = members.iter().map(|member| (member.id, 0)).collect();
        for node in placement.values().flat_map(of) {
            *loads.get_mut(&node).expect("a member") += 1;
        }
        loads.into_values().collect::<Vec<u64>>()
    };
    (
        count(&|wanted| wanted.replicas.clone()),
        count(&|wanted| wanted.leader.into_iter().collect()),
    )
}

fn spread(loads: &[u64]) -> u64 {
    loads.iter().max().expect("nodes") - loads.iter().min().expect("nodes")
}

#[test]
fn replicas_and_leaders_are_even_for_3_to_64_nodes() {
    for nodes in SIZES {
        for shard_count in [8, 4 * nodes] {
            let members = members(nodes);
            let placement = place(&members, &shards(shard_count), 3, &Placement::new());
            let (replicas, leaders) = loads(&placement, &members);
            assert!(
                spread(&replicas) <= 1,
                "{nodes} nodes, {shard_count} shards: {replicas:?}"
            );
            assert!(
                spread(&leaders) <= 1,
                "{nodes} nodes, {shard_count} shards: {leaders:?}"
            );
        }
    }
}

#[test]
fn a_new_node_gets_its_share_and_nothing_else_moves() {
    for nodes in SIZES {
        let shards = shards(4 * nodes);
        let before = place(&members(nodes), &shards, 3, &Placement::new());
        let after = place(&members(nodes + 1), &shards, 3, &before);
        let moved = moved(&before, &after);
        let ideal = (3 * 4 * nodes) as f64 / (nodes + 1) as f64;
        assert!(
            moved.iter().all(|(_, to)| *to == nodes + 1),
            "{nodes} nodes: others move too"
        );
        let fraction = moved.len() as f64 / ideal;
        assert!(
            (0.9..=1.0).contains(&fraction) || (ideal - moved.len() as f64) < 1.0,
            "{nodes} nodes: {fraction}"
        );
        let (replicas, leaders) = loads(&after, &members(nodes + 1));
        assert!(
            spread(&replicas) <= 1 && spread(&leaders) <= 1,
            "{replicas:?} {leaders:?}"
        );
    }
}

#[test]
fn what_a_node_held_moves_when_it_leaves_and_nothing_else() {
    for nodes in SIZES.into_iter().skip(1) {
        for gone in [1, nodes / 2, nodes] {
            let shards = shards(4 * nodes);
            let before = place(&members(nodes), &shards, 3, &Placement::new());
            let rest: Vec<Member> = members(nodes).into_iter().filter(|member| member.id != gone).collect();
            let after = place(&rest, &shards, 3, &before);
            let held = before.values().filter(|wanted| wanted.replicas.contains(&gone)).count();
            // One more where no other way leaves all even.
            let count = moved(&before, &after).len();
            assert!(
                (held..=held + 1).contains(&count),
                "{nodes} nodes without {gone}: {count} of {held}"
            );
            let (replicas, leaders) = loads(&after, &rest);
            assert!(
                spread(&replicas) <= 1 && spread(&leaders) <= 1,
                "{replicas:?} {leaders:?}"
            );
        }
    }
}

#[test]
fn a_node_that_drains_keeps_its_replicas_and_leads_nothing() {
    let shards = shards(20);
    let mut members = members(5);
    let before = place(&members, &shards, 3, &Placement::new());
    members[2].standing = Standing::Keeps;
    let after = place(&members, &shards, 3, &before);
    assert!(moved(&before, &after).is_empty());
    assert!(
        after
            .values()
            .all(|wanted| wanted.leader.is_some_and(|leader| leader != 3))
    );
    members[2].standing = Standing::Full;
    let again = place(&members, &shards, 3, &after);
    assert!(spread(&loads(&again, &members).1) <= 1, "it leads again");
}

#[test]
fn weights_are_shares() {
    let mut members = members(6);
    members[0].weight = 2 * WEIGHT;
    let placement = place(&members, &shards(56), 3, &Placement::new());
    let (replicas, leaders) = loads(&placement, &members);
    assert_eq!(replicas, [48, 24, 24, 24, 24, 24]);
    assert_eq!(leaders, [16, 8, 8, 8, 8, 8]);
}

#[test]
fn replicas_are_spread_over_domains_and_evenly_within() {
    let mut members = members(9);
    for (index, member) in members.iter_mut().enumerate() {
        member.domain = Some(format!("rack {}", index / 3));
    }
    let before = place(&members, &shards(36), 3, &Placement::new());
    let racks = |wanted: &Wanted| {
        wanted
            .replicas
            .iter()
            .map(|node| (node - 1) / 3)
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert!(before.values().all(|wanted| racks(wanted) == 3));
    let (replicas, leaders) = loads(&before, &members);
    assert!(
        spread(&replicas) <= 1 && spread(&leaders) <= 1,
        "{replicas:?} {leaders:?}"
    );
    members[4].standing = Standing::Leaves;
    let after = place(&members, &shards(36), 3, &before);
    assert!(after.values().all(|wanted| racks(wanted) == 3));
}

#[test]
fn few_nodes_hold_what_they_can() {
    for (nodes, replicas) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
        let placement = place(&members(nodes), &shards(8), 3, &Placement::new());
        assert!(placement.values().all(|wanted| wanted.replicas.len() == replicas));
    }
    let nobody = place(&[], &shards(2), 3, &Placement::new());
    assert!(nobody.values().all(|wanted| *wanted == Wanted::default()));
}

/// A cluster changes: (node, what becomes of it).
#[derive(Clone, Debug)]
enum Change {
    Stand(u64, Standing),
    Weigh(u64, u32),
    Forget(u64),
}

fn change(nodes: u64) -> impl Strategy<Value = Change> {
    let node = 1..=nodes;
    prop_oneof![
        4 => node.clone().prop_map(|node| Change::Stand(node, Standing::Full)),
        2 => node.clone().prop_map(|node| Change::Stand(node, Standing::Keeps)),
        2 => node.clone().prop_map(|node| Change::Stand(node, Standing::Leaves)),
        1 => (node.clone(), 1u32..500).prop_map(|(node, weight)| Change::Weigh(node, weight)),
        1 => node.prop_map(Change::Forget),
    ]
}

fn check(members: &[Member], shards: &[GroupId], replicas: usize, placement: &Placement) {
    let standing = |node: &NodeId| {
        members
            .iter()
            .find(|member| member.id == *node)
            .map(|member| member.standing)
    };
    let full = members
        .iter()
        .filter(|member| member.standing == Standing::Full)
        .count();
    assert_eq!(placement.len(), shards.len());
    for wanted in placement.values() {
        let distinct: BTreeSet<_> = wanted.replicas.iter().collect();
        assert_eq!(distinct.len(), wanted.replicas.len(), "R1");
        assert!(
            wanted
                .replicas
                .iter()
                .all(|node| !matches!(standing(node), None | Some(Standing::Leaves))),
            "R2"
        );
        assert!(wanted.replicas.len() >= replicas.min(full) && wanted.replicas.len() <= replicas);
        let leads = |node: &NodeId| standing(node) == Some(Standing::Full);
        assert_eq!(wanted.leader.is_some(), wanted.replicas.iter().any(leads), "R2");
        assert!(
            wanted
                .leader
                .iter()
                .all(|leader| leads(leader) && wanted.replicas.contains(leader))
        );
    }
}

proptest! {
    #[test]
    fn invariants_hold_whatever_happens_to_the_nodes(
        shard_count in 1u64..40,
        replicas in 1usize..6,
        domains in 0u64..4,
        changes in prop::collection::vec(change(10), 1..20),
    ) {
        let shards = shards(shard_count);
        let mut known: BTreeMap<u64, Member> = BTreeMap::new();
        let mut placement = Placement::new();
        for change in changes {
            let entry = |known: &mut BTreeMap<u64, Member>, node: u64| {
                let domain = (domains > 1).then(|| format!("{}", node % domains));
                known.entry(node).or_insert(Member { domain, ..member(node) }).clone()
            };
            match change {
                Change::Stand(node, standing) => {
                    let new = Member { standing, ..entry(&mut known, node) };
                    known.insert(node, new);
                }
                Change::Weigh(node, weight) => {
                    let new = Member { weight, ..entry(&mut known, node) };
                    known.insert(node, new);
                }
                Change::Forget(node) => drop(known.remove(&node)),
            }
            let members: Vec<Member> = known.values().cloned().collect();
            let before = std::mem::take(&mut placement);
            placement = place(&members, &shards, replicas, &before);
            check(&members, &shards, replicas, &placement);
            let reversed: Vec<Member> = members.iter().rev().cloned().collect();
            prop_assert_eq!(&placement, &place(&reversed, &shards, replicas, &before), "the order of nodes matters");
            let again = place(&members, &shards, replicas, &placement);
            prop_assert!(moved(&placement, &again).is_empty(), "R5: {:?} {:?}", placement, again);
        }
    }
}
