//! Scenarios: what the transactions do, and which faults may happen how often.

use storage::{Path, Step};
use txn::commit::ShardId;
use txn::{LockName, LockRequest, Mode};

use super::rows::Place;
use super::rules::Rule;

/// What a transaction does at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Reads it under S.
    Read,
    /// Reads it under X and appends to it.
    Append,
    /// As `Append`, and asks for consolidation of the row.
    AppendAndFold,
}

/// One lock of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Shard, from 1.
    pub shard: ShardId,
    /// Where.
    pub place: Place,
    /// What for.
    pub what: Use,
}

impl Access {
    /// The path lock it takes.
    pub fn lock(&self) -> LockRequest {
        let path = Path {
            column: 1,
            steps: vec![Step::Member(format!("p{}", self.place.path).into())],
        };
        let name = LockName::path(1, vec![self.place.row].into(), path);
        let mode = if self.what == Use::Read {
            Mode::Shared
        } else {
            Mode::Exclusive
        };
        LockRequest::new(name, mode)
    }
}

/// A transaction: its accesses, in order, then COMMIT.
#[derive(Clone, Debug)]
pub enum Program {
    /// SERIALIZABLE, under locks.
    Locks(Vec<Access>),
    /// Reads at one timestamp, without locks.
    Snapshot(Vec<Access>),
}

impl Program {
    /// Its accesses.
    pub fn accesses(&self) -> &[Access] {
        match self {
            Program::Locks(accesses) | Program::Snapshot(accesses) => accesses,
        }
    }

    /// Written shards in order of first use, then those only read.
    pub fn shards(&self) -> (Vec<ShardId>, Vec<ShardId>) {
        let mut written: Vec<ShardId> = Vec::new();
        for access in self.accesses().iter().filter(|access| access.what != Use::Read) {
            if !written.contains(&access.shard) {
                written.push(access.shard);
            }
        }
        let mut readers: Vec<ShardId> = Vec::new();
        for access in self.accesses() {
            if !written.contains(&access.shard) && !readers.contains(&access.shard) {
                readers.push(access.shard);
            }
        }
        (written, readers)
    }
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A node dies: its replicas, and the coordinators there.
    pub crashes: u8,
    /// A shard gets another leader, though the old one lives.
    pub changes: u8,
    /// A proposal is refused by the log, though later ones are not.
    pub rejections: u8,
    /// A message is lost; it may be sent again.
    pub losses: u8,
    /// A client goes away before the decision.
    pub cancels: u8,
    /// A voter asks the anchor though its coordinator lives.
    pub early_questions: u8,
    /// A Finish, Ask or Acknowledge comes twice; all other messages may come as often as they like.
    pub duplicates: u8,
    /// A lock request comes a second time, late.
    pub late_locks: u8,
}

/// What is explored.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The transactions; the first is coordinated on node 0, and so on.
    pub programs: Vec<Program>,
    /// What may go wrong.
    pub faults: Faults,
    /// The rule that is switched off.
    pub off: Option<Rule>,
}

impl Scenario {
    /// Whether a rule holds.
    pub fn keeps(&self, rule: Rule) -> bool {
        self.off != Some(rule)
    }

    /// The same with a rule switched off.
    pub fn without(mut self, rule: Rule) -> Scenario {
        self.off = Some(rule);
        self
    }

    /// The same with other faults.
    pub fn with(mut self, faults: Faults) -> Scenario {
        self.faults = faults;
        self
    }
}

fn at(shard: ShardId, row: u8, path: u8, what: Use) -> Access {
    Access {
        shard,
        place: Place { row, path },
        what,
    }
}

fn scenario(programs: Vec<Program>) -> Scenario {
    Scenario {
        programs,
        faults: Faults::default(),
        off: None,
    }
}

/// Two transfers that lock in opposite orders, and a third transaction on the first shard alone.
pub fn transfers() -> Scenario {
    scenario(vec![
        Program::Locks(vec![at(1, 7, 1, Use::Append), at(2, 8, 1, Use::Append)]),
        Program::Locks(vec![at(2, 8, 1, Use::Append), at(1, 7, 1, Use::Append)]),
        Program::Locks(vec![at(1, 7, 1, Use::Append)]),
    ])
}

/// Each of two transactions reads what the other writes, on different shards; a third follows on the first shard.
pub fn write_skew() -> Scenario {
    scenario(vec![
        Program::Locks(vec![at(1, 7, 1, Use::Read), at(2, 8, 1, Use::Append)]),
        Program::Locks(vec![at(2, 8, 1, Use::Read), at(1, 7, 1, Use::Append)]),
        Program::Locks(vec![at(1, 7, 1, Use::Append)]),
    ])
}

/// A transfer, a reader of both its sides at one timestamp, and a commit in one phase.
pub fn snapshots() -> Scenario {
    scenario(vec![
        Program::Locks(vec![at(1, 7, 1, Use::Append), at(2, 8, 1, Use::Append)]),
        Program::Locks(vec![at(1, 7, 1, Use::Append)]),
        Program::Snapshot(vec![at(1, 7, 1, Use::Read), at(2, 8, 1, Use::Read)]),
    ])
}

/// Two paths of one document: a transfer changes one, commits in one phase change and consolidate the other.
pub fn one_document() -> Scenario {
    scenario(vec![
        Program::Locks(vec![at(2, 8, 1, Use::Append), at(1, 7, 1, Use::Append)]),
        Program::Locks(vec![at(1, 7, 2, Use::AppendAndFold)]),
        Program::Locks(vec![at(1, 7, 1, Use::Append)]),
    ])
}

/// A hot path: three commits in one phase, each on what the one before has proposed.
pub fn hot_path() -> Scenario {
    let append = || Program::Locks(vec![at(1, 7, 1, Use::Append)]);
    scenario(vec![append(), append(), append()])
}

/// A commit in one phase, one on the other shard that rests on what it proposed, and another beside it there.
pub fn handed_over() -> Scenario {
    scenario(vec![
        Program::Locks(vec![at(1, 7, 1, Use::Append)]),
        Program::Locks(vec![at(1, 7, 1, Use::Read), at(2, 8, 1, Use::Append)]),
        Program::Locks(vec![at(2, 8, 2, Use::Append)]),
    ])
}
