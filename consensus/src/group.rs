//! Group: one Raft group on this node.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, LinearizableReadError, RaftError};
use openraft::raft::ClientWriteResult;
use openraft::{EmptyNode, Raft, ReadPolicy};
use parking_lot::Mutex;
use storage::Engine;
use storage::engine::Family;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::ConsensusError;
use crate::leadership::{Leadership, Role, Shared};
use crate::log::GroupLog;
use crate::machine::StateMachine;
use crate::transport::SnapshotPiece;
use crate::types::{Command, CommittedLeaderId, Completion, GroupId, InFlight, NodeId, OnQueued, TypeConfig};

/// Bytes of commands of one group that are proposed and not yet applied, at most; openraft bounds only their number.
const PROPOSED_BYTES_MAX: usize = 256 << 20;

/// How long a shutdown waits for openraft's tasks to end.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) type GroupRaft = Raft<TypeConfig, StateMachine>;

/// A command that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Term of its entry.
    pub term: u64,
    /// Place of its entry.
    pub index: u64,
    /// What the machine answered.
    pub reply: Bytes,
}

/// A command on its way through the log; resolves once it is applied here. Dropping it does not take the command back.
#[must_use = "a proposal's outcome is known only from its future"]
pub struct Proposal(ProposalState);

enum ProposalState {
    Refused(Option<ConsensusError>),
    Waiting(oneshot::Receiver<ClientWriteResult<TypeConfig>>),
}

impl Future for Proposal {
    type Output = Result<Applied, ConsensusError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            ProposalState::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(ConsensusError::Stopped))),
            ProposalState::Waiting(receiver) => match receiver.poll_unpin(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(Ok(response))) => Poll::Ready(Ok(Applied {
                    term: response.log_id.leader_id.term,
                    index: response.log_id.index,
                    reply: response.data.0,
                })),
                Poll::Ready(Ok(Err(error))) => Poll::Ready(Err(write_error(error))),
                // The group stopped with the command somewhere between the queue and the log.
                Poll::Ready(Err(_)) => Poll::Ready(Err(ConsensusError::OutcomeUnknown)),
            },
        }
    }
}

fn write_error(error: ClientWriteError<TypeConfig>) -> ConsensusError {
    match error {
        ClientWriteError::ForwardToLeader(forward) => ConsensusError::NotLeader {
            leader: forward.leader_id,
        },
        ClientWriteError::LogEntryDiscarded(_) => ConsensusError::OutcomeUnknown,
        // The only condition we set is the term.
        ClientWriteError::PreconditionFailed(_) => ConsensusError::NotLeader { leader: None },
        ClientWriteError::ChangeMembershipError(error) => ConsensusError::Membership(error.to_string()),
    }
}

/// One Raft group on this node.
pub struct Group {
    id: GroupId,
    pub(crate) raft: GroupRaft,
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Arc<GroupLog>,
    engine: Arc<Engine>,
    proposed_bytes: Arc<AtomicUsize>,
    /// Votes are refused until then (C4): before it restarted, this node may have promised a leader a lease.
    pub(crate) refuse_votes_until: Option<Instant>,
    /// A snapshot being received.
    pub(crate) incoming: tokio::sync::Mutex<Option<Incoming>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Ends when openraft's tasks have let go of log and state machine.
    released: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

/// A snapshot being received; see [`SnapshotPiece`].
pub(crate) struct Incoming {
    pub(crate) transfer: u64,
    pub(crate) files: crate::snapshot::SnapshotFiles,
    pub(crate) writer: Option<tokio::fs::File>,
}

impl Group {
    pub(crate) fn new(
        id: GroupId,
        raft: GroupRaft,
        shared: Arc<Shared>,
        log: Arc<GroupLog>,
        engine: Arc<Engine>,
        refuse_votes_until: Option<Instant>,
        released: mpsc::Receiver<()>,
    ) -> Arc<Group> {
        shared.watch_metrics(raft.data_metrics());
        let tasks = Mutex::new(vec![
            follow_metrics(&raft, &shared),
            snapshot_when_grown(id, &raft, &log),
        ]);
        let incoming = tokio::sync::Mutex::new(None);
        let released = tokio::sync::Mutex::new(released);
        Arc::new(Group {
            id,
            raft,
            shared,
            log,
            engine,
            proposed_bytes: Arc::default(),
            refuse_votes_until,
            incoming,
            tasks,
            released,
        })
    }

    /// A task that ends with the group.
    pub(crate) fn own(&self, task: JoinHandle<()>) {
        self.tasks.lock().push(task);
    }

    /// Its number.
    pub fn id(&self) -> GroupId {
        self.id
    }

    // ---- proposing ----

    /// Puts a command into the log, behind all that were proposed here before, and returns at once: the future resolves
    /// when the command is applied on this node.
    pub fn propose(&self, command: Bytes) -> Proposal {
        self.submit(None, Command(command, None), false)
            .unwrap_or_else(|error| Proposal(ProposalState::Refused(Some(error))))
    }

