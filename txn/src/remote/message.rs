//! Messages between nodes: what is asked of a shard's leader or of a node, and what is answered (`PROTOCOL.md`, Messages).
//!
//! Every request may be lost, repeated or late. What may be repeated without harm says nothing more; what may not is
//! numbered by (transaction, shard, order) and answered once ([`super::orders`]).

use bytes::Bytes;
use consensus::NodeId;
use serde::{Deserialize, Serialize};
use storage::mvcc::RowState;
use storage::path::Parts;
use storage::version::{Chain, Version, encode_row};
use storage::{Numeric, Path, PathOp, Row};

use crate::command::{Epoch, Timestamp, TransactionId, Write, Writes, decode, encode};
use crate::commit::{Message, Reply};
use crate::locks::{Owner, Ticket, TxnId, Wait};
use crate::placement::ShardId;
use crate::{AddIncrement, IndexId, Key, LockName, LockRequest, Mode, TableId, TransactionOutcome, TxnError};

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// How often it was sent before.
    pub(crate) attempt: u32,
    pub(crate) ask: Ask,
}

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Of a shard's leader.
    Shard(ShardId, Box<ShardAsk>),
    /// Of a node.
    Node(NodeAsk),
}

/// What is asked of a shard's leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ShardAsk {
    /// A batch of locks. Answered when it is granted or refused; whoever gives up waiting takes it out of the queue.
    Lock(LockAsk),
    /// Gives back the locks taken after a step, unless something later was asked for since.
    RollBack {
        transaction: TransactionId,
        order: u64,
        step: u64,
    },
    /// Gives back everything of a transaction, for good.
    Release { transaction: TransactionId },
    /// A row at a snapshot.
    Row(RowAsk),
    /// The newest state of a row.
    Newest(NewestAsk),
    /// Rows of an index value in the newest state.
    Entries {
        held: Option<Epoch>,
        table: TableId,
        index: IndexId,
        value: Key,
    },
    /// Part of a scan at a snapshot.
    Page(PageAsk),
    /// Until a proposal is applied.
    WaitApplied { epoch: Epoch, sequence: u64 },
    /// Do a transaction's locks of an epoch stand, and does the leader still lead?
    Confirm { transaction: TransactionId, epoch: Epoch },
    /// Part of the writes of a large transaction.
    Stage {
        transaction: TransactionId,
        started_ms: u64,
        part: u32,
        epoch: Option<Epoch>,
        versions: Vec<Write>,
    },
    /// What was staged will not be committed.
    Unstage { transaction: TransactionId },
    /// Everything a transaction wrote. Asked once; if no answer comes, [`ShardAsk::Resolve`] tells what became of it.
    CommitOnePhase {
        transaction: TransactionId,
        epoch: Epoch,
        writes: Writes,
    },
    /// What became of a commit in one phase. If nothing did by now, nothing will.
    Resolve { transaction: TransactionId },
    /// A step of a commit over several shards.
    Deliver {
        message: Message,
        writes: Writes,
        epoch: Option<Epoch>,
    },
    /// What the shard remembers of a transaction.
    Outcome { transaction: TransactionId },
    /// The state of a sequence (meta group).
    Sequence { sequence: u32 },
    /// Moves a sequence on, if it is as expected (meta group).
    MoveSequence {
        sequence: u32,
        expected: Option<Vec<u8>>,
        state: Vec<u8>,
    },
    /// Makes paths known, or forgets them (meta group).
    Learn(Vec<NewsWire>),
    /// Lets one waiter go before another, if both still wait (deadlocks).
    Overtake { waiter: Ticket, passed: Ticket },
    /// Ends a wait, if it still stands (deadlocks).
    EndWait {
        transaction: TransactionId,
        ticket: Ticket,
        cycle: Vec<Wait>,
    },
}

/// What is asked of a node, or told to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum NodeAsk {
    /// To a coordinator: a shard's answer.
    Reply(TxnId, Reply),
    /// To a coordinator: the transaction cannot go on.
    Doom(TransactionId, TxnError),
    /// Which of these transactions do you still coordinate?
    Alive(Vec<TransactionId>),
    /// Who waits for whom on the shards you lead?
    Edges,
    /// All locks of the shards you lead.
    Locks,
}

