//! Machine: what can happen next, and what then is.

use stateright::{Model, Property};
use txn::commit::{Answer, Attempt, Coordinator, Message, Plan, ShardId, Task, Timestamp};
use txn::locks::{Decision, Detector, Event, Outcome, TxnId};

use super::properties;
use super::rules::Rule;
use super::scenario::{Program, Scenario};
use super::shard::{Effects, REPLICAS};
use super::state::{Packet, Phase, SHARDS, State, attempt, node_of, session_of};

/// Something that can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A transaction asks for its next lock.
    Lock(usize),
    /// A transaction that waited for what it has seen commits.
    Commit(usize),
    /// A snapshot's timestamp is drawn.
    Draw(usize),
    /// A snapshot reads.
    Read(usize),
    /// A message comes.
    Deliver(Packet),
    /// It comes, and will come again.
    Repeat(Packet),
    /// It does not come.
    Lose(Packet),
    /// A coordinator that missed something asks again.
    Resend(usize),
    /// A client goes away.
    Cancel(usize),
    /// A replica stores what its leader has.
    Replicate(ShardId, usize),
    /// A node dies.
    Crash(usize),
    /// It becomes known at a shard.
    Mourn(ShardId, usize),
    /// Another replica leads.
    Change(ShardId, usize),
    /// The log refuses a proposal.
    Reject(ShardId, usize),
    /// The leader learns of it.
    Learn(ShardId),
    /// Deadlines of a shard's leader end.
    Tick(ShardId),
    /// A voter asks early.
    AskEarly(ShardId),
    /// Cycles through both shards are broken.
    Detect,
    /// A lock request comes again after its transaction has ended.
    LateLock(usize, usize),
}

