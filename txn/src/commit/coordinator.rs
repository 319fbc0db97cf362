//! Coordinator: one transaction from COMMIT to the client's answer.
//!
//! ```text
//!   READY ──all voted, anchor marked──► VOTED ──timestamp drawn, readers confirmed──► DECIDING ──► COMMITTED | ABORTED
//!     └────────── a vote against, locks lost, too late ──────────► ABORTED              └─ no answer ─► unknown
//! ```
//!
//! Until it has sent Decide nothing can commit, and it may abort by itself. From then on only the anchor's record tells.

use std::collections::BTreeSet;

use super::{Attempt, Decision, Message, Parties, Reply, ShardId, Timestamp};

/// What a transaction did where, when it comes to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Written shards; the first is the anchor.
    pub written: Vec<ShardId>,
    /// Shards where it holds locks and wrote nothing. They are confirmed if what was read there matters (SERIALIZABLE).
    pub readers: Vec<ShardId>,
    /// Whether readers must confirm.
    pub confirm: bool,
}

/// What the coordinator wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Send to a shard's leader, with the shard's writes for Prepare and Decide.
    Send(ShardId, Message),
    /// Propose everything as one command on its only shard; answer with [`Coordinator::on_reply`] `Decided`.
    CommitOnePhase(ShardId, Attempt),
    /// Draw the commit timestamp, *now*: what is marked is marked (T2).
    Draw,
    /// Tell the client. Happens once.
    Answer(Answer),
}

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Committed; timestamp 0 if nothing was written.
    Committed(Timestamp),
    /// Nothing happened: 40001.
    Aborted,
    /// It cannot be learned whether it committed: 40003.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Votes and the anchor's mark are coming in.
    Ready,
    /// All voted; the timestamp is being drawn.
    Voted,
    /// Readers are being asked.
    Confirming(Timestamp),
    /// The anchor has been asked to commit.
    Deciding(Timestamp),
    /// Answered.
    Done,
}

/// One transaction's way to commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coordinator {
    attempt: Attempt,
    parties: Option<Parties>,
    readers: Vec<ShardId>,
    confirm: bool,
    state: State,
    /// Who has still to answer in this state.
    missing: BTreeSet<ShardId>,
    one_phase: bool,
    resends_left: u32,
}

/// How often an unanswered message is sent again before the coordinator gives up.
const RESENDS_MAX: u32 = 5;

impl Coordinator {
    /// Begins to commit.
    pub fn begin(attempt: Attempt, plan: Plan) -> (Coordinator, Vec<Task>) {
        let Plan {
            written,
            readers,
            confirm,
        } = plan;
        let parties = written.split_first().map(|(&anchor, others)| Parties {
            anchor,
            participants: others.to_vec(),
        });
        let mut coordinator = Coordinator {
            attempt,
            parties,
            confirm: confirm && !readers.is_empty(),
            readers,
            state: State::Ready,
            missing: written.iter().copied().collect(),
            one_phase: false,
            resends_left: RESENDS_MAX,
        };
        let tasks = coordinator.start();
        (coordinator, tasks)
    }

    fn start(&mut self) -> Vec<Task> {
        match &self.parties {
            None if self.confirm => self.confirm_at(0),
            None => self.finish(Answer::Committed(0)),
            // Every lock is on one shard: one command there is prepare, decision and release.
            Some(parties) if parties.participants.is_empty() && self.readers.is_empty() => {
                self.one_phase = true;
                self.state = State::Deciding(0);
                self.missing = [parties.anchor].into();
                vec![Task::CommitOnePhase(parties.anchor, self.attempt)]
            }
            Some(_) => self.outstanding(),
        }
    }

    /// Whether the client has its answer.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// What has been asked and not been answered.
    fn outstanding(&self) -> Vec<Task> {
        let Some(parties) = &self.parties else {
            return self
                .missing
                .iter()
                .map(|&shard| Task::Send(shard, Message::Confirm(self.attempt)))
                .collect();
        };
        let message = |shard: ShardId| match self.state {
            State::Ready if shard == parties.anchor => Message::Mark(self.attempt, parties.clone()),
            State::Ready => Message::Prepare(self.attempt, parties.clone()),
            State::Deciding(timestamp) => Message::Decide(self.attempt, timestamp, parties.clone()),
            State::Voted | State::Confirming(_) | State::Done => Message::Confirm(self.attempt),
        };
        self.missing
            .iter()
            .map(|&shard| Task::Send(shard, message(shard)))
            .collect()
    }

