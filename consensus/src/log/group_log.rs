//! GroupLog: one group's log as it is in memory, and the way to what is not.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use openraft::entry::RaftEntry;
use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use storage::{Engine, EngineError};
use tokio::sync::{Notify, oneshot};

use super::codec;
use super::writer::{LogWriter, Request};
use crate::types::{Entry, GroupId, LogId, OnQueued, Payload, TypeConfig, Vote};

/// Recent entries kept in memory per group. Applying and replicating read them here; a follower that lags by more reads
/// RocksDB.
const RECENT_BYTES_MAX: usize = 4 << 20;

/// Most bytes of entries handed out by one limited read; one entry may be larger.
const READ_BYTES_MAX: usize = 4 << 20;

/// The log of one group. All changes go through the node's [`LogWriter`].
pub struct GroupLog {
    tail: Arc<Tail>,
    writer: Arc<LogWriter>,
    /// Told when the log has grown by `snapshot_bytes` since the last snapshot was asked for (C5).
    grown: Notify,
    snapshot_bytes: usize,
}

/// The part of a group's log that is in memory. Apart from [`GroupLog`], because the writer's queue holds it, and must not
/// hold the writer.
pub(crate) struct Tail {
    id: GroupId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The newest entries, without a gap, up to `last`.
    recent: VecDeque<Entry>,
    recent_bytes: usize,
    /// Index up to which entries are in RocksDB.
    written: Option<u64>,
    /// Truncations so far: what the writer says of entries appended before one is not about those appended after it.
    generation: u64,
    /// Bytes appended since a snapshot was last asked for.
    grown_bytes: usize,
}

impl GroupLog {
    /// Reads a group's state from the log family.
    ///
    /// # Errors
    /// The family cannot be read or decoded.
    pub fn open(id: GroupId, writer: Arc<LogWriter>, snapshot_bytes: usize) -> Result<Arc<GroupLog>, EngineError> {
        let state = load(writer.engine(), id)?;
        let tail = Arc::new(Tail {
            id,
            state: Mutex::new(state),
        });
        Ok(Arc::new(GroupLog {
            tail,
            writer,
            grown: Notify::new(),
            snapshot_bytes,
        }))
    }

    /// The group.
    pub fn id(&self) -> GroupId {
        self.tail.id
    }

    /// The vote saved last.
    pub(crate) fn vote(&self) -> Option<Vote> {
        self.tail.state.lock().vote
    }

