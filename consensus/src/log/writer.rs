//! The writer: one thread that writes and syncs the log of all groups (C3).
//!
//! Requests queue in call order. A round takes all that are queued, writes them as one batch, syncs once if anything in it
//! must be durable, and then calls back. What arrives during the sync is the next round: the longer the device takes, the
//! more commits share a sync.
//!
//! A full device is waited for: the round is tried again until there is space (proposals are refused long before, at the
//! reserve). Any other failure is final, because after a failed sync nobody knows what is on the device: every request of
//! this and later rounds fails, and the fatal handler is told once.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use openraft::storage::IOFlushed;
use parking_lot::{Condvar, Mutex};
use storage::engine::{Batch, Durability};
use storage::{Engine, EngineError};
use tokio::sync::oneshot;

use super::codec;
use super::group_log::Tail;
use crate::error::to_io;
use crate::types::{Entry, GroupId, LogId, TypeConfig, Vote};

/// How long the writer waits before it tries a full device again.
const FULL_DEVICE_RETRY: Duration = Duration::from_millis(200);

/// Called once when the log cannot be written any more.
pub type FatalHandler = Arc<dyn Fn(EngineError) + Send + Sync>;

/// Something to be written for a group.
pub(crate) enum Request {
    /// Append entries; the callback is called once they are durable.
    Append {
        tail: Arc<Tail>,
        /// Truncations of the group before it.
        generation: u64,
        entries: Vec<Entry>,
        done: IOFlushed<TypeConfig>,
    },
    /// Save a vote; answered once it is durable.
    Vote {
        group: GroupId,
        vote: Vote,
        done: oneshot::Sender<Result<(), EngineError>>,
    },
    /// Delete entries from an index on.
    Truncate { group: GroupId, from: u64 },
    /// Delete entries from one index up to a log id, inclusive.
    Purge { group: GroupId, from: u64, upto: LogId },
    /// Delete everything of a group that is not open any more; answered once it is durable.
    Forget {
        group: GroupId,
        done: oneshot::Sender<Result<(), EngineError>>,
    },
    /// Save a committed id.
    Committed { group: GroupId, committed: LogId },
}

impl Request {
    /// Bytes of the commands in it.
    fn size(&self) -> usize {
        match self {
            Request::Append { entries, .. } => entries.iter().map(codec::size_of_command).sum(),
            Request::Vote { .. }
            | Request::Truncate { .. }
            | Request::Purge { .. }
            | Request::Forget { .. }
            | Request::Committed { .. } => 0,
        }
    }

    fn needs_sync(&self) -> bool {
        match self {
            // A lost truncation is found again: the leader repeats it before it appends. But it must not be overtaken, and
            // the callback of the append that follows covers it.
            Request::Append { .. } | Request::Vote { .. } | Request::Truncate { .. } | Request::Forget { .. } => true,
            Request::Purge { .. } | Request::Committed { .. } => false,
        }
    }
}

#[derive(Default)]
struct Queue {
    requests: Vec<Request>,
    /// Whether something in `requests` is worth a round of its own.
    is_urgent: bool,
    is_stopping: bool,
    failure: Option<EngineError>,
}

/// Where rounds are written to.
pub(crate) trait Sink: Send + Sync + 'static {
    /// Writes a batch to the log family; on return it can be read.
    fn write(&self, batch: Batch) -> Result<(), EngineError>;
    /// Makes what was written durable.
    fn sync(&self) -> Result<(), EngineError>;
}

impl Sink for Engine {
    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        Engine::write(self, batch, Durability::Logged)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.sync_log()
    }
}

struct Shared {
    engine: Arc<Engine>,
    sink: Arc<dyn Sink>,
    queue: Mutex<Queue>,
    wake: Condvar,
    on_fatal: FatalHandler,
}