impl Model for Scenario {
    type State = State;
    type Action = Happening;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Happening>) {
        self.steps_of_sessions(state, actions);
        for packet in &state.network {
            actions.push(Happening::Deliver(packet.clone()));
            if state.left.duplicates > 0 && !packet.stays() {
                actions.push(Happening::Repeat(packet.clone()));
            }
            if state.left.losses > 0 {
                actions.push(Happening::Lose(packet.clone()));
            }
        }
        for (at, shard) in state.shards.iter().enumerate() {
            let id = at as ShardId + 1;
            if shard.log_length() > 0 {
                let followers = (0..REPLICAS).filter(|&node| node != shard.leader && state.up[node]);
                actions.extend(followers.map(|node| Happening::Replicate(id, node)));
            }
            if state.left.changes > 0 {
                let heirs = (0..REPLICAS).filter(|&node| shard.may_lead(node));
                actions.extend(heirs.map(|node| Happening::Change(id, node)));
            }
            if state.left.rejections > 0 {
                actions.extend((0..shard.log_length()).map(|index| Happening::Reject(id, index)));
            }
            if shard.may_learn() {
                actions.push(Happening::Learn(id));
            }
            if state.faults > 0 {
                actions.push(Happening::Tick(id));
                let unmourned =
                    (0..REPLICAS).filter(|&node| !state.up[node] && !shard.mourned.contains(&(node as u32)));
                actions.extend(unmourned.map(|node| Happening::Mourn(id, node)));
            }
            if state.left.early_questions > 0 {
                actions.push(Happening::AskEarly(id));
            }
        }
        if state.left.crashes > 0 {
            let living = (0..REPLICAS).filter(|&node| state.up[node]);
            actions.extend(living.map(Happening::Crash));
        }
        if self.keeps(Rule::Detection) {
            actions.push(Happening::Detect);
        }
    }

    fn next_state(&self, before: &State, action: Happening) -> Option<State> {
        let mut state = before.clone();
        self.happen(&mut state, action)?;
        state.forget_answers();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Scenario {
    fn steps_of_sessions(&self, state: &State, actions: &mut Vec<Happening>) {
        for (at, session) in state.sessions.iter().enumerate() {
            let count = self.programs[at].accesses().len();
            match &session.phase {
                Phase::Locking { next, waits: false } if *next < count => actions.push(Happening::Lock(at)),
                Phase::Locking { waits: false, .. } => actions.push(Happening::Commit(at)),
                Phase::Reading { at: None, .. } => actions.push(Happening::Draw(at)),
                Phase::Reading { .. } => actions.push(Happening::Read(at)),
                Phase::Committing(_) => {
                    if state.left.cancels > 0 {
                        actions.push(Happening::Cancel(at));
                    }
                    if state.left.losses < self.faults.losses {
                        actions.push(Happening::Resend(at));
                    }
                }
                Phase::Ended if session.answer == Some(Answer::Aborted) && state.left.late_locks > 0 => {
                    actions.extend((0..count).map(|access| Happening::LateLock(at, access)));
                }
                Phase::Locking { .. } | Phase::Ended | Phase::Dead => {}
            }
        }
    }

    fn happen(&self, state: &mut State, action: Happening) -> Option<()> {
        match action {
            Happening::Lock(at) => self.lock(state, at),
            Happening::Commit(at) => self.try_commit(state, at),
            Happening::Draw(at) => {
                state.timestamp += 1;
                let drawn = Some(state.timestamp);
                state.sessions[at].phase = Phase::Reading { at: drawn, next: 0 };
            }
            Happening::Read(at) => self.read(state, at)?,
            Happening::Deliver(packet) => {
                if !packet.stays() {
                    state.network.remove(&packet);
                }
                self.deliver(state, packet);
            }
            Happening::Repeat(packet) => {
                state.left.duplicates -= 1;
                state.faults += 1;
                self.deliver(state, packet);
            }
            Happening::Lose(packet) => {
                state.left.losses -= 1;
                state.faults += 1;
                state.network.remove(&packet);
            }
            Happening::Resend(at) => {
                let sent = state.network.len();
                self.coordinate(state, at, Coordinator::on_timeout);
                if state.network.len() == sent && matches!(state.sessions[at].phase, Phase::Committing(_)) {
                    return None;
                }
            }
            Happening::Cancel(at) => {
                state.left.cancels -= 1;
                state.faults += 1;
                self.coordinate(state, at, Coordinator::on_cancel);
            }
            Happening::Replicate(id, node) => self.at_shard(state, id, |shard, effects| {
                shard.replicate(node, self, effects);
            }),
            Happening::Crash(node) => self.crash(state, node)?,
            Happening::Mourn(id, node) => self.at_shard(state, id, |shard, effects| {
                shard.mourn(node as u32, self, effects);
            }),
            Happening::Change(id, node) => {
                state.left.changes -= 1;
                state.faults += 1;
                self.lead(state, id, node);
            }
            Happening::Reject(id, index) => {
                state.left.rejections -= 1;
                state.faults += 1;
                if !state.shard(id).reject(index) {
                    return None;
                }
            }
            Happening::Learn(id) => self.at_shard(state, id, |shard, effects| shard.learn(self, effects)),
            Happening::Tick(id) => self.tick(state, id, false)?,
            Happening::AskEarly(id) => {
                state.left.early_questions -= 1;
                state.faults += 1;
                self.tick(state, id, true)?;
            }
            Happening::Detect => self.detect(state)?,
            Happening::LateLock(at, access) => {
                state.left.late_locks -= 1;
                let access = self.programs[at].accesses()[access];
                self.at_shard(state, access.shard, |shard, effects| {
                    shard.request(attempt(at), None, access.lock(), effects);
                });
            }
        }
        Some(())
    }

    // ---- sessions ----

    fn lock(&self, state: &mut State, at: usize) {
        let Phase::Locking { next, .. } = state.sessions[at].phase else {
            return;
        };
        let access = self.programs[at].accesses()[next];
        let epoch = state.sessions[at].epochs[access.shard as usize - 1].filter(|_| self.keeps(Rule::Epoch));
        let mut effects = Effects::default();
        let outcome = state
            .shard(access.shard)
            .request(attempt(at), epoch, access.lock(), &mut effects);
        match outcome {
            Outcome::Granted { .. } => self.granted(state, at),
            Outcome::Queued(_) => state.sessions[at].phase = Phase::Locking { next, waits: true },
            Outcome::Refused(_) => self.abort(state, at),
        }
        self.settle(state, effects);
    }

    /// A lock is held: what is there is read, and after the last one COMMIT begins.
    fn granted(&self, state: &mut State, at: usize) {
        let Phase::Locking { next, .. } = state.sessions[at].phase else {
            return;
        };
        let access = self.programs[at].accesses()[next];
        let shard = &state.shards[access.shard as usize - 1];
        let (epoch, (list, proposal)) = (shard.epoch, shard.read_newest(access.place));
        let session = &mut state.sessions[at];
        session.epochs[access.shard as usize - 1].get_or_insert(epoch);
        session.seen.push(list);
        session
            .seen_proposals
            .extend(proposal.map(|sequence| (access.shard, epoch, sequence)));
        session.phase = Phase::Locking {
            next: next + 1,
            waits: false,
        };
        if next + 1 == self.programs[at].accesses().len() {
            self.try_commit(state, at);
        }
    }

    /// COMMIT, if what was seen of others is there to stay.
    fn try_commit(&self, state: &mut State, at: usize) {
        if self.keeps(Rule::SeenIsApplied) {
            // A commit in one phase lies behind what it has seen in the same log, and is lost with it (T4).
            let (written, readers) = self.programs[at].shards();
            let alone = written
                .first()
                .copied()
                .filter(|_| written.len() == 1 && readers.is_empty());
            let applied = |(shard, epoch, sequence): &(ShardId, _, u64)| {
                state.shards[*shard as usize - 1].is_applied(*epoch, *sequence)
            };
            let seen_elsewhere = state.sessions[at]
                .seen_proposals
                .iter()
                .filter(|(shard, ..)| Some(*shard) != alone);
            let seen: Vec<Option<bool>> = seen_elsewhere.map(applied).collect();
            if seen.contains(&None) {
                return self.abort(state, at);
            }
            if seen.contains(&Some(false)) {
                return;
            }
        }
        let (written, readers) = self.programs[at].shards();
        let plan = Plan {
            written,
            readers,
            confirm: self.keeps(Rule::Confirm),
        };
        if !self.keeps(Rule::MarkThenDraw) {
            state.timestamp += 1;
            state.sessions[at].drawn = Some(state.timestamp);
        }
        let (coordinator, tasks) = Coordinator::begin(attempt(at), plan);
        state.sessions[at].phase = Phase::Committing(coordinator);
        state.sessions[at].seen_proposals.clear();
        self.perform(state, at, tasks);
    }

    /// A transaction fails before COMMIT: it gives back what it holds.
    fn abort(&self, state: &mut State, at: usize) {
        if !matches!(state.sessions[at].phase, Phase::Locking { .. }) {
            return;
        }
        state.sessions[at].phase = Phase::Ended;
        state.sessions[at].answer = Some(Answer::Aborted);
        self.release_everywhere(state, at);
    }

    fn release_everywhere(&self, state: &mut State, at: usize) {
        for shard in 1..=SHARDS as ShardId {
            let is_used = |access: &super::scenario::Access| access.shard == shard;
            if self.programs[at].accesses().iter().any(is_used) {
                state
                    .network
                    .insert(Packet::ToShard(shard, Message::Release(attempt(at))));
            }
        }
    }

    fn read(&self, state: &mut State, at: usize) -> Option<()> {
        let Phase::Reading {
            at: Some(timestamp),
            next,
        } = state.sessions[at].phase
        else {
            return None;
        };
        let access = self.programs[at].accesses()[next];
        let list = state.shards[access.shard as usize - 1].read_snapshot(access.place, timestamp, self)?;
        let session = &mut state.sessions[at];
        session.seen.push(list);
        session.drawn = Some(timestamp);
        session.phase = if next + 1 == self.programs[at].accesses().len() {
            session.answer = Some(Answer::Committed(0));
            Phase::Ended
        } else {
            Phase::Reading {
                at: Some(timestamp),
                next: next + 1,
            }
        };
        Some(())
    }

    fn coordinate(&self, state: &mut State, at: usize, call: impl FnOnce(&mut Coordinator) -> Vec<Task>) {
        if let Phase::Committing(coordinator) = &mut state.sessions[at].phase {
            let tasks = call(coordinator);
            self.perform(state, at, tasks);
        }
    }

    fn perform(&self, state: &mut State, at: usize, tasks: Vec<Task>) {
        for task in tasks {
            match task {
                Task::Send(to, message) => {
                    state.network.insert(Packet::ToShard(to, message));
                }
                Task::CommitOnePhase(to, attempt) => {
                    state.network.insert(Packet::OnePhase(to, attempt));
                }
                Task::Draw => {
                    let drawn = match state.sessions[at].drawn {
                        Some(drawn) => drawn,
                        None => {
                            state.timestamp += 1;
                            state.timestamp
                        }
                    };
                    self.coordinate(state, at, |coordinator| coordinator.on_drawn(drawn));
                }
                Task::Answer(answer) => {
                    state.sessions[at].answer = Some(answer);
                    state.sessions[at].phase = Phase::Ended;
                    // What it holds without having voted is its own to give back.
                    if answer != Answer::Unknown {
                        self.release_everywhere(state, at);
                    }
                }
            }
        }
    }

    // ---- messages and shards ----

    fn deliver(&self, state: &mut State, packet: Packet) {
        match packet {
            Packet::ToCoordinator(attempt, reply) => {
                self.coordinate(state, session_of(attempt.txn), |coordinator| {
                    coordinator.on_reply(reply)
                });
            }
            Packet::OnePhase(id, attempt) => {
                let payload = state.payload(self, attempt.txn, id);
                let mut timestamp: Timestamp = state.timestamp;
                self.at_shard(state, id, |shard, effects| {
                    shard.commit_one_phase(attempt, payload, &mut timestamp, self, effects);
                });
                state.timestamp = timestamp;
            }
            Packet::ToShard(id, message) => {
                let payload = state.payload(self, attempt_of(&message).txn, id);
                let newest = state.timestamp;
                self.at_shard(state, id, |shard, effects| {
                    shard.deliver(message, payload, newest, self, effects);
                });
            }
        }
    }

    fn at_shard(&self, state: &mut State, id: ShardId, call: impl FnOnce(&mut super::shard::Shard, &mut Effects)) {
        let mut effects = Effects::default();
        call(state.shard(id), &mut effects);
        self.settle(state, effects);
    }

    /// Sends what is to be sent, and tells transactions what became of their waits.
    fn settle(&self, state: &mut State, effects: Effects) {
        state.network.extend(effects.packets);
        for event in effects.events {
            match event {
                Event::Granted { txn, .. } => self.granted(state, session_of(txn)),
                Event::Aborted { txn, .. } => self.abort(state, session_of(txn)),
                Event::Escalated { .. } => {}
            }
        }
    }

    fn tick(&self, state: &mut State, id: ShardId, early: bool) -> Option<()> {
        let now_ms = state.now_ms();
        let sessions = state.sessions.clone();
        let is_coming = |txn: TxnId| matches!(sessions[session_of(txn)].phase, Phase::Committing(_));
        let log_length = state.shards[id as usize - 1].log_length();
        let effects = state.shard(id).tick(now_ms, is_coming, early, self);
        let says = effects.packets.iter().any(|packet| !state.network.contains(packet));
        let does = says || !effects.events.is_empty() || state.shards[id as usize - 1].log_length() > log_length;
        self.settle(state, effects);
        does.then_some(())
    }

    // ---- faults ----

    fn crash(&self, state: &mut State, node: usize) -> Option<()> {
        state.left.crashes -= 1;
        state.faults += 1;
        state.up[node] = false;
        for at in 0..state.sessions.len() {
            let is_over = matches!(state.sessions[at].phase, Phase::Ended);
            if node_of(at) == node && !is_over {
                state.sessions[at].phase = Phase::Dead;
            }
        }
        for id in 1..=SHARDS as ShardId {
            let epoch = state.shards[id as usize - 1].epoch;
            if !state.shard(id).lose_node(node, self) {
                return None;
            }
            self.tell_lost(state, id, epoch);
        }
        Some(())
    }

    fn lead(&self, state: &mut State, id: ShardId, node: usize) {
        let epoch = state.shards[id as usize - 1].epoch;
        state.shard(id).lead(node, self);
        self.tell_lost(state, id, epoch);
    }

    /// Who waited at a leader that is gone hears that its locks are lost; who only holds some there finds out when it needs them.
    fn tell_lost(&self, state: &mut State, id: ShardId, epoch: txn::locks::Epoch) {
        if state.shards[id as usize - 1].epoch == epoch {
            return;
        }
        for at in 0..state.sessions.len() {
            if let Phase::Locking { next, waits: true } = state.sessions[at].phase
                && self.programs[at].accesses()[next].shard == id
            {
                self.abort(state, at);
            }
        }
    }

    /// Looks for cycles through both shards.
    fn detect(&self, state: &mut State) -> Option<()> {
        let mut detector = Detector::default();
        for (at, shard) in state.shards.iter().enumerate() {
            let edges = shard.locks.table().edges();
            for edge in &edges {
                detector.set_priority(edge.waiter, edge.waiter.0);
            }
            detector.add(at as u32 + 1, edges);
        }
        let decisions = detector.decide();
        if decisions.is_empty() {
            return None;
        }
        for decision in decisions {
            match decision {
                Decision::Overtake { shard, waiter, passed } => self.at_shard(state, shard, |shard, effects| {
                    shard.change_locks(effects, |table| table.overtake(waiter, passed, &()));
                }),
                Decision::Abort { txn, cycle } => {
                    let reason = txn::locks::AbortReason::Deadlock(cycle);
                    for id in 1..=SHARDS as ShardId {
                        let reason = reason.clone();
                        self.at_shard(state, id, |shard, effects| {
                            shard.change_locks(effects, |table| table.abort_waiting(txn, reason, &()));
                        });
                    }
                }
            }
        }
        Some(())
    }

    /// Whether something can still happen.
    pub fn goes_on(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        // Faults do not count: nothing may wait for one.
        let is_fault = |action: &Happening| {
            matches!(
                action,
                Happening::Crash(_)
                    | Happening::Change(..)
                    | Happening::Reject(..)
                    | Happening::Lose(_)
                    | Happening::Repeat(_)
                    | Happening::Cancel(_)
                    | Happening::AskEarly(_)
                    | Happening::LateLock(..)
            )
        };
        let mut orderly = actions.into_iter().filter(|action| !is_fault(action));
        orderly.any(|action| self.next_state(state, action).is_some())
    }

    /// Whether a transaction reads at a timestamp.
    pub fn is_snapshot(&self, at: usize) -> bool {
        matches!(self.programs[at], Program::Snapshot(_))
    }
}

impl State {
    /// Answers nobody waits for any more are as good as lost, and so are questions only they would answer.
    fn forget_answers(&mut self) {
        let sessions = &self.sessions;
        let is_awaited = |txn: TxnId| matches!(sessions[session_of(txn)].phase, Phase::Committing(_));
        self.network.retain(|packet| match packet {
            Packet::ToCoordinator(attempt, _) => is_awaited(attempt.txn),
            Packet::ToShard(_, Message::Confirm(attempt)) => is_awaited(attempt.txn),
            Packet::ToShard(..) | Packet::OnePhase(..) => true,
        });
    }
}

fn attempt_of(message: &Message) -> Attempt {
    match message {
        Message::Prepare(attempt, _)
        | Message::Mark(attempt, _)
        | Message::Confirm(attempt)
        | Message::Decide(attempt, _, _)
        | Message::Finish(attempt, _, _)
        | Message::Ask(attempt, _, _)
        | Message::Acknowledge(attempt, _)
        | Message::Release(attempt) => *attempt,
    }
}
