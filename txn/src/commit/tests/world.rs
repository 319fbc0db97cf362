//! A cluster in memory: shards with durable records and volatile leaders, coordinators, and a network that keeps every
//! message until it is told what to do with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::commit::record::{Known, OnDecide, OnFinish, OnPrepare};
use crate::commit::*;
use crate::locks::{Incarnation, TxnId};

/// A message on its way.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Packet {
    ToShard(ShardId, Message),
    ToCoordinator(Attempt, Reply),
}

/// What a shard has logged and applied.
#[derive(Default)]
pub(super) struct Durable {
    pub(super) known: BTreeMap<TxnId, Known>,
    pub(super) prepared: BTreeMap<TxnId, (Attempt, Parties)>,
    pub(super) decisions: BTreeMap<TxnId, (Attempt, Decision, Parties)>,
    pub(super) horizon_ms: u64,
    /// What the transaction's writes here came to.
    pub(super) outcome: BTreeMap<TxnId, Decision>,
}

/// A shard and its leader.
pub(super) struct Shard {
    pub(super) durable: Durable,
    participant: Participant,
    anchor: Anchor,
    /// Transactions with locks here.
    pub(super) locks: BTreeSet<TxnId>,
    sealed: BTreeSet<TxnId>,
    /// Proposed and not applied.
    pub(super) log: VecDeque<Logged>,
}

/// Everything.
pub(super) struct World {
    pub(super) now_ms: u64,
    timestamp: Timestamp,
    pub(super) network: Vec<Packet>,
    pub(super) shards: BTreeMap<ShardId, Shard>,
    pub(super) coordinators: BTreeMap<TxnId, Coordinator>,
    pub(super) attempts: BTreeMap<TxnId, (Attempt, Plan)>,
    pub(super) answers: BTreeMap<TxnId, Answer>,
    /// What happened, for the scripts.
    pub(super) trace: Vec<String>,
}

impl World {
    pub(super) fn new(shards: u32) -> World {
        let shard = |id| {
            let shard = Shard {
                durable: Durable::default(),
                participant: Participant::new(id, [], 0),
                anchor: Anchor::new(id, [], 0),
                locks: BTreeSet::new(),
                sealed: BTreeSet::new(),
                log: VecDeque::new(),
            };
            (id, shard)
        };
        World {
            now_ms: 0,
            timestamp: 100,
            network: Vec::new(),
            shards: (1..=shards).map(shard).collect(),
            coordinators: BTreeMap::new(),
            attempts: BTreeMap::new(),
            answers: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    /// A transaction that holds locks on all its shards comes to commit.
    pub(super) fn begin(&mut self, txn: TxnId, plan: Plan) {
        let coordinator = Incarnation {
            node: txn.0 as u32,
            start: 1,
        };
        let attempt = Attempt {
            txn,
            coordinator,
            started_ms: self.now_ms,
        };
        for shard in plan.written.iter().chain(&plan.readers) {
            self.shard(*shard).locks.insert(txn);
        }
        self.attempts.insert(txn, (attempt, plan.clone()));
        let (coordinator, tasks) = Coordinator::begin(attempt, plan);
        self.coordinators.insert(txn, coordinator);
        self.perform(attempt, tasks);
    }

    pub(super) fn shard(&mut self, id: ShardId) -> &mut Shard {
        self.shards.get_mut(&id).expect("the shard exists")
    }

    fn perform(&mut self, attempt: Attempt, tasks: Vec<Task>) {
        for task in tasks {
            match task {
                Task::Send(to, message) => self.network.push(Packet::ToShard(to, message)),
                Task::CommitOnePhase(to, attempt) => {
                    // One command; a leader that does not hold its locks any more answers with what stands.
                    self.timestamp += 1;
                    let decision = Decision::Commit(self.timestamp);
                    let parties = Parties {
                        anchor: to,
                        participants: Vec::new(),
                    };
                    let shard = self.shard(to);
                    if shard.locks.contains(&attempt.txn) {
                        shard.sealed.insert(attempt.txn);
                        shard.log.push_back(Logged::Decide(attempt, decision, parties));
                    } else {
                        let reply = match shard.durable.decisions.get(&attempt.txn) {
                            Some((_, decision, _)) => Reply::Decided(*decision),
                            None if attempt.started_ms < shard.durable.horizon_ms => Reply::TooLate,
                            None => Reply::Decided(Decision::Abort),
                        };
                        self.network.push(Packet::ToCoordinator(attempt, reply));
                    }
                }
                Task::Draw => {
                    self.timestamp += 1;
                    let drawn = self.timestamp;
                    self.trace.push(format!("t{} draws {drawn}", attempt.txn));
                    let tasks = self.coordinator(attempt.txn, |coordinator| coordinator.on_drawn(drawn));
                    self.perform(attempt, tasks);
                }
                Task::Answer(answer) => {
                    self.trace.push(format!("t{} is told {answer:?}", attempt.txn));
                    let before = self.answers.insert(attempt.txn, answer);
                    assert_eq!(before, None, "a client is answered once");
                }
            }
        }
    }

    fn coordinator(&mut self, txn: TxnId, call: impl FnOnce(&mut Coordinator) -> Vec<Task>) -> Vec<Task> {
        self.coordinators.get_mut(&txn).map(call).unwrap_or_default()
    }

    fn act(&mut self, id: ShardId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Propose(command) => {
                    let shard = self.shard(id);
                    if let Logged::Prepare(attempt, _) | Logged::Decide(attempt, Decision::Commit(_), _) = &command {
                        assert!(
                            shard.locks.contains(&attempt.txn),
                            "P6: t{} without its locks",
                            attempt.txn
                        );
                    }
                    shard.log.push_back(command);
                }
                Action::Reply(attempt, reply) => self.network.push(Packet::ToCoordinator(attempt, reply)),
                Action::Send(to, message) => self.network.push(Packet::ToShard(to, message)),
                Action::Release(txn) => self.shard(id).release(txn),
            }
        }
    }