/// The log writer of a node. Stops, with everything queued written, when it is dropped.
pub struct LogWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LogWriter {
    /// Starts the writer thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(engine: Arc<Engine>, on_fatal: FatalHandler) -> Result<Arc<LogWriter>, EngineError> {
        Self::start_on(engine.clone(), engine, on_fatal)
    }

    /// Starts a writer that writes elsewhere than it reads: a device that fails, in tests.
    pub(crate) fn start_on(
        engine: Arc<Engine>,
        sink: Arc<dyn Sink>,
        on_fatal: FatalHandler,
    ) -> Result<Arc<LogWriter>, EngineError> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared {
            engine,
            sink,
            queue,
            wake: Condvar::new(),
            on_fatal,
        });
        let thread = {
            let shared = shared.clone();
            let builder = std::thread::Builder::new().name("raft-log".into());
            builder
                .spawn(move || shared.run())
                .map_err(|error| EngineError::Io(format!("raft log writer: {error}")))?
        };
        Ok(Arc::new(LogWriter {
            shared,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Queues a request behind all earlier ones.
    ///
    /// # Errors
    /// The log has failed; the request is dropped.
    pub(crate) fn submit(&self, request: Request) -> Result<(), EngineError> {
        let mut queue = self.shared.queue.lock();
        if let Some(failure) = &queue.failure {
            return Err(failure.clone());
        }
        let is_urgent = request.needs_sync();
        queue.requests.push(request);
        if is_urgent && !queue.is_urgent {
            queue.is_urgent = true;
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.shared.engine
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.queue.lock().is_stopping = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic there was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Memory that the writer keeps to encode entries in.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

impl Shared {
    fn run(&self) {
        let mut scratch = Vec::new();
        loop {
            let (round, is_last) = self.next_round();
            if !round.is_empty()
                && let Err(error) = self.write(&round, &mut scratch)
            {
                self.fail(error, round);
                return;
            }
            complete(round);
            // One large entry must not be paid for for ever.
            scratch.shrink_to(SCRATCH_BYTES_MAX);
            if is_last {
                return;
            }
        }
    }

    /// Waits for something urgent, and takes all that is queued.
    fn next_round(&self) -> (Vec<Request>, bool) {
        let mut queue = self.queue.lock();
        while !queue.is_urgent && !queue.is_stopping {
            self.wake.wait(&mut queue);
        }
        queue.is_urgent = false;
        (std::mem::take(&mut queue.requests), queue.is_stopping)
    }

    /// Writes a round; returns once it is durable. Tries a full device until it is not.
    fn write(&self, round: &[Request], scratch: &mut Vec<u8>) -> Result<(), EngineError> {
        let mut is_reported = false;
        loop {
            match self.try_write(round, scratch) {
                Ok(()) => return Ok(()),
                Err(error) if error.is_retryable() && !self.queue.lock().is_stopping => {
                    if !is_reported {
                        tracing::error!(%error, "the raft log waits for space on the device");
                        is_reported = true;
                    }
                    std::thread::sleep(FULL_DEVICE_RETRY);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn try_write(&self, round: &[Request], scratch: &mut Vec<u8>) -> Result<(), EngineError> {
        let batch = self.batch(round, scratch)?;
        if !batch.is_empty() {
            self.sink.write(batch)?;
        }
        // Written is readable; entries may leave memory from here on.
        for request in round {
            if let Request::Append {
                tail,
                generation,
                entries,
                ..
            } = request
                && let Some(last) = entries.last()
            {
                tail.written(last.log_id.index, *generation);
            }
        }
        if round.iter().any(Request::needs_sync) {
            self.sink.sync()?;
        }
        Ok(())
    }

    fn batch(&self, round: &[Request], scratch: &mut Vec<u8>) -> Result<Batch, EngineError> {
        let family = self.engine.log();
        let mut batch = Batch::with_capacity(round.iter().map(Request::size).sum());
        for request in round {
            match request {
                Request::Append { tail, entries, .. } => {
                    for entry in entries {
                        codec::encode_entry(entry, scratch)?;
                        batch.put(family, &codec::entry_key(tail.id(), entry.log_id.index), scratch);
                    }
                }
                Request::Vote { group, vote, .. } => {
                    batch.put(family, &codec::vote_key(*group), &codec::encode_vote(vote));
                }
                Request::Truncate { group, from } => {
                    batch.delete_range(family, &codec::entry_key(*group, *from), &codec::entries_end(*group));
                }
                Request::Purge { group, from, upto } => {
                    batch.put(family, &codec::purged_key(*group), &codec::encode_log_id(upto));
                    let (from, to) = (
                        codec::entry_key(*group, *from),
                        codec::entry_key(*group, upto.index + 1),
                    );
                    batch.delete_range(family, &from, &to);
                }
                Request::Forget { group, .. } => {
                    batch.delete_range(family, &codec::vote_key(*group), &codec::entries_end(*group));
                }
                Request::Committed { group, committed } => {
                    batch.put(family, &codec::committed_key(*group), &codec::encode_log_id(committed));
                }
            }
        }
        Ok(batch)
    }

    /// Refuses everything from now on, and tells everybody who waits.
    fn fail(&self, error: EngineError, round: Vec<Request>) {
        tracing::error!(%error, "the raft log has failed");
        let queued = {
            let mut queue = self.queue.lock();
            queue.failure = Some(error.clone());
            std::mem::take(&mut queue.requests)
        };
        for request in round.into_iter().chain(queued) {
            match request {
                Request::Append { done, .. } => done.io_completed(Err(to_io(error.clone()))),
                Request::Vote { done, .. } | Request::Forget { done, .. } => drop(done.send(Err(error.clone()))),
                Request::Truncate { .. } | Request::Purge { .. } | Request::Committed { .. } => {}
            }
        }
        (self.on_fatal)(error);
    }
}

/// Calls back. openraft keeps a watermark per group and forwards each change of it by a task that sleeps for a tick of the
/// timer when a second change follows within a microsecond; so the newest append of a group is completed first, and the
/// older ones then change nothing.
fn complete(round: Vec<Request>) {
    let mut appends: HashMap<GroupId, Vec<IOFlushed<TypeConfig>>> = HashMap::new();
    for request in round {
        match request {
            Request::Append { tail, done, .. } => appends.entry(tail.id()).or_default().push(done),
            // Nobody waits any more if the receiver is gone.
            Request::Vote { done, .. } | Request::Forget { done, .. } => drop(done.send(Ok(()))),
            Request::Truncate { .. } | Request::Purge { .. } | Request::Committed { .. } => {}
        }
    }
    for callbacks in appends.into_values() {
        for callback in callbacks.into_iter().rev() {
            callback.io_completed(Ok(()));
        }
    }
}
