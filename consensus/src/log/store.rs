//! LogStore: a group's log as openraft sees it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use futures::{Stream, stream};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use tokio::sync::mpsc;

use super::group_log::GroupLog;
use crate::error::to_io;
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// A handle to a group's log; clones are readers.
#[derive(Clone)]
pub struct LogStore {
    log: Arc<GroupLog>,
    _alive: Option<mpsc::Sender<()>>,
}

impl LogStore {
    /// A handle. `alive` is dropped with the last clone of it.
    pub fn new(log: Arc<GroupLog>, alive: Option<mpsc::Sender<()>>) -> Self {
        Self { log, _alive: alive }
    }
}

fn half_open(range: impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.log.read(half_open(range), usize::MAX).map_err(to_io)
    }

    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        // The default boxes a future and a stream for every batch of entries to apply.
        let (entries, error) = match self.log.read(half_open(range), usize::MAX) {
            Ok(entries) => (entries, None),
            Err(error) => (Vec::new(), Some(Err(to_io(error)))),
        };
        stream::iter(entries.into_iter().map(Ok).chain(error))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.log.read_limited(start..end).map_err(to_io)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log.vote())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let (last_purged_log_id, last_log_id) = self.log.ends();
        Ok(LogState {
            last_purged_log_id,
            last_log_id,
        })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let done = self.log.save_vote(*vote).map_err(to_io)?;
        match done.await {
            Ok(result) => result.map_err(to_io),
            Err(_) => Err(io::Error::other("the raft log writer has stopped")),
        }
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.log.save_committed(committed).map_err(to_io)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.committed())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.log.append(entries.into_iter().collect(), callback).map_err(to_io)
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        self.log.truncate_after(last_log_id).map_err(to_io)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.log.purge(log_id).map_err(to_io)
    }
}