    /// The committed id saved last.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.tail.state.lock().committed
    }

    /// Purged id and last id.
    pub(crate) fn ends(&self) -> (Option<LogId>, Option<LogId>) {
        let state = self.tail.state.lock();
        (state.purged, state.last)
    }

    /// Waits until the log has grown enough for a snapshot.
    pub(crate) async fn wait_until_grown(&self) {
        self.grown.notified().await;
    }

    // ---- writing, in call order ----

    pub(crate) fn append(&self, entries: Vec<Entry>, done: IOFlushed<TypeConfig>) -> Result<(), EngineError> {
        let on_queued: Vec<OnQueued> = entries.iter().filter_map(on_queued).collect();
        let generation = {
            let mut state = self.tail.state.lock();
            for entry in &entries {
                let bytes = codec::entry_bytes(entry);
                state.recent.push_back(entry.clone());
                state.recent_bytes += bytes;
                state.grown_bytes += bytes;
                state.last = Some(entry.log_id());
            }
            if state.grown_bytes >= self.snapshot_bytes {
                state.grown_bytes = 0;
                self.grown.notify_one();
            }
            state.generation
        };
        self.writer.submit(Request::Append {
            tail: self.tail.clone(),
            generation,
            entries,
            done,
        })?;
        on_queued.iter().for_each(|tell| tell());
        Ok(())
    }

    /// Saves a vote; the receiver is answered once it is durable.
    pub(crate) fn save_vote(&self, vote: Vote) -> Result<oneshot::Receiver<Result<(), EngineError>>, EngineError> {
        self.tail.state.lock().vote = Some(vote);
        let (done, receiver) = oneshot::channel();
        self.writer.submit(Request::Vote {
            group: self.tail.id,
            vote,
            done,
        })?;
        Ok(receiver)
    }

    pub(crate) fn save_committed(&self, committed: Option<LogId>) -> Result<(), EngineError> {
        self.tail.state.lock().committed = committed;
        match committed {
            None => Ok(()),
            Some(committed) => self.writer.submit(Request::Committed {
                group: self.tail.id,
                committed,
            }),
        }
    }

    pub(crate) fn truncate_after(&self, last: Option<LogId>) -> Result<(), EngineError> {
        let from = last.map_or(0, |last| last.index + 1);
        {
            let mut state = self.tail.state.lock();
            while state.recent.back().is_some_and(|entry| entry.index() >= from) {
                if let Some(entry) = state.recent.pop_back() {
                    state.recent_bytes -= codec::entry_bytes(&entry);
                }
            }
            state.last = state.last.min(last).or(state.purged);
            state.generation += 1;
            state.written = state.written.map(|written| written.min(from.saturating_sub(1)));
        }
        self.writer.submit(Request::Truncate {
            group: self.tail.id,
            from,
        })
    }

    pub(crate) fn purge(&self, upto: LogId) -> Result<(), EngineError> {
        let from = {
            let mut state = self.tail.state.lock();
            let from = state.purged.map_or(0, |purged| purged.index + 1);
            while state.recent.front().is_some_and(|entry| entry.index() <= upto.index) {
                if let Some(entry) = state.recent.pop_front() {
                    state.recent_bytes -= codec::entry_bytes(&entry);
                }
            }
            state.purged = Some(upto);
            state.last = state.last.max(Some(upto));
            from
        };
        if from > upto.index {
            return Ok(());
        }
        self.writer.submit(Request::Purge {
            group: self.tail.id,
            from,
            upto,
        })
    }

    // ---- reading ----

    /// Entries of a range that the log contains, at most about `bytes_max` but at least one.
    pub(crate) fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<Entry>, EngineError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut end = range.end;
        let recent: Vec<Entry> = {
            let state = self.tail.state.lock();
            end = end.min(state.last.map_or(0, |last| last.index + 1));
            let first = state.recent.front().map_or(u64::MAX, |entry| entry.index());
            let skip = range.start.saturating_sub(first) as usize;
            let in_range = state.recent.iter().skip(skip).take_while(|entry| entry.index() < end);
            in_range.cloned().collect()
        };
        // Taken first: an entry leaves memory only when it can be found below.
        let stored_end = recent.first().map_or(end, |entry| entry.index());
        if range.start < stored_end {
            self.read_stored(range.start..stored_end, bytes_max, &mut bytes, &mut entries)?;
            if bytes >= bytes_max {
                return Ok(entries);
            }
        }
        for entry in recent {
            bytes += codec::entry_bytes(&entry);
            entries.push(entry);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(entries)
    }

    /// As [`read`](Self::read), for a follower: no more than one message should carry.
    pub(crate) fn read_limited(&self, range: Range<u64>) -> Result<Vec<Entry>, EngineError> {
        self.read(range, READ_BYTES_MAX)
    }

    fn read_stored(
        &self,
        range: Range<u64>,
        bytes_max: usize,
        bytes: &mut usize,
        entries: &mut Vec<Entry>,
    ) -> Result<(), EngineError> {
        // Purged entries may not be deleted yet; they are gone all the same.
        let start = range
            .start
            .max(self.tail.state.lock().purged.map_or(0, |purged| purged.index + 1));
        if start >= range.end {
            return Ok(());
        }
        let (from, to) = (
            codec::entry_key(self.tail.id, start),
            codec::entry_key(self.tail.id, range.end),
        );
        let mut cursor = self.writer.engine().log().newest().cursor(Some(&from), Some(&to))?;
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            let index = codec::entry_index(key)?;
            if entries.last().is_some_and(|last: &Entry| last.index() + 1 != index) {
                return Err(EngineError::Corrupted(format!(
                    "raft log of group {}: no entry before {index}",
                    self.tail.id
                )));
            }
            entries.push(codec::decode_entry(index, value)?);
            *bytes += value.len();
            if *bytes >= bytes_max {
                break;
            }
            cursor.next();
        }
        cursor.status()
    }
}

impl Tail {
    /// The group.
    pub(crate) fn id(&self) -> GroupId {
        self.id
    }

    /// Called by the writer: entries up to `index` can be read from RocksDB, so that memory need not keep them all.
    pub(crate) fn written(&self, index: u64, generation: u64) {
        let mut state = self.state.lock();
        if state.generation == generation {
            state.written = state.written.max(Some(index));
        }
        let written = state.written.unwrap_or(0);
        while state.recent_bytes > RECENT_BYTES_MAX
            && state.recent.front().is_some_and(|entry| entry.index() <= written)
        {
            if let Some(entry) = state.recent.pop_front() {
                state.recent_bytes -= codec::entry_bytes(&entry);
            }
        }
    }
}

/// Who is to be told that an entry is queued.
fn on_queued(entry: &Entry) -> Option<OnQueued> {
    match &entry.payload {
        Payload::Normal(command) => command.1.clone(),
        Payload::Blank | Payload::Membership(_) => None,
    }
}

fn load(engine: &Engine, id: GroupId) -> Result<State, EngineError> {
    let view = engine.log().newest();
    let get =
        |key: [u8; 9]| -> Result<Option<Vec<u8>>, EngineError> { Ok(view.get(&key)?.map(|value| value.to_vec())) };
    let vote = get(codec::vote_key(id))?
        .map(|bytes| codec::decode_vote(&bytes))
        .transpose()?;
    let committed = get(codec::committed_key(id))?
        .map(|bytes| codec::decode_log_id(&bytes))
        .transpose()?;
    let purged = get(codec::purged_key(id))?
        .map(|bytes| codec::decode_log_id(&bytes))
        .transpose()?;
    let (from, to) = (codec::entry_key(id, 0), codec::entries_end(id));
    let mut cursor = view.cursor(Some(&from), Some(&to))?;
    cursor.seek_to_last();
    let last = match cursor.item() {
        Some((key, value)) => Some(codec::decode_entry(codec::entry_index(key)?, value)?.log_id()),
        None => None,
    };
    cursor.status()?;
    let grown_bytes = engine.log().range_bytes_estimate(&from, &to) as usize;
    let last = last.max(purged);
    Ok(State {
        vote,
        committed,
        purged,
        last,
        written: last.map(|last| last.index),
        grown_bytes,
        ..State::default()
    })
}