    /// Delivers a message.
    pub(super) fn deliver(&mut self, packet: Packet) {
        let now_ms = self.now_ms;
        match packet {
            Packet::ToCoordinator(attempt, reply) => {
                let tasks = self.coordinator(attempt.txn, |coordinator| coordinator.on_reply(reply));
                self.perform(attempt, tasks);
            }
            Packet::ToShard(id, message) => {
                let shard = self.shard(id);
                let actions = match message {
                    Message::Prepare(attempt, parties) => {
                        let (locks, sealed) = (&shard.locks, &mut shard.sealed);
                        let seal = || {
                            sealed.extend(locks.get(&attempt.txn));
                            locks.contains(&attempt.txn)
                        };
                        shard.participant.on_prepare(attempt, parties, seal)
                    }
                    Message::Mark(attempt, parties) => {
                        let (locks, sealed) = (&shard.locks, &mut shard.sealed);
                        let seal = || {
                            sealed.extend(locks.get(&attempt.txn));
                            locks.contains(&attempt.txn)
                        };
                        shard.anchor.on_mark(attempt, parties, now_ms, seal)
                    }
                    Message::Confirm(attempt) => {
                        let stands = shard.locks.contains(&attempt.txn);
                        vec![Action::Reply(attempt, Reply::Confirmed(id, stands))]
                    }
                    Message::Decide(attempt, timestamp, parties) => shard.anchor.on_decide(attempt, timestamp, parties),
                    Message::Finish(attempt, decision, anchor) => {
                        shard.participant.on_finish(attempt, decision, anchor)
                    }
                    Message::Ask(attempt, parties, from) => shard.anchor.on_ask(attempt, parties, from),
                    Message::Acknowledge(attempt, from) => shard.anchor.on_acknowledge(attempt, from),
                    Message::Release(attempt) => {
                        let actions = shard.anchor.on_release(attempt);
                        if !shard.sealed.contains(&attempt.txn) {
                            shard.locks.remove(&attempt.txn);
                        }
                        actions
                    }
                };
                self.act(id, actions);
            }
        }
    }

    /// Applies the oldest proposed command of a shard.
    pub(super) fn apply(&mut self, id: ShardId) -> bool {
        let now_ms = self.now_ms;
        let shard = self.shard(id);
        let Some(command) = shard.log.pop_front() else {
            return false;
        };
        let actions = match command {
            Logged::Prepare(attempt, parties) => {
                let verdict = shard.durable.prepare(attempt, parties);
                shard.participant.on_prepared(attempt, verdict, now_ms)
            }
            Logged::Decide(attempt, decision, parties) => {
                let verdict = shard.durable.decide(attempt, decision, parties.clone());
                shard.anchor.on_decided(attempt, decision, parties, verdict, now_ms)
            }
            Logged::Finish(attempt, decision) => {
                shard.durable.finish(attempt, decision);
                shard.participant.on_finished(attempt)
            }
            Logged::Forget(txns) => {
                shard.durable.forget(&txns);
                Vec::new()
            }
        };
        self.act(id, actions);
        true
    }

