//! The log writer: order, what is readable, and what it says when storage fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openraft::entry::RaftEntry;
use openraft::storage::IOFlushed;
use openraft::type_config::TypeConfigExt;
use openraft::vote::RaftVote;
use parking_lot::Mutex;
use storage::engine::Batch;
use storage::{Engine, EngineError};

use crate::log::writer::Sink;
use crate::log::{GroupLog, LogWriter};
use crate::types::{Command, Entry, GroupId, Payload, TypeConfig, Vote, log_id};

fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    Entry::new(
        log_id(term, index),
        Payload::Normal(Command(vec![b'x'; bytes].into(), None)),
    )
}

fn open(engine: Arc<Engine>) -> Arc<LogWriter> {
    LogWriter::start(engine, Arc::new(|error| panic!("{error}"))).unwrap()
}

async fn append(log: &Arc<GroupLog>, entries: Vec<Entry>) {
    let (done, receiver) = TypeConfig::oneshot();
    log.append(entries, IOFlushed::<TypeConfig>::signal(done)).unwrap();
    receiver.await.unwrap().unwrap();
}

#[tokio::test]
async fn c3_requests_of_a_group_reach_the_log_in_call_order() {
    let directory = tempfile::tempdir().unwrap();
    let engine = super::engine(directory.path());
    let writer = open(engine.clone());
    let log = GroupLog::open(GroupId(1), writer.clone(), usize::MAX).unwrap();
    // All in one round, or in several: the end is the same.
    log.append((0..10).map(|index| entry(1, index, 10)).collect(), IOFlushed::noop())
        .unwrap();
    log.truncate_after(Some(log_id(1, 4))).unwrap();
    log.append((5..8).map(|index| entry(2, index, 10)).collect(), IOFlushed::noop())
        .unwrap();
    log.save_committed(Some(log_id(2, 6))).unwrap();
    log.purge(log_id(1, 1)).unwrap();
    let leader = openraft::impls::leader_id_std::LeaderId { term: 2, voted_for: 1 };
    let vote = Vote::from_leader_id(leader, true);
    log.save_vote(vote).unwrap().await.unwrap().unwrap();
    append(&log, vec![entry(3, 8, 10)]).await;
    let in_memory = log.read(0..100, usize::MAX).unwrap();
    drop((log, writer));
    let log = GroupLog::open(GroupId(1), open(engine), usize::MAX).unwrap();
    let terms: Vec<_> = log
        .read(0..100, usize::MAX)
        .unwrap()
        .iter()
        .map(|e| (e.log_id().index, e.log_id().leader_id.term))
        .collect();
    assert_eq!(terms, [(2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 2), (8, 3)]);
    assert_eq!(log.read(0..100, usize::MAX).unwrap(), in_memory);
    assert_eq!(log.ends(), (Some(log_id(1, 1)), Some(log_id(3, 8))));
    assert_eq!((log.vote(), log.committed()), (Some(vote), Some(log_id(2, 6))));
}

#[tokio::test]
async fn entries_that_left_memory_are_read_from_storage_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let log = GroupLog::open(GroupId(1), open(super::engine(directory.path())), usize::MAX).unwrap();
    // Twelve times what is kept in memory is 4 MiB each round.
    for round in 0..12 {
        append(
            &log,
            (0..10).map(|number| entry(1, round * 10 + number, 100_000)).collect(),
        )
        .await;
    }
    let all = log.read(0..120, usize::MAX).unwrap();
    let indexes: Vec<u64> = all.iter().map(Entry::index).collect();
    assert_eq!(indexes, (0..120).collect::<Vec<_>>());
    for start in [0, 50, 77, 78, 79, 119] {
        assert_eq!(log.read(start..120, usize::MAX).unwrap().len() as u64, 120 - start);
        let limited = log.read(start..120, 250_000).unwrap();
        assert!(!limited.is_empty() && limited.len() <= 3 && limited[0].index() == start);
    }
}

#[tokio::test]
async fn groups_do_not_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let engine = super::engine(directory.path());
    let writer = open(engine.clone());
    for group in [0, 1, 256, u64::MAX] {
        let log = GroupLog::open(GroupId(group), writer.clone(), usize::MAX).unwrap();
        assert_eq!(log.ends(), (None, None));
        append(&log, vec![entry(1, group % 7, 10)]).await;
    }
    drop(writer);
    for group in [0, 1, 256, u64::MAX] {
        let log = GroupLog::open(GroupId(group), open(engine.clone()), usize::MAX).unwrap();
        assert_eq!(log.ends(), (None, Some(log_id(1, group % 7))));
        log.truncate_after(None).unwrap();
    }
}

