//! Detector: deadlocks across shards. It joins the waits-for graphs of several lock tables, breaks every cycle on paper, and
//! says what each table has to do. Each table checks again that the wait still stands before it does it.
//!
//! A transaction may wait in several shards at a time and needs all of them, so any cycle is a deadlock. Edges of different
//! tables are not of the same instant: a cycle that is gone meanwhile costs at worst one abort or one overtaking too many.

use std::collections::BTreeMap;

use ahash::AHashSet;

use super::owner::{Ticket, TxnId};
use super::report::Wait;

/// What is to be done about one cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// In this shard's table let one waiter go before another ([`LockTable::overtake`](super::LockTable::overtake)).
    Overtake {
        /// Shard.
        shard: u32,
        /// The wait that goes first.
        waiter: Ticket,
        /// The earlier wait.
        passed: Ticket,
    },
    /// End the waits of this transaction in all tables
    /// ([`LockTable::abort_waiting`](super::LockTable::abort_waiting)) with this cycle as detail.
    Abort {
        /// The victim.
        txn: TxnId,
        /// The cycle.
        cycle: Vec<Wait>,
    },
}

/// The waits of several shards.
#[derive(Default)]
pub struct Detector {
    waits: BTreeMap<TxnId, Vec<(u32, Wait)>>,
    ages: BTreeMap<TxnId, u64>,
}

impl Detector {
    /// Adds the waits of one shard ([`LockTable::edges`](super::LockTable::edges)).
    pub fn add(&mut self, shard: u32, waits: impl IntoIterator<Item = Wait>) {
        for wait in waits {
            self.waits.entry(wait.waiter).or_default().push((shard, wait));
        }
    }

    /// Tells the age of a transaction: smaller priorities are older. Without it a transaction counts as the youngest.
    pub fn set_priority(&mut self, txn: TxnId, priority: u64) {
        self.ages.insert(txn, priority);
    }

    /// Breaks all cycles: a queue edge is given up if there is one, the youngest is aborted otherwise.
    pub fn decide(mut self) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let waiters: Vec<TxnId> = self.waits.keys().copied().collect();
        for txn in waiters {
            while let Some(cycle) = self.find_cycle(txn) {
                let age = |txn: TxnId| (self.ages.get(&txn).copied().unwrap_or(u64::MAX), txn);
                // The oldest goes first, as the one whose deadlock_timeout ends first does in PostgreSQL.
                let passable = cycle
                    .iter()
                    .filter_map(|(shard, wait)| Some((age(wait.waiter), *shard, wait.ticket, wait.passable?)))
                    .min();
                if let Some((_, shard, waiter, passed)) = passable {
                    decisions.push(Decision::Overtake { shard, waiter, passed });
                    for (other, waits) in self.waits.values_mut().flatten().map(|(shard, wait)| (*shard, wait)) {
                        if other == shard && waits.ticket == waiter && waits.passable == Some(passed) {
                            // An edge to oneself is never followed: the wait is as good as gone.
                            waits.blocker = waits.waiter;
                        }
                    }
                } else {
                    let victim = cycle.iter().map(|(_, wait)| wait.waiter).max_by_key(|&txn| age(txn));
                    let txn = victim.expect("a cycle has waits");
                    self.waits.remove(&txn);
                    decisions.push(Decision::Abort {
                        txn,
                        cycle: cycle.into_iter().map(|(_, wait)| wait).collect(),
                    });
                }
            }
        }
        decisions
    }

    fn find_cycle(&self, start: TxnId) -> Option<Vec<(u32, Wait)>> {
        let mut seen = AHashSet::new();
        let mut stack = vec![(start, 0)];
        while let Some((txn, next)) = stack.last_mut() {
            let Some((_, wait)) = self.waits.get(txn).and_then(|waits| waits.get(*next)) else {
                stack.pop();
                continue;
            };
            *next += 1;
            if wait.blocker == wait.waiter {
                continue;
            }
            if wait.blocker == start {
                return Some(
                    stack
                        .iter()
                        .map(|(txn, next)| self.waits[txn][next - 1].clone())
                        .collect(),
                );
            }
            if seen.insert(wait.blocker) {
                let blocker = wait.blocker;
                stack.push((blocker, 0));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LockName, Mode};

    fn wait(waiter: u64, blocker: u64, passable: Option<u64>) -> Wait {
        Wait {
            ticket: Ticket(waiter * 10),
            waiter: TxnId(waiter),
            waiter_session: 0,
            blocker: TxnId(blocker),
            blocker_session: 0,
            passable: passable.map(Ticket),
            name: LockName::Table(1),
            mode: Mode::Exclusive,
            met_at: LockName::Table(1),
            met_mode: None,
        }
    }

    fn detector(waits: &[(u32, Wait)]) -> Detector {
        let mut detector = Detector::default();
        for (shard, wait) in waits {
            detector.add(*shard, [wait.clone()]);
            detector.set_priority(wait.waiter, wait.waiter.0);
        }
        detector
    }

    #[test]
    fn a_cycle_across_two_shards_has_exactly_one_victim_and_it_is_the_youngest() {
        let decisions = detector(&[(1, wait(1, 2, None)), (2, wait(2, 1, None))]).decide();
        assert!(
            matches!(&decisions[..], [Decision::Abort { txn: TxnId(2), cycle }] if cycle.len() == 2),
            "{decisions:?}"
        );
    }

    #[test]
    fn a_queue_edge_is_given_up_before_anybody_is_aborted() {
        let decisions = detector(&[(1, wait(1, 2, None)), (2, wait(2, 1, Some(7)))]).decide();
        assert_eq!(
            decisions,
            [Decision::Overtake {
                shard: 2,
                waiter: Ticket(20),
                passed: Ticket(7)
            }]
        );
    }

    #[test]
    fn two_cycles_that_share_a_transaction_end_with_one_victim_if_it_is_the_shared_one() {
        let waits = [
            (1, wait(3, 1, None)),
            (2, wait(3, 2, None)),
            (1, wait(1, 3, None)),
            (2, wait(2, 3, None)),
        ];
        let decisions = detector(&waits).decide();
        assert!(
            matches!(&decisions[..], [Decision::Abort { txn: TxnId(3), .. }]),
            "{decisions:?}"
        );
    }

    #[test]
    fn waits_without_a_cycle_are_left_alone() {
        assert!(
            detector(&[(1, wait(1, 2, None)), (2, wait(2, 3, None)), (1, wait(4, 2, None))])
                .decide()
                .is_empty()
        );
    }
}