    /// The leader of a shard is lost with what it proposed beyond the first `kept` commands; a new one takes over.
    pub(super) fn crash_shard(&mut self, id: ShardId, kept: usize) {
        let now_ms = self.now_ms;
        let shard = self.shard(id);
        let log: Vec<Logged> = shard.log.drain(..).take(kept).collect();
        for command in log {
            match command {
                Logged::Prepare(attempt, parties) => drop(shard.durable.prepare(attempt, parties)),
                Logged::Decide(attempt, decision, parties) => drop(shard.durable.decide(attempt, decision, parties)),
                Logged::Finish(attempt, decision) => shard.durable.finish(attempt, decision),
                Logged::Forget(txns) => shard.durable.forget(&txns),
            }
        }
        shard.participant = Participant::new(id, shard.durable.prepared.values().cloned(), now_ms);
        shard.anchor = Anchor::new(id, shard.durable.decisions.values().cloned(), now_ms);
        shard.sealed = shard.durable.prepared.keys().copied().collect();
        shard.locks = shard.sealed.clone();
    }

    /// A coordinator dies; the shards learn of it.
    pub(super) fn crash_coordinator(&mut self, txn: TxnId) {
        if self.coordinators.remove(&txn).is_none() {
            return;
        }
        let dead = Incarnation {
            node: txn.0 as u32,
            start: 1,
        };
        let now_ms = self.now_ms;
        for id in self.shards.keys().copied().collect::<Vec<_>>() {
            let shard = self.shard(id);
            if !shard.sealed.contains(&txn) {
                shard.locks.remove(&txn);
            }
            let actions = shard.participant.on_coordinator_dead(dead, now_ms);
            self.act(id, actions);
        }
    }

    /// Time passes everywhere.
    pub(super) fn tick(&mut self, ms: u64) {
        self.now_ms += ms;
        let now_ms = self.now_ms;
        for id in self.shards.keys().copied().collect::<Vec<_>>() {
            let shard = self.shard(id);
            let mut actions = shard.participant.on_tick(now_ms);
            actions.extend(shard.anchor.on_tick(now_ms, |_| false));
            self.act(id, actions);
        }
    }

    /// A coordinator has heard nothing for a while.
    pub(super) fn time_out(&mut self, txn: TxnId) {
        if let Some((attempt, _)) = self.attempts.get(&txn).cloned() {
            let tasks = self.coordinator(txn, Coordinator::on_timeout);
            self.perform(attempt, tasks);
        }
    }

    pub(super) fn cancel(&mut self, txn: TxnId) {
        if let Some((attempt, _)) = self.attempts.get(&txn).cloned() {
            let tasks = self.coordinator(txn, Coordinator::on_cancel);
            self.perform(attempt, tasks);
        }
    }

    /// The logged horizon of a shard moves.
    pub(super) fn move_horizon(&mut self, id: ShardId, horizon_ms: u64) {
        let shard = self.shard(id);
        let durable = &mut shard.durable;
        durable.horizon_ms = durable.horizon_ms.max(horizon_ms);
        let actions = shard.anchor.on_horizon(durable.horizon_ms);
        self.act(id, actions);
    }

    /// What holds at every moment (P1, P2, P3).
    pub(super) fn check(&self) {
        for (&txn, (_, plan)) in &self.attempts {
            let outcomes: Vec<(ShardId, Decision)> = self
                .shards
                .iter()
                .filter_map(|(&id, shard)| Some((id, *shard.durable.outcome.get(&txn)?)))
                .collect();
            let first = outcomes.first().map(|(_, outcome)| *outcome);
            assert!(
                outcomes.iter().all(|(_, outcome)| Some(*outcome) == first),
                "P1: t{txn} ends as {outcomes:?}"
            );
            let committed = outcomes.iter().any(|(_, outcome)| *outcome != Decision::Abort);
            match self.answers.get(&txn) {
                Some(Answer::Committed(0)) => assert!(plan.written.is_empty(), "P2: t{txn} wrote"),
                Some(Answer::Committed(timestamp)) => {
                    let decided = self.shards[&plan.written[0]].durable.outcome.get(&txn);
                    assert_eq!(
                        decided,
                        Some(&Decision::Commit(*timestamp)),
                        "P2: t{txn} was told it committed"
                    );
                }
                Some(Answer::Aborted) => assert!(!committed, "P2: t{txn} was told it aborted"),
                Some(Answer::Unknown) | None => {}
            }
        }
    }

