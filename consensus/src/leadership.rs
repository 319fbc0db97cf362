//! Who leads a group, whether it may serve, and for how long it may read without asking.
//!
//! A leader is *elected* when a quorum granted its term, and *serving* once its first entry is applied: only then has it
//! applied whatever its predecessors committed (**C4**). While it serves, the lease gate is open up to a deadline: a quorum
//! confirmed leadership so recently that no other node can have been elected. One atomic load answers on the hot path; a
//! passed deadline is moved on from openraft's metrics, by whoever finds it passed. With one voter it is always open.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::{RaftDataMetrics, RaftServerMetrics};
use parking_lot::Mutex;
use storage::EngineError;
use storage::engine::Family;
use tokio::sync::watch;

use crate::types::{LogId, NodeId, TypeConfig};

/// What this node is in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows, or looks for a leader.
    #[default]
    Follower,
    /// Leads, but must first apply what was committed before: it may propose and must not read.
    Elected,
    /// Leads and may serve.
    Serving,
    /// The group is shut down or has failed.
    Stopped,
}

/// Who leads a group, as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The newest term seen. A leader of a term leads it alone.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// What this node is.
    pub role: Role,
}

const CLOSED: u64 = 0;
const ALWAYS_OPEN: u64 = u64::MAX;

type DataMetrics = openraft::type_config::alias::WatchReceiverOf<TypeConfig, RaftDataMetrics<TypeConfig>>;

/// What openraft's metrics said last.
#[derive(Default)]
struct Known {
    leadership: Leadership,
    is_leader: bool,
    is_single_voter: bool,
    is_stopped: bool,
}

/// State of a group that openraft's tasks write and everybody reads.
pub struct Shared {
    node: NodeId,
    lease: Duration,
    started: Instant,
    /// Nanoseconds since `started` until which the lease holds, or one of the two constants.
    lease_deadline: AtomicU64,
    /// Term in which this node serves, as long as the gate is open. Written while it is closed.
    serving_term: AtomicU64,
    /// Leadership is being handed over: nothing is read or proposed until it has failed.
    is_transferring: AtomicBool,
    applied_term: AtomicU64,
    applied_index: AtomicU64,
    family: ArcSwapOption<Family>,
    known: Mutex<Known>,
    published: watch::Sender<Leadership>,
    metrics: OnceLock<DataMetrics>,
    failure: OnceLock<EngineError>,
}

impl Shared {
    /// A group nothing is known of yet. `lease` is openraft's; we use 80 % of it, because clocks run differently.
    pub fn new(node: NodeId, lease: Duration) -> Shared {
        Shared {
            node,
            lease: lease * 4 / 5,
            started: Instant::now(),
            lease_deadline: AtomicU64::new(CLOSED),
            serving_term: AtomicU64::new(0),
            is_transferring: AtomicBool::new(false),
            applied_term: AtomicU64::new(0),
            applied_index: AtomicU64::new(0),
            family: ArcSwapOption::empty(),
            known: Mutex::default(),
            published: watch::Sender::new(Leadership::default()),
            metrics: OnceLock::new(),
            failure: OnceLock::new(),
        }
    }

