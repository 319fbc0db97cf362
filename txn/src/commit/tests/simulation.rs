//! Random schedules: messages are lost, repeated and reordered, leaders and coordinators crash, time passes; then the faults
//! end, and everything must end well.

use proptest::prelude::*;

use super::world::World;
use crate::commit::{HORIZON_MS, Plan, ShardId};
use crate::locks::TxnId;

const SHARDS: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    Begin {
        written: Vec<ShardId>,
        readers: Vec<ShardId>,
        confirm: bool,
    },
    Deliver(prop::sample::Index),
    Lose(prop::sample::Index),
    Repeat(prop::sample::Index),
    Apply(ShardId),
    CrashShard(ShardId, usize),
    CrashCoordinator(u64),
    TimeOut(u64),
    Cancel(u64),
    Tick(u64),
    Horizon(ShardId),
}

fn step(faults: bool) -> BoxedStrategy<Step> {
    let shard = 1..=SHARDS;
    let shards = prop::sample::subsequence((1..=SHARDS).collect::<Vec<_>>(), 0..=SHARDS as usize);
    let begin = (shards.prop_shuffle(), 0..=SHARDS as usize, any::<bool>()).prop_map(|(shards, written, confirm)| {
        let (written, readers) = shards.split_at(written.min(shards.len()));
        Step::Begin {
            written: written.to_vec(),
            readers: readers.to_vec(),
            confirm,
        }
    });
    let index = any::<prop::sample::Index>;
    let orderly = prop_oneof![
        3 => begin,
        30 => index().prop_map(Step::Deliver),
        20 => shard.clone().prop_map(Step::Apply),
        4 => (1u64..6).prop_map(Step::TimeOut),
        4 => (0u64..1500).prop_map(Step::Tick),
    ];
    if !faults {
        return orderly.boxed();
    }
    let fault = prop_oneof![
        3 => index().prop_map(Step::Lose),
        3 => index().prop_map(Step::Repeat),
        2 => (shard.clone(), 0usize..4).prop_map(|(shard, kept)| Step::CrashShard(shard, kept)),
        1 => (1u64..6).prop_map(Step::CrashCoordinator),
        1 => (1u64..6).prop_map(Step::Cancel),
        1 => shard.prop_map(Step::Horizon),
    ];
    prop_oneof![6 => orderly, 1 => fault].boxed()
}

fn play(steps: Vec<Step>) -> World {
    let mut world = World::new(SHARDS);
    let mut next = 1;
    for step in steps {
        let packets = world.network.len();
        match step {
            Step::Begin {
                written,
                readers,
                confirm,
            } => {
                world.begin(
                    TxnId(next),
                    Plan {
                        written,
                        readers,
                        confirm,
                    },
                );
                next += 1;
            }
            Step::Deliver(at) if packets > 0 => {
                let packet = world.network.remove(at.index(packets));
                world.deliver(packet);
            }
            Step::Lose(at) if packets > 0 => drop(world.network.remove(at.index(packets))),
            Step::Repeat(at) if packets > 0 => {
                let packet = world.network[at.index(packets)].clone();
                world.network.push(packet);
            }
            Step::Deliver(_) | Step::Lose(_) | Step::Repeat(_) => {}
            Step::Apply(shard) => drop(world.apply(shard)),
            Step::CrashShard(shard, kept) => world.crash_shard(shard, kept),
            Step::CrashCoordinator(txn) => world.crash_coordinator(TxnId(txn)),
            Step::TimeOut(txn) => world.time_out(TxnId(txn)),
            Step::Cancel(txn) => world.cancel(TxnId(txn)),
            Step::Tick(ms) => world.tick(ms),
            Step::Horizon(shard) => {
                // As if ten minutes had passed: whatever began before is refused here from now on.
                world.now_ms += HORIZON_MS;
                world.move_horizon(shard, world.now_ms - HORIZON_MS);
            }
        }
        world.check();
    }
    world
}

/// More schedules on demand: `PROPTEST_CASES=100000 cargo test -p txn simulation`.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(256) * 2,
        max_shrink_iters: 100_000,
        ..default
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_transaction_ends_whole_whatever_is_lost_and_whoever_crashes(
        steps in prop::collection::vec(step(true), 1..200)
    ) {
        play(steps).heal();
    }

    #[test]
    fn without_faults_the_order_of_messages_does_not_matter(steps in prop::collection::vec(step(false), 1..150)) {
        play(steps).heal();
    }
}