    /// As [`propose`](Self::propose), but refuses with [`ConsensusError::NotLeader`] unless this node leads in `term`.
    pub fn propose_in(&self, term: u64, command: Bytes) -> Proposal {
        self.submit(Some(term), Command(command, None), false)
            .unwrap_or_else(|error| Proposal(ProposalState::Refused(Some(error))))
    }

    /// As [`propose_in`](Self::propose_in), but says at once when a command is refused: then it has no place in the log, and
    /// a proposer that numbers its commands need not count it. A *promised* command, which finishes something that was
    /// answered already or makes room, may use the free-space reserve.
    ///
    /// `on_queued` is called when the command lies in the queue of the node's log writer, and must not wait for this group.
    /// Whatever any group of the node queues after that is durable only if this command is: a log that is written by one
    /// writer to one stream has no holes. While this node is the only voter ([`is_alone`](Self::is_alone)) that makes the
    /// command as good as committed for everything that comes later.
    ///
    /// # Errors
    /// [`ConsensusError::DiskFull`], [`ConsensusError::NotLeader`], [`ConsensusError::Overloaded`] or
    /// [`ConsensusError::Stopped`].
    pub fn try_propose_in(
        &self,
        term: u64,
        command: Bytes,
        is_promised: bool,
        on_queued: Option<OnQueued>,
    ) -> Result<Proposal, ConsensusError> {
        self.submit(Some(term), Command(command, on_queued), is_promised)
    }

    fn submit(&self, term: Option<u64>, command: Command, is_promised: bool) -> Result<Proposal, ConsensusError> {
        if !is_promised && self.engine.below_reserve() {
            return Err(ConsensusError::DiskFull);
        }
        if self.shared.is_transferring() {
            return Err(ConsensusError::NotLeader { leader: None });
        }
        let max = if is_promised { usize::MAX } else { PROPOSED_BYTES_MAX };
        let in_flight =
            InFlight::count(command.0.len(), &self.proposed_bytes, max).ok_or(ConsensusError::Overloaded)?;
        let (done, receiver) = oneshot::channel();
        let completion = Completion {
            done,
            _in_flight: Some(in_flight),
        };
        let mut request = self.raft.write(command).responder(completion);
        if let Some(term) = term {
            request = request.with_leader(CommittedLeaderId::new(term));
        }
        // Polled once: it takes its place in openraft's queue, or the queue is full. Order is the order of these calls.
        // Unconstrained: tokio's budget would make a task that proposes a lot look as if the queue were full.
        match tokio::task::unconstrained(request.into_future()).now_or_never() {
            Some(Ok(())) => Ok(Proposal(ProposalState::Waiting(receiver))),
            Some(Err(fatal)) => Err(self.fatal(fatal)),
            None => Err(ConsensusError::Overloaded),
        }
    }

    fn fatal(&self, _error: Fatal<TypeConfig>) -> ConsensusError {
        self.shared
            .failure()
            .map_or(ConsensusError::Stopped, ConsensusError::Engine)
    }

    // ---- leading and reading ----

    /// Who leads, and what this node is; changes are seen by its watchers.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.shared.subscribe()
    }

    /// Who leads, and what this node is, now.
    pub fn current_leadership(&self) -> Leadership {
        self.shared.leadership()
    }

    /// Whether this node leads, serves, and no other node can lead: what is applied here includes every command whose
    /// proposer was answered. Costs an atomic load and, with more than one voter, a look at the clock.
    pub fn is_lease_open(&self) -> bool {
        self.shared.is_lease_open()
    }

    /// As [`is_lease_open`](Self::is_lease_open), and this node leads in `term`.
    pub fn is_lease_open_in(&self, term: u64) -> bool {
        self.shared.is_lease_open_in(term)
    }

    /// Whether this node leads and is the only voter.
    pub fn is_alone(&self) -> bool {
        self.shared.is_alone()
    }

