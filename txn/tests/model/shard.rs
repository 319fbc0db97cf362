//! Shard: three replicas of a log, what the leader has applied of it, and the leader's side of the protocol.
//!
//! The cores are the product's: lock table, participant, anchor, what a replica makes of a logged command, which command may
//! follow which. What is here is the shell around them (`txn/src/shard`, `txn/src/machine`) without threads, disk and clock.
//! Raft is here by what it promises: an entry that two of three replicas store stays; a new leader is one of those whose log
//! no other living replica is ahead of.

use std::collections::{BTreeMap, BTreeSet};

use txn::commit::record::{Known, OnDecide, OnFinish, OnPrepare};
use txn::commit::{
    Action, Anchor, Attempt, Decision, Logged, Message, Participant, Parties, Reply, ShardId, Timestamp,
};
use txn::locks::{Epoch, Event, Incarnation, Owner, TxnId};
use txn::{LockName, LockRequest, Mode, Position};

use super::locks::Locks;
use super::rows::{List, Place, Rows, Write};
use super::rules::Rule;
use super::scenario::Scenario;
use super::state::Packet;

/// Replicas of a shard, one on each node.
pub const REPLICAS: usize = 3;

/// A command of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// Of a commit over several shards.
    Step {
        logged: Logged,
        writes: Vec<Write>,
        locks: Vec<(LockName, Mode)>,
        may_fold: bool,
    },
    /// A commit in one phase.
    OnePhase(Attempt, Timestamp, Vec<Write>),
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    epoch: Epoch,
    sequence: u64,
    body: Body,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prepared {
    attempt: Attempt,
    parties: Parties,
    writes: Vec<Write>,
    locks: Vec<(LockName, Mode)>,
}

/// What is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Durable {
    position: Position,
    known: BTreeMap<TxnId, Known>,
    pub prepared: BTreeMap<TxnId, Prepared>,
    decisions: BTreeMap<TxnId, (Attempt, Decision, Parties)>,
    pub rows: Rows,
    /// What transactions came to here. Only properties look at it.
    pub outcomes: BTreeMap<TxnId, Decision>,
    /// Those that heard ABORT here. Only properties look at it.
    pub aborted: BTreeSet<TxnId>,
}

/// How far a transaction's writes are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Undated { above: Timestamp },
    Proposed { at: Timestamp, sequence: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OnItsWay {
    stage: Stage,
    writes: Vec<Write>,
}

/// What a coordinator sends along with a message.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// The transaction's writes here.
    pub writes: Vec<Write>,
    /// Epoch of its locks here.
    pub epoch: Option<Epoch>,
}

/// What comes out of a call.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be sent.
    pub packets: Vec<Packet>,
    /// What happened to waits.
    pub events: Vec<Event>,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    id: ShardId,
    pub leader: usize,
    up: [bool; REPLICAS],
    /// Entries that are not applied, and how many of them each replica stores; −1: not even all that is applied.
    log: Vec<Entry>,
    stored: [i8; REPLICAS],
    pub durable: Durable,
    // What follows is the leader's memory.
    pub epoch: Epoch,
    sequence: u64,
    /// A proposal of this epoch was lost, and the leader has not learned of it.
    lost: bool,
    pub locks: Locks,
    on_its_way: BTreeMap<TxnId, OnItsWay>,
    participant: Participant,
    anchor: Anchor,
    /// Nodes known to be dead.
    pub mourned: BTreeSet<u32>,
}

const BORN: Epoch = Epoch { term: 1, generation: 0 };

impl Shard {
    /// A shard led by a node.
    pub fn new(id: ShardId, leader: usize) -> Shard {
        Shard {
            id,
            leader,
            up: [true; REPLICAS],
            log: Vec::new(),
            stored: [0; REPLICAS],
            durable: Durable::default(),
            epoch: BORN,
            sequence: 0,
            lost: false,
            locks: Locks::new(BORN),
            on_its_way: BTreeMap::new(),
            participant: Participant::new(id, [], 0),
            anchor: Anchor::new(id, [], 0),
            mourned: BTreeSet::new(),
        }
    }

    /// Whether nothing is on its way and nothing waits for anything.
    pub fn is_idle(&self) -> bool {
        self.log.is_empty()
            && self.on_its_way.is_empty()
            && self.durable.prepared.is_empty()
            && self.locks.table().transactions().is_empty()
    }

    /// Number of entries not applied.
    pub fn log_length(&self) -> usize {
        self.log.len()
    }

