//! The lock table alone: time of a lock and its release, and memory of a held path lock (DESIGN §9).

use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use storage::{Path, Step};
use txn::locks::{Epoch, Incarnation, LockConfig, LockTable, Outcome, Owner, Request, TxnId, WaitMode};
use txn::{LockName, LockRequest, Mode};

use super::Plan;
use crate::report::Report;

const ROUNDS: u64 = 1_000_000;
const HELD: u64 = 100_000;

fn table() -> LockTable {
    LockTable::new(LockConfig::default(), Epoch::default())
}

fn exclusive(row: u64, steps: &[&str]) -> [LockRequest; 1] {
    let path = Path {
        column: 2,
        steps: steps.iter().map(|step| Step::Member((*step).into())).collect(),
    };
    let key = Bytes::copy_from_slice(&row.to_be_bytes());
    [LockRequest::new(LockName::path(1, key, path), Mode::Exclusive)]
}

fn lock(table: &mut LockTable, transaction: u64, locks: &[LockRequest]) -> Outcome {
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
    table.request(request, &())
}

/// # Errors
/// Never; it has the shape of the other workloads.
pub fn run(_plan: &Plan, report: &mut Report) -> Result<()> {
    let mut lone = table();
    let locks = exclusive(7, &["a", "b"]);
    let start = Instant::now();
    for transaction in 1..=ROUNDS {
        lock(&mut lone, transaction, &locks);
        lone.release(TxnId(transaction), &());
    }
    let nanoseconds = start.elapsed().as_nanos() as f64 / ROUNDS as f64;
    report.single("lock and release at depth 6", "ns", nanoseconds);

    for (name, paths) in [
        ("1,000 paths of each document", 1_000),
        ("one path of each document", 1),
    ] {
        let mut held = table();
        for number in 0..HELD {
            let member = format!("member{}", number % paths);
            // A transaction for each thousand, so that none escalates.
            lock(&mut held, 1 + number / 1_000, &exclusive(number / paths, &[&member]));
        }
        report.single(
            &format!("held path lock, {name}"),
            "bytes",
            held.size() as f64 / HELD as f64,
        );
    }
    Ok(())
}