    /// Waits until this node, as the leader confirmed by a quorum, has applied all that was committed before the call.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`], [`ConsensusError::NoQuorum`] or [`ConsensusError::Stopped`].
    pub async fn ensure_linearizable(&self) -> Result<(), ConsensusError> {
        match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(ConsensusError::NotLeader {
                    leader: forward.leader_id,
                })
            }
            Err(RaftError::APIError(_)) => Err(ConsensusError::NoQuorum),
            Err(RaftError::Fatal(fatal)) => Err(self.fatal(fatal)),
        }
    }

    /// The family of its state machine: what is applied can be read here. Replaced when a snapshot is installed.
    pub fn family(&self) -> Family {
        self.shared
            .family()
            .expect("a group is open only after its state machine was loaded")
    }

    /// Index of the entry applied last.
    pub fn applied_index(&self) -> u64 {
        self.shared.applied_index()
    }

    // ---- administration ----

    /// Builds a snapshot, after which the log before it may be purged. Returns when it is asked for, not when it is built.
    ///
    /// # Errors
    /// The group has stopped.
    pub async fn trigger_snapshot(&self) -> Result<(), ConsensusError> {
        self.raft.trigger().snapshot().await.map_err(|fatal| self.fatal(fatal))
    }

    /// Builds a snapshot and waits until it is there: everything applied by now is flushed.
    ///
    /// # Errors
    /// The group has stopped, or it takes longer than `timeout`.
    pub async fn snapshot(&self, timeout: Duration) -> Result<(), ConsensusError> {
        let applied = self.applied_index();
        self.trigger_snapshot().await?;
        let is_built = |metrics: &openraft::RaftMetrics<TypeConfig>| {
            metrics.snapshot.is_some_and(|snapshot| snapshot.index >= applied)
        };
        let built = self.raft.wait(Some(timeout)).metrics(is_built, "snapshot").await;
        built.map(|_| ()).map_err(|_| ConsensusError::Stopped)
    }

    /// Adds a replica that receives the log and does not vote; returns once it lags by few entries.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`] or [`ConsensusError::Membership`].
    pub async fn add_learner(&self, node: NodeId) -> Result<(), ConsensusError> {
        self.changed(self.raft.add_learner(node, EmptyNode::new(), true).await)
    }

    /// Makes exactly these replicas voters; all must have been added before. Others are removed.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`] or [`ConsensusError::Membership`].
    pub async fn change_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), ConsensusError> {
        self.changed(self.raft.change_membership(voters, false).await)
    }

    pub(crate) fn changed<T>(
        &self,
        result: Result<T, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>,
    ) -> Result<(), ConsensusError> {
        match result {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(error)) => Err(write_error(error)),
            Err(RaftError::Fatal(fatal)) => Err(self.fatal(fatal)),
        }
    }

    /// Hands leadership to another voter. Reading and proposing stop before it is asked to take over (C4), and go on here
    /// if it does not within `timeout`.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`] if this node does not lead, [`ConsensusError::NoQuorum`] if the other did not take over.
    pub async fn transfer_leader(&self, to: NodeId, timeout: Duration) -> Result<(), ConsensusError> {
        let mut leadership = self.leadership();
        let before = *leadership.borrow_and_update();
        if !matches!(before.role, Role::Elected | Role::Serving) {
            return Err(ConsensusError::NotLeader { leader: before.leader });
        }
        self.shared.set_transferring(true);
        let transferred = async {
            self.raft
                .trigger()
                .transfer_leader(to)
                .await
                .map_err(|fatal| self.fatal(fatal))?;
            let is_over = |now: &Leadership| now.leader == Some(to) && now.term > before.term;
            leadership
                .wait_for(is_over)
                .await
                .map_err(|_| ConsensusError::Stopped)?;
            Ok(())
        };
        let result = tokio::time::timeout(timeout, transferred).await;
        self.shared.set_transferring(false);
        result.unwrap_or(Err(ConsensusError::NoQuorum))
    }

    /// Voters of the newest membership this node knows.
    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.raft.voter_ids().collect()
    }

    /// Stops the group on this node, and waits until nothing of it runs any more. What was proposed and not answered has an
    /// unknown outcome.
    pub async fn shutdown(&self) {
        // It fails only if the core task panicked, which was reported there.
        let _ = self.raft.shutdown().await;
        let tasks: Vec<_> = self.tasks.lock().drain(..).collect();
        for task in tasks {
            task.abort();
            // Cancelled, as it should be.
            let _ = task.await;
        }
        self.shared.stop();
        let mut released = self.released.lock().await;
        if tokio::time::timeout(RELEASE_TIMEOUT, released.recv()).await.is_err() {
            tracing::warn!(group = %self.id, "tasks of the group still run after its shutdown");
        }
    }
}

/// Follows openraft's view of who leads. A leader without other members has nobody to send heartbeats to and nobody to lose
/// an election to: its clock is stopped, so that an idle group costs nothing.
fn follow_metrics(raft: &GroupRaft, shared: &Arc<Shared>) -> JoinHandle<()> {
    let (mut metrics, raft, shared) = (raft.server_metrics(), raft.clone(), shared.clone());
    tokio::spawn(async move {
        loop {
            let known = metrics.borrow_and_update().clone();
            shared.set_server_metrics(&known);
            let is_alone = known.membership_config.membership().nodes().count() == 1;
            raft.runtime_config()
                .tick(!(is_alone && shared.leadership().role == Role::Serving));
            if metrics.changed().await.is_err() {
                break;
            }
        }
        shared.stop();
    })
}

/// Asks for a snapshot whenever the log has grown by so many bytes (C5).
fn snapshot_when_grown(id: GroupId, raft: &GroupRaft, log: &Arc<GroupLog>) -> JoinHandle<()> {
    let (raft, log) = (raft.clone(), log.clone());
    tokio::spawn(async move {
        loop {
            log.wait_until_grown().await;
            tracing::debug!(group = %id, "the log has grown: taking a snapshot");
            if raft.trigger().snapshot().await.is_err() {
                break;
            }
        }
    })
}

impl SnapshotPiece {
    pub(crate) fn transfer(&self) -> u64 {
        match self {
            SnapshotPiece::File { transfer, .. }
            | SnapshotPiece::Bytes { transfer, .. }
            | SnapshotPiece::Install { transfer, .. } => *transfer,
        }
    }
}