    // ---- replication ----

    /// A replica stores all the leader has; what a quorum stores is applied.
    pub fn replicate(&mut self, to: usize, scenario: &Scenario, effects: &mut Effects) {
        if to == self.leader || !self.up[to] {
            return;
        }
        let length = self.log.len() as i8;
        self.stored[to] = length;
        let second = (0..REPLICAS)
            .filter(|&replica| replica != self.leader && self.up[replica])
            .map(|replica| self.stored[replica])
            .max();
        for _ in 0..second.unwrap_or(0) {
            self.apply_first(Some(effects), scenario);
        }
    }

    fn apply_first(&mut self, effects: Option<&mut Effects>, scenario: &Scenario) {
        let entry = self.log.remove(0);
        for stored in &mut self.stored {
            *stored = (*stored - 1).max(-1);
        }
        self.apply(entry, effects, scenario);
    }

    /// A node dies. `false` if this shard has no quorum without it.
    pub fn lose_node(&mut self, node: usize, scenario: &Scenario) -> bool {
        self.up[node] = false;
        self.stored[node] = -1;
        if self.up.iter().filter(|up| **up).count() < 2 {
            return false;
        }
        if self.leader == node {
            let heir = (0..REPLICAS)
                .filter(|&replica| self.up[replica])
                .max_by_key(|&replica| self.stored[replica]);
            let Some(heir) = heir else { return false };
            self.lead(heir, scenario);
        }
        true
    }

    /// Whether a replica can become leader while the others live: none of a quorum with it is ahead of it.
    pub fn may_lead(&self, replica: usize) -> bool {
        let voters = (0..REPLICAS).filter(|&other| {
            let stored = if other == self.leader {
                self.log.len() as i8
            } else {
                self.stored[other]
            };
            other != replica && self.up[other] && stored <= self.stored[replica]
        });
        replica != self.leader && self.up[replica] && self.stored[replica] >= 0 && voters.count() >= 1
    }

    /// Another replica leads: what it stores is kept and applied, what only others store is gone; and so is what the leader
    /// before had in memory. Its first entry is applied before it serves.
    pub fn lead(&mut self, replica: usize, scenario: &Scenario) {
        let kept = usize::try_from(self.stored[replica]).unwrap_or(0);
        self.log.truncate(kept);
        self.leader = replica;
        for _ in 0..kept {
            self.apply_first(None, scenario);
        }
        for (stored, up) in self.stored.iter_mut().zip(self.up) {
            *stored = if up { 0 } else { -1 };
        }
        self.restart(Epoch {
            term: self.epoch.term + 1,
            generation: 0,
        });
    }

    /// A leader's memory from what is applied.
    fn restart(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.sequence = 0;
        self.lost = false;
        self.locks = Locks::new(epoch);
        self.on_its_way.clear();
        self.mourned.clear();
        for (txn, prepared) in &self.durable.prepared {
            let locks: Vec<LockRequest> = prepared
                .locks
                .iter()
                .map(|(name, mode)| LockRequest::new(name.clone(), *mode))
                .collect();
            let owner = owner(prepared.attempt);
            self.locks.change(|table| table.restore(owner, &locks));
            let marked = OnItsWay {
                stage: Stage::Undated { above: 0 },
                writes: prepared.writes.clone(),
            };
            self.on_its_way.insert(*txn, marked);
        }
        let votes = self.durable.prepared.values();
        self.participant = Participant::new(self.id, votes.map(|vote| (vote.attempt, vote.parties.clone())), 0);
        self.anchor = Anchor::new(self.id, self.durable.decisions.values().cloned(), 0);
    }

    /// The log refuses one proposal that no other replica stores, and takes those after it.
    pub fn reject(&mut self, index: usize) -> bool {
        let others = (0..REPLICAS).filter(|&replica| replica != self.leader);
        let stored = others.map(|replica| self.stored[replica]).max().unwrap_or(0);
        if index >= self.log.len() || (index as i8) < stored || self.lost {
            return false;
        }
        self.log.remove(index);
        self.lost = true;
        true
    }

    /// Whether the leader can learn that a proposal was lost: what came before it is applied.
    pub fn may_learn(&self) -> bool {
        self.lost && self.log.is_empty()
    }