#[tokio::test]
async fn a_purge_beyond_the_end_moves_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let engine = super::engine(directory.path());
    let writer = open(engine.clone());
    let log = GroupLog::open(GroupId(1), writer.clone(), usize::MAX).unwrap();
    append(&log, vec![entry(1, 0, 10)]).await;
    log.purge(log_id(3, 9)).unwrap();
    assert_eq!(log.ends(), (Some(log_id(3, 9)), Some(log_id(3, 9))));
    append(&log, vec![entry(3, 10, 10)]).await;
    assert_eq!(log.read(0..100, usize::MAX).unwrap().len(), 1);
    drop((log, writer));
    let log = GroupLog::open(GroupId(1), open(engine), usize::MAX).unwrap();
    assert_eq!(log.ends(), (Some(log_id(3, 9)), Some(log_id(3, 10))));
}

/// A device that does what the test says.
struct Device {
    engine: Arc<Engine>,
    /// Errors of the next writes and syncs, in order.
    errors: Mutex<VecDeque<EngineError>>,
    /// Syncs wait while it is held.
    gate: Mutex<()>,
    syncs: AtomicUsize,
}

impl Device {
    fn new(engine: Arc<Engine>, errors: impl IntoIterator<Item = EngineError>) -> Arc<Device> {
        let errors = Mutex::new(errors.into_iter().collect());
        Arc::new(Device {
            engine,
            errors,
            gate: Mutex::new(()),
            syncs: AtomicUsize::new(0),
        })
    }
}

impl Sink for Device {
    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        Sink::write(&*self.engine, batch)
    }

    fn sync(&self) -> Result<(), EngineError> {
        let _gate = self.gate.lock();
        self.syncs.fetch_add(1, Ordering::SeqCst);
        match self.errors.lock().pop_front() {
            Some(error) => Err(error),
            None => Sink::sync(&*self.engine),
        }
    }
}

#[tokio::test]
async fn c3_a_callback_comes_only_after_the_sync_that_covers_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = super::engine(directory.path());
    let device = Device::new(engine.clone(), []);
    let writer = LogWriter::start_on(engine, device.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
    let first = GroupLog::open(GroupId(1), writer.clone(), usize::MAX).unwrap();
    let second = GroupLog::open(GroupId(2), writer, usize::MAX).unwrap();
    let gate = device.gate.lock();
    let (done, mut early) = TypeConfig::oneshot();
    first.append(vec![entry(1, 0, 10)], IOFlushed::signal(done)).unwrap();
    // What both groups ask for during the sync is one round.
    let mut late = Vec::new();
    for index in 1..50 {
        for log in [&first, &second] {
            let (done, receiver) = TypeConfig::oneshot();
            log.append(vec![entry(1, index, 10)], IOFlushed::signal(done)).unwrap();
            late.push(receiver);
        }
    }
    assert_eq!(first.read(0..100, usize::MAX).unwrap().len(), 50, "readable at once");
    assert!(early.try_recv().is_err(), "not durable yet");
    drop(gate);
    early.await.unwrap().unwrap();
    for receiver in late {
        receiver.await.unwrap().unwrap();
    }
    let syncs = device.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 2, "99 appends took {syncs} syncs");
}

#[tokio::test]
async fn c5_a_full_device_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let engine = super::engine(directory.path());
    let device = Device::new(
        engine.clone(),
        [EngineError::NoSpace("full".into()), EngineError::NoSpace("full".into())],
    );
    let writer = LogWriter::start_on(engine, device.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
    let log = GroupLog::open(GroupId(1), writer, usize::MAX).unwrap();
    append(&log, vec![entry(1, 0, 10)]).await;
    assert_eq!(device.syncs.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn c5_a_broken_device_stops_the_log_and_tells_once() {
    let directory = tempfile::tempdir().unwrap();
    let engine = super::engine(directory.path());
    let device = Device::new(engine.clone(), [EngineError::Io("input/output error".into())]);
    let told = Arc::new(AtomicUsize::new(0));
    let on_fatal = {
        let told = told.clone();
        Arc::new(move |_| {
            told.fetch_add(1, Ordering::SeqCst);
        })
    };
    let writer = LogWriter::start_on(engine, device, on_fatal).unwrap();
    let log = GroupLog::open(GroupId(1), writer.clone(), usize::MAX).unwrap();
    let (done, receiver) = TypeConfig::oneshot();
    log.append(vec![entry(1, 0, 10)], IOFlushed::signal(done)).unwrap();
    assert!(receiver.await.unwrap().is_err());
    let refused = log.append(vec![entry(1, 1, 10)], IOFlushed::noop());
    assert!(matches!(refused, Err(EngineError::Io(_))), "{refused:?}");
    drop((log, writer));
    assert_eq!(told.load(Ordering::SeqCst), 1);
}
