//! State: sessions, shards and a network that delivers in any order.
//!
//! Most messages stay in the network for ever once they are sent, so each may come late and as often as it likes (the set of
//! messages only grows, as in the TLA⁺ specification of two-phase commit). Finish, Ask and Acknowledge are answered with new
//! proposals or messages each time: they are taken out, and come twice as a fault that is counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use txn::commit::{Answer, Attempt, Coordinator, Message, Reply, ShardId, Timestamp};
use txn::locks::{Epoch, Incarnation, TxnId};

use super::rows::{List, Write};
use super::scenario::{Faults, Program, Scenario, Use};
use super::shard::{Payload, REPLICAS, Shard};

/// Shards.
pub const SHARDS: usize = 2;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Packet {
    /// To a shard's leader, whoever that is when it comes.
    ToShard(ShardId, Message),
    /// To a shard's leader: commit in one phase, or say what became of it.
    OnePhase(ShardId, Attempt),
    /// An answer.
    ToCoordinator(Attempt, Reply),
}

impl Packet {
    /// Whether it stays in the network when it is delivered.
    pub fn stays(&self) -> bool {
        !matches!(
            self,
            Packet::ToShard(_, Message::Finish(..) | Message::Ask(..) | Message::Acknowledge(..))
        )
    }
}

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Takes its locks one by one; COMMIT comes after the last.
    Locking { next: usize, waits: bool },
    /// Reads at a timestamp, once it is drawn.
    Reading { at: Option<Timestamp>, next: usize },
    /// Commits.
    Committing(Coordinator),
    /// Its client has an answer, or is gone.
    Ended,
    /// Its node died before it had an answer.
    Dead,
}

/// A transaction, and who coordinates it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    pub phase: Phase,
    /// What each access saw.
    pub seen: Vec<List>,
    /// Epoch of its locks on each shard.
    pub epochs: [Option<Epoch>; SHARDS],
    /// Proposals of others it has seen the effects of.
    pub seen_proposals: Vec<(ShardId, Epoch, u64)>,
    /// Its timestamp, if it was drawn too early (a rule that is off).
    pub drawn: Option<Timestamp>,
    pub answer: Option<Answer>,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub sessions: Vec<Session>,
    pub shards: Vec<Arc<Shard>>,
    pub network: BTreeSet<Packet>,
    pub timestamp: Timestamp,
    pub up: [bool; REPLICAS],
    pub left: Faults,
    /// Faults so far: deadlines end when something went wrong, and not before.
    pub faults: u8,
}

impl State {
    /// The beginning: nobody has done anything, and no shard is led by node 2.
    pub fn new(scenario: &Scenario) -> State {
        let session = |program: &Program| Session {
            phase: match program {
                Program::Locks(_) => Phase::Locking { next: 0, waits: false },
                Program::Snapshot(_) => Phase::Reading { at: None, next: 0 },
            },
            seen: Vec::new(),
            epochs: [None; SHARDS],
            seen_proposals: Vec::new(),
            drawn: None,
            answer: None,
        };
        State {
            sessions: scenario.programs.iter().map(session).collect(),
            shards: (0..SHARDS)
                .map(|at| Arc::new(Shard::new(at as ShardId + 1, at)))
                .collect(),
            network: BTreeSet::new(),
            timestamp: 10,
            up: [true; REPLICAS],
            left: scenario.faults,
            faults: 0,
        }
    }

    /// A shard, to be changed.
    pub fn shard(&mut self, id: ShardId) -> &mut Shard {
        Arc::make_mut(&mut self.shards[id as usize - 1])
    }

    /// What a transaction sends along to a shard.
    pub fn payload(&self, scenario: &Scenario, txn: TxnId, shard: ShardId) -> Payload {
        let at = session_of(txn);
        let session = &self.sessions[at];
        let accesses = scenario.programs[at].accesses().iter().zip(&session.seen);
        let written = accesses.filter(|(access, _)| access.shard == shard && access.what != Use::Read);
        let write = |(access, seen): (&super::scenario::Access, &List)| {
            let mut list = seen.clone();
            list.push(txn.0 as u8);
            Write {
                place: access.place,
                list,
                fold: access.what == Use::AppendAndFold,
            }
        };
        Payload {
            writes: written.map(write).collect(),
            epoch: session.epochs[shard as usize - 1],
        }
    }

    /// Whether all transactions have ended and nothing is left of them anywhere.
    pub fn has_ended(&self) -> bool {
        let is_over = |session: &Session| matches!(session.phase, Phase::Ended | Phase::Dead);
        self.sessions.iter().all(is_over) && self.shards.iter().all(|shard| shard.is_idle())
    }

    /// Milliseconds, as deadlines see them: beyond all of before whenever something went wrong.
    pub fn now_ms(&self) -> u64 {
        u64::from(self.faults) * 20_000
    }
}

/// The attempt of a session.
pub fn attempt(session: usize) -> Attempt {
    Attempt {
        txn: TxnId(session as u64 + 1),
        coordinator: Incarnation {
            node: node_of(session) as u32,
            start: 1,
        },
        started_ms: 0,
    }
}

/// The session of a transaction.
pub fn session_of(txn: TxnId) -> usize {
    txn.0 as usize - 1
}

/// The node a session is coordinated on.
pub fn node_of(session: usize) -> usize {
    session % REPLICAS
}