    /// The leader learns that a proposal was lost: nothing proposed after it counts, and all unprepared locks fall.
    pub fn learn(&mut self, scenario: &Scenario, effects: &mut Effects) {
        let epoch = Epoch {
            generation: self.epoch.generation + 1,
            ..self.epoch
        };
        let fallen = self.locks.table().transactions();
        if scenario.keeps(Rule::FreshCores) {
            self.restart(epoch);
        } else {
            self.epoch = epoch;
            self.sequence = 0;
            self.lost = false;
            self.on_its_way
                .retain(|_, on_its_way| !matches!(on_its_way.stage, Stage::Proposed { .. }));
            self.change_locks(effects, |table| table.clear(epoch, &()));
        }
        for txn in fallen {
            if !self.durable.prepared.contains_key(&txn) {
                effects.events.push(Event::Aborted {
                    txn,
                    ticket: None,
                    reason: txn::locks::AbortReason::Lost,
                });
            }
        }
    }

    // ---- locks and reads ----

    /// Asks for locks.
    pub fn request(
        &mut self,
        attempt: Attempt,
        epoch: Option<Epoch>,
        lock: LockRequest,
        effects: &mut Effects,
    ) -> txn::locks::Outcome {
        let request = txn::locks::Request {
            owner: owner(attempt),
            epoch,
            step: 0,
            locks: &[lock],
            wait: txn::locks::WaitMode::Wait,
        };
        self.change_locks(effects, |table| table.request(request, &()))
    }

    /// Changes the lock table; what happens to waits is an effect.
    pub fn change_locks<T>(&mut self, effects: &mut Effects, call: impl FnOnce(&mut txn::locks::LockTable) -> T) -> T {
        let (answer, events) = self.locks.change(call);
        effects.events.extend(events);
        answer
    }

    /// What a reader under a lock sees: what is applied and what is proposed. With the newest proposal that shows, if any.
    pub fn read_newest(&self, place: Place) -> (List, Option<u64>) {
        let mut newest = None;
        for on_its_way in self.on_its_way.values() {
            let Stage::Proposed { at, sequence } = on_its_way.stage else {
                continue;
            };
            for write in on_its_way.writes.iter().filter(|write| write.place == place) {
                if newest.as_ref().is_none_or(|(newest, _, _)| *newest < at) {
                    newest = Some((at, write.list.clone(), sequence));
                }
            }
        }
        match newest {
            Some((_, list, sequence)) => (list, Some(sequence)),
            None => (self.durable.rows.read(place, Timestamp::MAX), None),
        }
    }

    /// Whether a proposal of an epoch is applied; `None` if it was lost.
    pub fn is_applied(&self, epoch: Epoch, sequence: u64) -> Option<bool> {
        let position = self.durable.position;
        if self.epoch != epoch {
            return None;
        }
        Some(position.epoch == epoch && position.sequence >= sequence)
    }

    /// What a snapshot sees; `None` if it must wait for somebody (T3).
    pub fn read_snapshot(&self, place: Place, at: Timestamp, scenario: &Scenario) -> Option<List> {
        let is_not_above = |stage: Stage| match stage {
            Stage::Undated { above } => above < at,
            Stage::Proposed { at: commit, .. } => commit <= at,
        };
        let blocks = |on_its_way: &OnItsWay| {
            is_not_above(on_its_way.stage) && on_its_way.writes.iter().any(|write| write.place.row == place.row)
        };
        if scenario.keeps(Rule::SnapshotsWait) && self.on_its_way.values().any(blocks) {
            return None;
        }
        Some(self.durable.rows.read(place, at))
    }

    // ---- messages ----

    /// Takes a message of a coordinator or of another shard.
    pub fn deliver(
        &mut self,
        message: Message,
        payload: Payload,
        newest: Timestamp,
        scenario: &Scenario,
        effects: &mut Effects,
    ) {
        let stands = payload.epoch.is_none_or(|epoch| epoch == self.epoch);
        let actions = match message {
            Message::Prepare(attempt, parties) => {
                let (locks, on_its_way) = (&mut self.locks, &mut self.on_its_way);
                let writes = payload.writes.clone();
                self.participant.on_prepare(attempt, parties, || {
                    seal(locks, on_its_way, attempt, stands, writes, newest, scenario)
                })
            }
            Message::Mark(attempt, parties) => {
                let (locks, on_its_way) = (&mut self.locks, &mut self.on_its_way);
                let writes = payload.writes.clone();
                self.anchor.on_mark(attempt, parties, 0, || {
                    seal(locks, on_its_way, attempt, stands, writes, newest, scenario)
                })
            }
            Message::Confirm(attempt) => vec![Action::Reply(attempt, Reply::Confirmed(self.id, stands))],
            Message::Decide(attempt, timestamp, parties) => self.anchor.on_decide(attempt, timestamp, parties),
            Message::Finish(attempt, decision, anchor) => self.participant.on_finish(attempt, decision, anchor),
            Message::Ask(attempt, parties, from) => self.anchor.on_ask(attempt, parties, from),
            Message::Acknowledge(attempt, from) => self.anchor.on_acknowledge(attempt, from),
            Message::Release(attempt) => {
                if self.on_its_way.contains_key(&attempt.txn) {
                    self.anchor.on_release(attempt)
                } else {
                    self.release(attempt.txn, effects);
                    Vec::new()
                }
            }
        };
        self.perform(actions, payload.writes, scenario, effects);
    }