/// A lock batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LockAsk {
    pub(crate) owner: Owner,
    /// Epoch of its earlier locks here; `None` if it has none.
    pub(crate) epoch: Option<Epoch>,
    /// Savepoint counter of the transaction, and the order of what it asks here.
    pub(crate) step: u64,
    pub(crate) requests: Vec<LockWire>,
    /// Positions of requests whose row the transaction has written itself.
    pub(crate) written: Vec<u32>,
    pub(crate) wait: WaitWire,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum WaitWire {
    /// At most so many milliseconds, if given.
    Wait(Option<u64>),
    NoWait,
    Skip,
}

/// A lock wanted. Increments travel as text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LockWire {
    name: LockName,
    mode: Mode,
    add: Option<(String, Option<String>, Option<String>)>,
}

/// A row at a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RowAsk {
    pub(crate) owner: Owner,
    pub(crate) table: TableId,
    pub(crate) planned: Option<u64>,
    pub(crate) key: Key,
    pub(crate) at: Timestamp,
    pub(crate) parts: Option<Parts>,
    /// Own changes, as an encoded delta.
    pub(crate) own: Option<Bytes>,
}

/// The newest state of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewestAsk {
    pub(crate) table: TableId,
    pub(crate) key: Key,
    pub(crate) parts: Option<Parts>,
    pub(crate) own: Option<Bytes>,
    pub(crate) look: LookWire,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) since: Option<Timestamp>,
}

/// What is looked at in a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum LookWire {
    Whole,
    Existence,
    Paths { read: Vec<Path>, added: Vec<Path> },
}

/// Part of a scan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PageAsk {
    pub(crate) owner: Owner,
    pub(crate) table: TableId,
    pub(crate) planned: Option<u64>,
    pub(crate) index: Option<IndexId>,
    pub(crate) from: Bytes,
    pub(crate) to: Bytes,
    pub(crate) is_reverse: bool,
    pub(crate) at: Timestamp,
    pub(crate) columns: Option<Vec<u16>>,
    pub(crate) count_max: u32,
}

/// Known paths that come or go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum NewsWire {
    Learned((TableId, u16), Vec<(Vec<u8>, u8)>),
    Forgotten(TableId, Option<u16>),
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The node asked does not lead the shard; who does, if it knows.
    NotLeader(Option<NodeId>),
    /// Something later was asked for by the same transaction, or it has ended: nobody waits for this answer.
    Late,
    Refused(TxnError),
    Done,
    Locked {
        epoch: Epoch,
        granted: Result<bool, TxnError>,
        seen: u64,
    },
    Row(Option<Bytes>),
    Newest(NewestWire),
    Entries {
        rows: Vec<Key>,
        epoch: Epoch,
        dependency: u64,
    },
    Rows {
        items: Vec<(Key, Bytes)>,
        next: Option<Bytes>,
    },
    IndexEntries {
        items: Vec<(Key, Key)>,
        next: Option<Bytes>,
    },
    Committed(Timestamp),
    /// What a commit over several shards was answered at once, and why a vote was refused.
    Delivered {
        replies: Vec<Reply>,
        refused: Option<TxnError>,
    },
    Outcome {
        outcome: Option<OutcomeWire>,
        horizon_ms: u64,
    },
    Sequence(Option<Vec<u8>>),
    /// Place of the newest entry of the meta group that what was learned is in.
    Learned(u64),
    Alive {
        gone: Vec<TransactionId>,
        /// Whose coordinators are on their way to decide.
        coming: Vec<TransactionId>,
        oldest_snapshot: Option<Timestamp>,
    },
    Edges(Vec<(ShardId, u64, Wait)>),
    Locks(Vec<LockEntryWire>),
}

/// A line of `pg_locks`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LockEntryWire {
    pub(crate) session: u32,
    pub(crate) transaction: u64,
    pub(crate) shard: u32,
    pub(crate) name: LockName,
    pub(crate) mode: Mode,
    pub(crate) granted: bool,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum OutcomeWire {
    InProgress,
    Committed,
    Aborted,
}

/// The newest state of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewestWire {
    row: Option<Bytes>,
    newest: Timestamp,
    moved_to: Option<Bytes>,
    put_at: Timestamp,
    chain: (u64, u64, u64),
    dependency: u64,
    epoch: Epoch,
    has_conflict: bool,
}