    /// An answer of a shard.
    pub fn on_reply(&mut self, reply: Reply) -> Vec<Task> {
        match (self.state, reply) {
            (State::Ready, Reply::Voted(_, false) | Reply::Marked(_, false)) => self.abort(),
            (State::Ready, Reply::Voted(shard, true) | Reply::Marked(shard, true)) => {
                self.missing.remove(&shard);
                if !self.missing.is_empty() {
                    return Vec::new();
                }
                self.state = State::Voted;
                vec![Task::Draw]
            }
            (State::Confirming(_), Reply::Confirmed(_, false)) => self.abort(),
            (State::Confirming(timestamp), Reply::Confirmed(shard, true)) => {
                self.missing.remove(&shard);
                if self.missing.is_empty() {
                    self.decide(timestamp)
                } else {
                    Vec::new()
                }
            }
            // ABORT may stand before Decide was sent: a participant asked.
            (State::Ready | State::Voted | State::Confirming(_), Reply::Decided(Decision::Abort)) => self.abort(),
            (State::Deciding(_), Reply::Decided(decision)) => self.on_decided(decision),
            (State::Deciding(_), Reply::TooLate) => self.finish(Answer::Unknown),
            // Late, or repeated.
            _ => Vec::new(),
        }
    }

    /// The commit timestamp was drawn.
    pub fn on_drawn(&mut self, timestamp: Timestamp) -> Vec<Task> {
        match self.state {
            State::Voted if self.confirm => self.confirm_at(timestamp),
            State::Voted => self.decide(timestamp),
            _ => Vec::new(),
        }
    }

    fn confirm_at(&mut self, timestamp: Timestamp) -> Vec<Task> {
        self.state = State::Confirming(timestamp);
        self.missing = self.readers.iter().copied().collect();
        self.resends_left = RESENDS_MAX;
        self.outstanding()
    }

    fn decide(&mut self, timestamp: Timestamp) -> Vec<Task> {
        let Some(parties) = &self.parties else {
            return self.finish(Answer::Committed(0));
        };
        self.state = State::Deciding(timestamp);
        self.missing = [parties.anchor].into();
        self.resends_left = RESENDS_MAX;
        self.outstanding()
    }

    fn on_decided(&mut self, decision: Decision) -> Vec<Task> {
        let mut tasks = Vec::new();
        if let Some(parties) = self.parties.as_ref().filter(|_| !self.one_phase) {
            // The anchor tells them too, and again until they acknowledge; from here it is one hop less.
            let finish = |&shard| Task::Send(shard, Message::Finish(self.attempt, decision, parties.anchor));
            tasks.extend(parties.participants.iter().map(finish));
        }
        tasks.extend(self.finish(match decision {
            Decision::Commit(timestamp) => Answer::Committed(timestamp),
            Decision::Abort => Answer::Aborted,
        }));
        tasks
    }

    /// Gives up before Decide was sent: nothing can have been committed, and nobody but this core would have decided COMMIT.
    fn abort(&mut self) -> Vec<Task> {
        let mut tasks = Vec::new();
        if let Some(Parties { anchor, participants }) = &self.parties {
            let finish = |&shard| Task::Send(shard, Message::Finish(self.attempt, Decision::Abort, *anchor));
            tasks.extend(participants.iter().map(finish));
            tasks.push(Task::Send(*anchor, Message::Release(self.attempt)));
        }
        tasks.extend(self.finish(Answer::Aborted));
        tasks
    }

    fn finish(&mut self, answer: Answer) -> Vec<Task> {
        self.state = State::Done;
        self.missing.clear();
        let release = |&shard| Task::Send(shard, Message::Release(self.attempt));
        let mut tasks: Vec<Task> = self.readers.iter().map(release).collect();
        tasks.push(Task::Answer(answer));
        tasks
    }

    /// The client went away, the session was cancelled or the node shuts down.
    pub fn on_cancel(&mut self) -> Vec<Task> {
        match self.state {
            State::Ready | State::Voted | State::Confirming(_) => self.abort(),
            // Too late to take it back.
            State::Deciding(_) | State::Done => Vec::new(),
        }
    }

    /// Nothing has come in for [`RESEND_AFTER_MS`](super::RESEND_AFTER_MS).
    pub fn on_timeout(&mut self) -> Vec<Task> {
        if self.state == State::Done {
            return Vec::new();
        }
        if self.resends_left > 0 {
            self.resends_left -= 1;
            return match (self.state, &self.parties) {
                (State::Voted, _) => vec![Task::Draw],
                // The command carries its own proof of the first time: the shard answers with what stands.
                (State::Deciding(_), Some(parties)) if self.one_phase => {
                    vec![Task::CommitOnePhase(parties.anchor, self.attempt)]
                }
                _ => self.outstanding(),
            };
        }
        match self.state {
            State::Deciding(_) => self.finish(Answer::Unknown),
            State::Ready | State::Voted | State::Confirming(_) => self.abort(),
            State::Done => Vec::new(),
        }
    }
}