    /// A commit in one phase, or the question what became of it.
    pub fn commit_one_phase(
        &mut self,
        attempt: Attempt,
        payload: Payload,
        timestamp: &mut Timestamp,
        scenario: &Scenario,
        effects: &mut Effects,
    ) {
        let txn = attempt.txn;
        if self.on_its_way.contains_key(&txn) {
            return;
        }
        let standing = self.durable.known.get(&txn).and_then(|known| known.decision);
        let stands = payload.epoch == Some(self.epoch) && self.locks.holds(txn);
        if standing.is_some() || !stands && scenario.keeps(Rule::Epoch) {
            let decision = standing.unwrap_or(Decision::Abort);
            effects
                .packets
                .push(Packet::ToCoordinator(attempt, Reply::Decided(decision)));
            return;
        }
        let above = *timestamp;
        *timestamp += 1;
        let at = *timestamp;
        let marked = OnItsWay {
            stage: Stage::Undated { above },
            writes: payload.writes.clone(),
        };
        self.on_its_way.insert(txn, marked);
        let mut writes = payload.writes;
        self.settle_folds(txn, &mut writes, scenario);
        let sequence = self.propose(Body::OnePhase(attempt, at, writes));
        self.hand_over(txn, Decision::Commit(at), sequence, effects);
    }

    /// Time passes. `is_coming` tells of coordinators that live. What was sent or proposed.
    pub fn tick(
        &mut self,
        now_ms: u64,
        is_coming: impl Fn(TxnId) -> bool,
        early: bool,
        scenario: &Scenario,
    ) -> Effects {
        let mut effects = Effects::default();
        let mut actions = self.anchor.on_tick(now_ms, &is_coming);
        if early || self.participant.undecided().any(|txn| !is_coming(txn)) {
            actions.extend(self.participant.on_tick(now_ms));
        }
        self.perform(actions, Vec::new(), scenario, &mut effects);
        effects
    }

    /// It becomes known that a node is dead: its coordinators' unprepared locks fall, and what they left is asked for.
    pub fn mourn(&mut self, node: u32, scenario: &Scenario, effects: &mut Effects) {
        self.mourned.insert(node);
        let dead = Incarnation { node, start: 1 };
        self.change_locks(effects, |table| table.drop_coordinator(dead, &()));
        let actions = self.participant.on_coordinator_dead(dead, 0);
        self.perform(actions, Vec::new(), scenario, effects);
    }

    fn perform(&mut self, actions: Vec<Action>, mut writes: Vec<Write>, scenario: &Scenario, effects: &mut Effects) {
        for action in actions {
            match action {
                Action::Propose(logged) => self.log(logged, std::mem::take(&mut writes), scenario, effects),
                Action::Reply(attempt, reply) => effects.packets.push(Packet::ToCoordinator(attempt, reply)),
                Action::Send(to, message) => effects.packets.push(Packet::ToShard(to, message)),
                Action::Release(txn) => {
                    let is_proposed = |on_its_way: &OnItsWay| matches!(on_its_way.stage, Stage::Proposed { .. });
                    if !self.on_its_way.get(&txn).is_some_and(is_proposed) {
                        self.on_its_way.remove(&txn);
                    }
                    self.release(txn, effects);
                }
            }
        }
    }