    pub(crate) fn watch_metrics(&self, metrics: DataMetrics) {
        // Set once, when the group is opened.
        let _ = self.metrics.set(metrics);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Leadership> {
        self.published.subscribe()
    }

    pub(crate) fn leadership(&self) -> Leadership {
        *self.published.borrow()
    }

    pub(crate) fn set_family(&self, family: Family) {
        self.family.store(Some(std::sync::Arc::new(family)));
    }

    pub(crate) fn family(&self) -> Option<Family> {
        self.family.load().as_deref().cloned()
    }

    pub(crate) fn applied_index(&self) -> u64 {
        self.applied_index.load(Ordering::Acquire)
    }

    /// An entry was applied.
    pub(crate) fn set_applied(&self, applied: Option<LogId>) {
        let Some(applied) = applied else { return };
        self.applied_index.store(applied.index, Ordering::Release);
        let term = applied.leader_id.term;
        if self.applied_term.swap(term, Ordering::AcqRel) != term {
            self.publish(&mut self.known.lock());
        }
    }

    /// openraft's view of the group changed.
    pub(crate) fn set_server_metrics(&self, metrics: &RaftServerMetrics<TypeConfig>) {
        let mut known = self.known.lock();
        known.leadership.term = metrics.vote.leader_id().term;
        known.leadership.leader = metrics.current_leader;
        known.is_leader = metrics.state == ServerState::Leader && metrics.vote.is_committed();
        let mut voters = metrics.membership_config.membership().voter_ids();
        known.is_single_voter = voters.next() == Some(self.node) && voters.next().is_none();
        self.publish(&mut known);
    }

    /// The group runs no more.
    pub(crate) fn stop(&self) {
        let mut known = self.known.lock();
        known.is_stopped = true;
        self.publish(&mut known);
    }

    /// Storage failed; the group will stop. The first failure is kept.
    pub(crate) fn fail(&self, error: EngineError) {
        let _ = self.failure.set(error);
    }

    pub(crate) fn failure(&self) -> Option<EngineError> {
        self.failure.get().cloned()
    }

    /// Closes the gate and keeps it closed while leadership is handed over.
    pub(crate) fn set_transferring(&self, is_transferring: bool) {
        self.is_transferring.store(is_transferring, Ordering::SeqCst);
        self.publish(&mut self.known.lock());
    }

    pub(crate) fn is_transferring(&self) -> bool {
        self.is_transferring.load(Ordering::SeqCst)
    }

    /// Derives role and gate from all that is known, and tells.
    fn publish(&self, known: &mut Known) {
        let is_ready = self.applied_term.load(Ordering::Acquire) == known.leadership.term;
        known.leadership.role = match (known.is_stopped, known.is_leader, is_ready) {
            (true, _, _) => Role::Stopped,
            (false, true, true) => Role::Serving,
            (false, true, false) => Role::Elected,
            (false, false, _) => Role::Follower,
        };
        let is_serving = known.leadership.role == Role::Serving && !self.is_transferring();
        let deadline = match (is_serving, known.is_single_voter) {
            (false, _) => CLOSED,
            (true, true) => ALWAYS_OPEN,
            (true, false) => self.confirmed_deadline(),
        };
        let leadership = known.leadership;
        if is_serving && self.serving_term.load(Ordering::SeqCst) != leadership.term {
            // Who finds the gate open and then the old term has found it open in the old term.
            self.lease_deadline.store(CLOSED, Ordering::SeqCst);
            self.serving_term.store(leadership.term, Ordering::SeqCst);
        }
        self.lease_deadline.store(deadline, Ordering::SeqCst);
        self.published.send_if_modified(|published| {
            let is_changed = *published != leadership;
            *published = leadership;
            is_changed
        });
    }

    /// Whether no other node can lead now. If so, the newest applied state is the newest committed state of every command
    /// whose reply was sent.
    pub(crate) fn is_lease_open(&self) -> bool {
        let deadline = self.lease_deadline.load(Ordering::SeqCst);
        match deadline {
            ALWAYS_OPEN => true,
            CLOSED => false,
            deadline if self.now() < deadline => true,
            deadline => self.extend(deadline),
        }
    }

    /// As [`Self::is_lease_open`], and this node leads in `term`. What a leader keeps in memory belongs to one term: between
    /// two of them another node may have led.
    pub(crate) fn is_lease_open_in(&self, term: u64) -> bool {
        self.is_lease_open() && self.serving_term.load(Ordering::SeqCst) == term
    }

    /// Whether this node serves and nobody else votes.
    pub(crate) fn is_alone(&self) -> bool {
        self.lease_deadline.load(Ordering::SeqCst) == ALWAYS_OPEN
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// A passed deadline is moved on if a quorum has answered since.
    fn extend(&self, passed: u64) -> bool {
        let deadline = self.confirmed_deadline();
        // Not stored if the gate was closed meanwhile.
        let swapped = self
            .lease_deadline
            .compare_exchange(passed, deadline, Ordering::SeqCst, Ordering::SeqCst);
        swapped.is_ok() && self.now() < deadline
    }

    /// Until when the lease of the last confirmation holds; never one of the constants.
    fn confirmed_deadline(&self) -> u64 {
        let acked = self
            .metrics
            .get()
            .and_then(|metrics| metrics.borrow_watched().last_quorum_acked);
        // Not the instant itself: openraft does not hand it out, only how long ago it was.
        let age = acked.map(|acked| openraft::Instant::elapsed(&*acked));
        let nanos = match age.and_then(|age| self.lease.checked_sub(age)) {
            Some(rest) => self.now() + rest.as_nanos() as u64,
            None => 0,
        };
        nanos.clamp(CLOSED + 1, ALWAYS_OPEN - 1)
    }
}