    /// Lets everything happen that can, without loss, until nothing does.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let applied = self
                .shards
                .keys()
                .copied()
                .collect::<Vec<_>>()
                .into_iter()
                .any(|id| self.apply(id));
            if !applied {
                if self.network.is_empty() {
                    return;
                }
                let packet = self.network.remove(0);
                self.deliver(packet);
            }
            self.check();
        }
        panic!("messages go on for ever");
    }

    /// After faults have ended everything ends (P4).
    pub(super) fn heal(&mut self) {
        for _ in 0..40 {
            self.settle();
            self.tick(RESEND_AFTER_MS);
            for txn in self.coordinators.keys().copied().collect::<Vec<_>>() {
                self.time_out(txn);
            }
            // Unsealed locks belong to their coordinator, whose shell repeats its releases until they are heard.
            for (&txn, (attempt, plan)) in &self.attempts {
                if self.coordinators.get(&txn).is_none_or(Coordinator::is_done) {
                    let all = plan.written.iter().chain(&plan.readers);
                    self.network
                        .extend(all.map(|&shard| Packet::ToShard(shard, Message::Release(*attempt))));
                }
            }
        }
        self.settle();
        for (&id, shard) in &self.shards {
            assert!(
                shard.durable.prepared.is_empty(),
                "P4: {:?} wait on shard {id}",
                shard.durable.prepared.keys()
            );
            assert!(shard.locks.is_empty(), "P4: {:?} hold locks on shard {id}", shard.locks);
        }
        for (&txn, (_, plan)) in &self.attempts {
            let answer = self.answers.get(&txn);
            assert!(
                answer.is_some() || !self.coordinators.contains_key(&txn),
                "t{txn} has no answer"
            );
            // All that were written end alike: with the anchor.
            let anchor = plan
                .written
                .first()
                .and_then(|anchor| self.shards[anchor].durable.outcome.get(&txn));
            if let Some(Decision::Commit(_)) = anchor {
                for shard in &plan.written {
                    assert_eq!(
                        self.shards[shard].durable.outcome.get(&txn),
                        anchor,
                        "P1: t{txn} on shard {shard}"
                    );
                }
            }
        }
        // Beyond the horizon nothing is kept.
        self.now_ms += 2 * HORIZON_MS;
        for id in self.shards.keys().copied().collect::<Vec<_>>() {
            self.move_horizon(id, self.now_ms - HORIZON_MS);
        }
        self.settle();
        for (id, shard) in &self.shards {
            assert!(
                shard.durable.decisions.is_empty(),
                "shard {id} keeps {:?}",
                shard.durable.decisions
            );
        }
    }
}

impl Shard {
    fn release(&mut self, txn: TxnId) {
        self.locks.remove(&txn);
        self.sealed.remove(&txn);
    }
}

impl Durable {
    fn of(&self, txn: TxnId) -> Known {
        self.known.get(&txn).copied().unwrap_or_default()
    }

    fn prepare(&mut self, attempt: Attempt, parties: Parties) -> OnPrepare {
        let verdict = self.of(attempt.txn).on_prepare(attempt.started_ms, self.horizon_ms);
        if verdict == OnPrepare::Write {
            self.known.entry(attempt.txn).or_default().prepared = true;
            self.prepared.insert(attempt.txn, (attempt, parties));
        }
        verdict
    }

    fn decide(&mut self, attempt: Attempt, decision: Decision, parties: Parties) -> OnDecide {
        let verdict = self
            .of(attempt.txn)
            .on_decide(decision, attempt.started_ms, self.horizon_ms);
        if verdict == OnDecide::Write {
            self.known.entry(attempt.txn).or_default().decision = Some(decision);
            self.decisions.insert(attempt.txn, (attempt, decision, parties));
            let before = self.outcome.insert(attempt.txn, decision);
            assert!(before.is_none_or(|before| before == decision), "P3: one decision");
        }
        verdict
    }

    fn finish(&mut self, attempt: Attempt, decision: Decision) {
        let known = self.known.entry(attempt.txn).or_default();
        let verdict = known.on_finish(decision, attempt.started_ms, self.horizon_ms);
        if verdict == OnFinish::Stands {
            return;
        }
        let was_prepared = std::mem::take(&mut known.prepared);
        known.tombstone = verdict == OnFinish::Abort;
        self.prepared.remove(&attempt.txn);
        if was_prepared {
            let before = self.outcome.insert(attempt.txn, decision);
            assert_eq!(before, None, "P5: a transaction finishes once on a shard");
        }
    }

    fn forget(&mut self, txns: &[TxnId]) {
        for txn in txns {
            self.decisions.remove(txn);
            if let Some(known) = self.known.get_mut(txn) {
                known.decision = None;
            }
        }
    }
}