    fn log(&mut self, logged: Logged, mut writes: Vec<Write>, scenario: &Scenario, effects: &mut Effects) {
        let step = |locks, writes, may_fold| Body::Step {
            logged: logged.clone(),
            writes,
            locks,
            may_fold,
        };
        match &logged {
            Logged::Prepare(attempt, _) => {
                let locks = self.locks.table().locks_of(attempt.txn).into_iter();
                let locks = locks.map(|lock| (lock.name, lock.mode)).collect();
                let body = step(locks, writes, false);
                self.propose(body);
            }
            Logged::Decide(attempt, decision, _) => {
                if *decision == Decision::Abort {
                    writes.clear();
                } else {
                    self.settle_folds(attempt.txn, &mut writes, scenario);
                }
                let sequence = self.propose(step(Vec::new(), writes, true));
                self.hand_over(attempt.txn, *decision, sequence, effects);
            }
            Logged::Finish(attempt, decision) => {
                let may_fold = !scenario.keeps(Rule::ConsolidationGuard) || self.may_fold(attempt.txn);
                let sequence = self.propose(step(Vec::new(), Vec::new(), may_fold));
                self.hand_over(attempt.txn, *decision, sequence, effects);
            }
            Logged::Forget(_) => {
                self.propose(step(Vec::new(), Vec::new(), false));
            }
        }
    }

    /// Locks pass on when the decision is proposed (T4).
    fn hand_over(&mut self, txn: TxnId, decision: Decision, sequence: u64, effects: &mut Effects) {
        match (decision, self.on_its_way.get_mut(&txn)) {
            (Decision::Commit(at), Some(on_its_way)) => on_its_way.stage = Stage::Proposed { at, sequence },
            (Decision::Commit(_), None) => {}
            (Decision::Abort, _) => drop(self.on_its_way.remove(&txn)),
        }
        self.release(txn, effects);
    }

    fn release(&mut self, txn: TxnId, effects: &mut Effects) {
        if self.locks.table().transactions().contains(&txn) {
            self.change_locks(effects, |table| table.release(txn, &()));
        }
    }

    fn propose(&mut self, body: Body) -> u64 {
        self.sequence += 1;
        self.log.push(Entry {
            epoch: self.epoch,
            sequence: self.sequence,
            body,
        });
        self.sequence
    }

    fn is_undecided(&self, row: u8, txn: TxnId) -> bool {
        self.on_its_way.iter().any(|(other, on_its_way)| {
            let is_open = matches!(on_its_way.stage, Stage::Undated { .. });
            *other != txn && is_open && on_its_way.writes.iter().any(|write| write.place.row == row)
        })
    }

    fn settle_folds(&self, txn: TxnId, writes: &mut [Write], scenario: &Scenario) {
        if scenario.keeps(Rule::ConsolidationGuard) {
            for write in writes {
                write.fold &= !self.is_undecided(write.place.row, txn);
            }
        }
    }

    fn may_fold(&self, txn: TxnId) -> bool {
        let writes = self
            .on_its_way
            .get(&txn)
            .map_or(&[][..], |on_its_way| &on_its_way.writes);
        let mut folds = writes.iter().filter(|write| write.fold);
        !folds.any(|write| self.is_undecided(write.place.row, txn))
    }

    // ---- apply ----

    fn apply(&mut self, entry: Entry, effects: Option<&mut Effects>, scenario: &Scenario) {
        let Entry { epoch, sequence, body } = entry;
        if scenario.keeps(Rule::Order) && !self.durable.position.is_followed_by(epoch, sequence) {
            return;
        }
        self.durable.position = Position { epoch, sequence };
        let (completed, outcome) = self.durable.apply(body, scenario);
        let (true, Some(effects)) = (self.epoch == epoch, effects) else {
            return;
        };
        if let Some(txn) = completed {
            self.on_its_way.remove(&txn);
        }
        let actions = match outcome {
            Outcome::Done => Vec::new(),
            Outcome::Prepared(attempt, verdict) => self.participant.on_prepared(attempt, verdict, 0),
            Outcome::Decided(attempt, decision, parties, verdict) => {
                self.anchor.on_decided(attempt, decision, parties, verdict, 0)
            }
            Outcome::Finished(attempt) => self.participant.on_finished(attempt),
            Outcome::OnePhase(attempt, decision) => vec![Action::Reply(attempt, Reply::Decided(decision))],
        };
        self.perform(actions, Vec::new(), scenario, effects);
    }
}