impl Envelope {
    pub(crate) fn encode(attempt: u32, ask: &Ask) -> Result<Bytes, TxnError> {
        encode(&(attempt, ask))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Envelope, TxnError> {
        decode(bytes)
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Result<Bytes, TxnError> {
        encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Answer, TxnError> {
        decode(bytes)
    }

    /// What is said about an answer that does not fit its question.
    pub(crate) fn unexpected(self) -> TxnError {
        match self {
            Answer::Refused(error) => error,
            Answer::Late => TxnError::serialization("the transaction has asked for something else since"),
            other => TxnError::Corrupted(format!("an answer of another node does not fit: {other:?}")),
        }
    }
}

impl From<TransactionOutcome> for OutcomeWire {
    fn from(outcome: TransactionOutcome) -> Self {
        match outcome {
            TransactionOutcome::InProgress => OutcomeWire::InProgress,
            TransactionOutcome::Committed => OutcomeWire::Committed,
            TransactionOutcome::Aborted => OutcomeWire::Aborted,
        }
    }
}

impl From<OutcomeWire> for TransactionOutcome {
    fn from(outcome: OutcomeWire) -> Self {
        match outcome {
            OutcomeWire::InProgress => TransactionOutcome::InProgress,
            OutcomeWire::Committed => TransactionOutcome::Committed,
            OutcomeWire::Aborted => TransactionOutcome::Aborted,
        }
    }
}

impl From<&LockRequest> for LockWire {
    fn from(request: &LockRequest) -> Self {
        let text = |number: &Numeric| number.to_string();
        let add = request.add.as_ref();
        LockWire {
            name: request.name.clone(),
            mode: request.mode,
            add: add.map(|add| (text(&add.by), add.min.as_ref().map(text), add.max.as_ref().map(text))),
        }
    }
}

impl LockWire {
    pub(crate) fn into_request(self) -> Result<LockRequest, TxnError> {
        let number = |text: String| {
            Numeric::parse(&text).ok_or_else(|| TxnError::Corrupted(format!("{text} is no number to be added")))
        };
        let add = match self.add {
            None => None,
            Some((by, min, max)) => Some(AddIncrement {
                by: number(by)?,
                min: min.map(number).transpose()?,
                max: max.map(number).transpose()?,
            }),
        };
        Ok(LockRequest {
            name: self.name,
            mode: self.mode,
            add,
        })
    }
}

/// A row as it travels.
pub(crate) fn row_to_wire(row: &Row) -> Bytes {
    let mut bytes = Vec::new();
    encode_row(&mut bytes, row);
    bytes.into()
}

/// A row that has travelled.
pub(crate) fn row_from_wire(bytes: &Bytes) -> Result<Row, TxnError> {
    Ok(storage::version::decode_row(bytes)?)
}

/// Own changes as they travel; `None` if there are none.
pub(crate) fn own_to_wire(own: &[PathOp]) -> Option<Bytes> {
    (!own.is_empty()).then(|| Version::encode_delta(own).into())
}

/// Own changes that have travelled.
pub(crate) fn own_from_wire(own: Option<&Bytes>) -> Result<Vec<PathOp>, TxnError> {
    match own.map(Version::decode).transpose()? {
        None => Ok(Vec::new()),
        Some(Version::Delta(operations)) => Ok(operations),
        Some(Version::Full(_) | Version::Tombstone) => {
            Err(TxnError::Corrupted("changes of another node are no changes".into()))
        }
    }
}

impl From<crate::shard::read::Newest> for NewestWire {
    fn from(newest: crate::shard::read::Newest) -> Self {
        let state = newest.state;
        NewestWire {
            row: state.row.as_ref().map(row_to_wire),
            newest: state.newest,
            moved_to: state.moved_to,
            put_at: state.put_at,
            chain: (state.chain.full_bytes, state.chain.deltas, state.chain.delta_bytes),
            dependency: newest.dependency,
            epoch: newest.epoch,
            has_conflict: newest.has_conflict,
        }
    }
}

impl NewestWire {
    pub(crate) fn into_newest(self) -> Result<crate::shard::read::Newest, TxnError> {
        let (full_bytes, deltas, delta_bytes) = self.chain;
        Ok(crate::shard::read::Newest {
            state: RowState {
                row: self.row.as_ref().map(row_from_wire).transpose()?,
                newest: self.newest,
                moved_to: self.moved_to,
                put_at: self.put_at,
                chain: Chain {
                    full_bytes,
                    deltas,
                    delta_bytes,
                },
            },
            dependency: self.dependency,
            epoch: self.epoch,
            has_conflict: self.has_conflict,
        })
    }
}
