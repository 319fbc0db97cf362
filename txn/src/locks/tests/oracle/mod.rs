//! Random schedules against an oracle: a plain list of granted locks, compared pair by pair by what their names mean.
//!
//! After every step: no two granted locks of different transactions conflict; every granted lock is still covered by what the
//! table says its transaction holds; nobody waits alone; no cycle of waits is left; whoever was refused without waiting
//! had a reason. At the end everybody releases: every wait has ended, and the table is empty.

mod meaning;
mod world;

use proptest::prelude::*;

use crate::locks::*;
use world::World;

/// What a schedule does next.
#[derive(Clone, Debug)]
enum Action {
    Lock {
        txn: u64,
        batch: Vec<(usize, usize)>,
        wait: bool,
    },
    Add {
        txn: u64,
        path: usize,
        by: i64,
        wait: bool,
    },
    RollBack {
        txn: u64,
        back: u64,
    },
    Cancel {
        txn: u64,
    },
    Release {
        txn: u64,
    },
    Seal {
        txn: u64,
    },
    EndEpoch,
}

const TXNS: u64 = 5;

fn action() -> impl Strategy<Value = Action> {
    let txn = 1..=TXNS;
    let batch = prop::collection::vec((0usize..40, 0usize..10), 1..4);
    prop_oneof![
        10 => (txn.clone(), batch, prop::bool::weighted(0.85)).prop_map(|(txn, batch, wait)| Action::Lock { txn, batch, wait }),
        4 => (txn.clone(), 0usize..4, -6i64..7, prop::bool::weighted(0.85))
            .prop_map(|(txn, path, by, wait)| Action::Add { txn, path, by, wait }),
        2 => (txn.clone(), 0u64..4).prop_map(|(txn, back)| Action::RollBack { txn, back }),
        1 => txn.clone().prop_map(|txn| Action::Cancel { txn }),
        3 => txn.clone().prop_map(|txn| Action::Release { txn }),
        1 => txn.prop_map(|txn| Action::Seal { txn }),
        1 => Just(Action::EndEpoch),
    ]
}

fn schedule() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..60)
}

fn play(config: LockConfig, schedule: &[Action]) {
    let mut world = World::new(config);
    for action in schedule {
        world.act(action);
    }
    world.finish();
}

/// More schedules on demand: `PROPTEST_CASES=100000 cargo test -p txn oracle`.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(256),
        max_shrink_iters: 100_000,
        ..default
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_schedule_breaks_the_table_under_detect(schedule in schedule()) {
        play(LockConfig::default(), &schedule);
    }

    #[test]
    fn no_schedule_breaks_the_table_under_wound_wait(schedule in schedule()) {
        play(LockConfig { policy: DeadlockPolicy::WoundWait, ..LockConfig::default() }, &schedule);
    }

    #[test]
    fn no_schedule_breaks_the_table_under_wait_die(schedule in schedule()) {
        play(LockConfig { policy: DeadlockPolicy::WaitDie, ..LockConfig::default() }, &schedule);
    }

    #[test]
    fn no_schedule_breaks_the_table_when_locks_escalate_early(schedule in schedule()) {
        play(LockConfig { row_paths_max: 1, table_rows_max: 1, ..LockConfig::default() }, &schedule);
    }

    #[test]
    fn no_schedule_breaks_the_table_when_memory_is_short(schedule in schedule(), memory in 1_000usize..12_000) {
        play(LockConfig { memory_bytes_max: memory, ..LockConfig::default() }, &schedule);
    }
}