/// Seals a transaction's locks and marks its writes.
fn seal(
    locks: &mut Locks,
    on_its_way: &mut BTreeMap<TxnId, OnItsWay>,
    attempt: Attempt,
    stands: bool,
    writes: Vec<Write>,
    newest: Timestamp,
    scenario: &Scenario,
) -> bool {
    let sealed = stands
        && locks.table().transactions().contains(&attempt.txn)
        && locks.change(|table| table.seal(attempt.txn)).0;
    let votes = sealed || (!scenario.keeps(Rule::Epoch) && !on_its_way.contains_key(&attempt.txn));
    if votes {
        let stage = Stage::Undated { above: newest };
        on_its_way.insert(attempt.txn, OnItsWay { stage, writes });
    }
    votes
}

/// Who asks for locks.
pub fn owner(attempt: Attempt) -> Owner {
    Owner {
        txn: attempt.txn,
        coordinator: attempt.coordinator,
        session: attempt.txn.0 as u32,
        priority: attempt.txn.0,
        serializable: true,
    }
}

enum Outcome {
    Done,
    Prepared(Attempt, OnPrepare),
    Decided(Attempt, Decision, Parties, OnDecide),
    Finished(Attempt),
    OnePhase(Attempt, Decision),
}

impl Durable {
    /// Applies a command: whose writes can be read now, and what the leader's cores are told.
    fn apply(&mut self, body: Body, scenario: &Scenario) -> (Option<TxnId>, Outcome) {
        let (logged, writes, locks, may_fold) = match body {
            Body::OnePhase(attempt, at, writes) => {
                let decision = Decision::Commit(at);
                let verdict = self.of(attempt.txn).on_decide(decision, attempt.started_ms, 0);
                let standing = match verdict {
                    OnDecide::Write => decision,
                    OnDecide::Stands(standing) => standing,
                    OnDecide::TooLate => Decision::Abort,
                };
                if verdict == OnDecide::Write {
                    self.known.entry(attempt.txn).or_default().decision = Some(decision);
                    self.rows.write(at, &writes, true);
                    self.outcomes.insert(attempt.txn, decision);
                }
                return (Some(attempt.txn), Outcome::OnePhase(attempt, standing));
            }
            Body::Step {
                logged,
                writes,
                locks,
                may_fold,
            } => (logged, writes, locks, may_fold),
        };
        match logged {
            Logged::Prepare(attempt, parties) => {
                let verdict = self.of(attempt.txn).on_prepare(attempt.started_ms, 0);
                if verdict == OnPrepare::Write {
                    self.known.entry(attempt.txn).or_default().prepared = true;
                    let prepared = Prepared {
                        attempt,
                        parties,
                        writes,
                        locks,
                    };
                    self.prepared.insert(attempt.txn, prepared);
                }
                (None, Outcome::Prepared(attempt, verdict))
            }
            Logged::Decide(attempt, decision, parties) => {
                let verdict = self.of(attempt.txn).on_decide(decision, attempt.started_ms, 0);
                if verdict == OnDecide::Write {
                    self.known.entry(attempt.txn).or_default().decision = Some(decision);
                    self.decisions.insert(attempt.txn, (attempt, decision, parties.clone()));
                    self.outcomes.insert(attempt.txn, decision);
                    if let Decision::Commit(at) = decision {
                        self.rows.write(at, &writes, true);
                    }
                }
                (Some(attempt.txn), Outcome::Decided(attempt, decision, parties, verdict))
            }
            Logged::Finish(attempt, decision) => {
                self.finish(attempt, decision, may_fold, scenario);
                (Some(attempt.txn), Outcome::Finished(attempt))
            }
            Logged::Forget(txns) => {
                for txn in txns {
                    self.decisions.remove(&txn);
                }
                (None, Outcome::Done)
            }
        }
    }

    fn of(&self, txn: TxnId) -> Known {
        self.known.get(&txn).copied().unwrap_or_default()
    }

    fn finish(&mut self, attempt: Attempt, decision: Decision, may_fold: bool, scenario: &Scenario) {
        let known = self.known.entry(attempt.txn).or_default();
        let verdict = known.on_finish(decision, attempt.started_ms, 0);
        if verdict == OnFinish::Stands {
            return;
        }
        known.prepared = false;
        known.tombstone = verdict == OnFinish::Abort && scenario.keeps(Rule::Tombstones);
        if verdict == OnFinish::Abort {
            self.aborted.insert(attempt.txn);
        }
        if let Some(prepared) = self.prepared.remove(&attempt.txn) {
            self.outcomes.insert(attempt.txn, decision);
            if let Decision::Commit(at) = decision {
                self.rows.write(at, &prepared.writes, may_fold);
            }
        }
    }
}
