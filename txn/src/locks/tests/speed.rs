//! How long a lock takes and how much memory it needs, without contention and in a queue (DESIGN §9). Ignored by default:
//! `cargo test --release -p txn speed -- --ignored --nocapture`.

use std::time::Instant;

use bytes::Bytes;
use storage::{Path, Step};

use crate::locks::*;
use crate::{Key, LockName, LockRequest, Mode};

fn key(number: u64) -> Key {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn path(text: &str) -> Path {
    Path {
        column: 2,
        steps: text.split('/').map(|step| Step::Member(step.into())).collect(),
    }
}

fn lock(table: &mut LockTable, txn: u64, locks: &[LockRequest]) -> Outcome {
    let coordinator = Incarnation { node: 1, start: 1 };
    let owner = Owner {
        txn: TxnId(txn),
        coordinator,
        session: 1,
        priority: txn,
        serializable: false,
    };
    table.request(
        Request {
            owner,
            epoch: None,
            step: 1,
            locks,
            wait: WaitMode::Wait,
        },
        &(),
    )
}

fn write(row: u64, text: &str) -> [LockRequest; 1] {
    [LockRequest::new(
        LockName::path(1, key(row), path(text)),
        Mode::Exclusive,
    )]
}

fn table() -> LockTable {
    LockTable::new(LockConfig::default(), Epoch::default())
}

const ROUNDS: u64 = 1_000_000;

#[test]
#[ignore = "a measurement"]
fn speed_of_lock_and_release_at_depth_six() {
    let mut table = table();
    let locks = write(7, "a/b");
    let start = Instant::now();
    for txn in 1..=ROUNDS {
        lock(&mut table, txn, &locks);
        table.release(TxnId(txn), &());
    }
    println!(
        "lock and release at depth 6: {} ns",
        start.elapsed().as_nanos() as u64 / ROUNDS
    );
    assert_eq!(table.size(), 0);
}

#[test]
#[ignore = "a measurement"]
fn speed_of_a_turn_on_a_hot_path() {
    let mut table = table();
    let locks = write(7, "hot");
    let waiting = 64;
    (1..=waiting).for_each(|txn| drop(lock(&mut table, txn, &locks)));
    let start = Instant::now();
    let turns = ROUNDS / 10;
    for txn in 1..=turns {
        table.release(TxnId(txn), &());
        assert_eq!(table.take_events().len(), 1, "the next one goes on");
        lock(&mut table, txn + waiting, &locks);
    }
    println!(
        "one turn with {waiting} transactions waiting: {} ns",
        start.elapsed().as_nanos() as u64 / turns
    );
}

#[test]
#[ignore = "a measurement"]
fn memory_of_a_held_path_lock() {
    for (what, paths) in [
        ("1,000 paths of each document", 1_000),
        ("one path of each document", 1),
    ] {
        let mut table = table();
        let locks = 100_000;
        for number in 0..locks {
            // One transaction for each 1,000, so that none escalates.
            lock(
                &mut table,
                1 + number / 1_000,
                &write(number / paths, &format!("member{}", number % paths)),
            );
        }
        println!("{what}: {} bytes a lock", table.size() as u64 / locks);
    }
}
