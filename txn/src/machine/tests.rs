//! C1 and C8 at the state machine itself, with no leader in front of it.

use std::sync::Arc;

use bytes::Bytes;
use consensus::{CommandEntry, Machine as _};
use storage::engine::{Batch, Durability, Engine, EngineOptions, Family};
use storage::shape::Changes;
use storage::version::Version;
use storage::{Datum, PathOp, mvcc};

use super::{APPLIED, Machine, OUT_OF_ORDER};
use crate::command::{Body, Command, Decision, Epoch, Staged, Step, Write, Writes, encode};
use crate::commit::{Attempt, Logged, Parties};
use crate::locks::{Incarnation, TxnId};
use crate::oracle::clock_ms;
use crate::shard::Facts;

const TABLE: u32 = 20000;
const TERM: u64 = 3;

/// A family, and the machine that has it open.
struct Replica {
    engine: Arc<Engine>,
    family: Family,
    machine: Machine,
    _directory: tempfile::TempDir,
}

fn machine_of(engine: &Arc<Engine>, family: &Family) -> Machine {
    let registry = tokio::sync::watch::Sender::new(0);
    let machine = Machine::new(1, engine.clone(), Arc::new(Facts::default()), &registry);
    machine.load(family).unwrap();
    machine
}

impl Replica {
    fn new() -> Replica {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(directory.path(), EngineOptions::default()).unwrap();
        let family = engine.family(1).unwrap();
        let machine = machine_of(&engine, &family);
        Replica {
            engine,
            family,
            machine,
            _directory: directory,
        }
    }

    /// What a process finds that starts after this one was killed.
    fn restart(&mut self) {
        self.machine = machine_of(&self.engine, &self.family);
    }

    /// Applies an entry, and gives the batch it would write.
    fn apply(&self, entry: &CommandEntry) -> (Bytes, Batch) {
        let mut batch = Batch::with_capacity(64);
        let reply = self.machine.apply(&self.family, entry, &mut batch).unwrap();
        (reply, batch)
    }

    fn write(&self, entry: &CommandEntry, batch: Batch) {
        self.engine.write(batch, Durability::Replayed).unwrap();
        self.machine.applied(entry);
    }

    /// Applies an entry whole.
    fn run(&self, entry: &CommandEntry) -> Bytes {
        let (reply, batch) = self.apply(entry);
        self.write(entry, batch);
        reply
    }

    fn contents(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut cursor = self.family.newest().cursor(None, None).unwrap();
        let mut found = Vec::new();
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            found.push((key.to_vec(), value.to_vec()));
            cursor.next();
        }
        cursor.status().unwrap();
        found
    }
}

/// Entries of one epoch, in order.
#[derive(Default)]
struct Log {
    entries: Vec<CommandEntry>,
}

impl Log {
    fn push(&mut self, bodies: Vec<Body>) -> &CommandEntry {
        let index = self.entries.len() as u64 + 1;
        let epoch = Epoch {
            term: TERM,
            generation: 1,
        };
        let command = Command::encode(epoch, index, bodies.iter()).unwrap();
        let term = TERM;
        self.entries.push(CommandEntry { term, index, command });
        self.entries.last().unwrap()
    }
}

fn key(row: u8) -> Bytes {
    mvcc::row_key(TABLE, &[row]).into()
}

fn full(row: u8, value: i64) -> Write {
    let version = Version::Full(vec![Datum::Int8(i64::from(row)), Datum::Int8(value)]);
    Write {
        key: key(row),
        version: version.encode().into(),
        fold: false,
    }
}

fn delta(row: u8, value: i64, fold: bool) -> Write {
    let version = Version::Delta(vec![PathOp::set_column(1, Datum::Int8(value))]);
    Write {
        key: key(row),
        version: version.encode().into(),
        fold,
    }
}

fn writes(versions: Vec<Write>) -> Writes {
    Writes {
        versions,
        ..Writes::default()
    }
}

fn attempt(txn: u64, started_ms: u64) -> Attempt {
    Attempt {
        txn: TxnId(txn),
        coordinator: Incarnation { node: 1, start: 1 },
        started_ms,
    }
}

fn parties() -> Parties {
    Parties {
        anchor: 1,
        participants: vec![2],
    }
}

fn one_phase(transaction: u64, timestamp: u64, writes: Writes) -> Body {
    Body::OnePhase {
        transaction,
        started_ms: 1_000 + transaction,
        timestamp,
        writes,
    }
}

fn step(logged: Logged, writes: Writes) -> Body {
    Body::Step(Step {
        logged,
        writes,
        locks: Bytes::from_static(b"locks"),
        may_fold: true,
    })
}

/// A command of every kind, and some that are refused.
fn every_kind() -> Log {
    let mut log = Log::default();
    let mut changing = writes(vec![full(1, 10), full(2, 20)]);
    changing.changes = vec![(TABLE, 2)];
    log.push(vec![one_phase(1, 100, changing)]);
    let mut outdated = writes(vec![full(9, 9)]);
    outdated.expects = vec![(TABLE, 1)];
    log.push(vec![
        step(Logged::Prepare(attempt(2, 1_002), parties()), outdated),
        step(
            Logged::Prepare(attempt(3, 1_003), parties()),
            writes(vec![delta(1, 11, false)]),
        ),
    ]);
    log.push(vec![
        step(
            Logged::Finish(attempt(3, 1_003), Decision::Commit(110)),
            Writes::default(),
        ),
        one_phase(4, 120, writes(vec![delta(1, 12, true), delta(2, 22, false)])),
    ]);
    log.push(vec![Body::Fold { keys: vec![key(2)] }]);
    let decide = |txn, decision| Logged::Decide(attempt(txn, 1_000 + txn), decision, parties());
    log.push(vec![
        step(decide(5, Decision::Commit(130)), writes(vec![delta(1, 13, false)])),
        step(decide(6, Decision::Abort), Writes::default()),
        step(decide(5, Decision::Abort), Writes::default()),
    ]);
    log.push(vec![step(
        Logged::Finish(attempt(7, 1_007), Decision::Abort),
        Writes::default(),
    )]);
    let stage = |transaction, part, row| Body::Stage {
        transaction,
        started_ms: 1_000 + transaction,
        part,
        versions: vec![full(row, 0)],
    };
    log.push(vec![
        stage(8, 0, 30),
        stage(8, 1, 31),
        stage(9, 0, 32),
        stage(10, 0, 33),
    ]);
    let mut staged = writes(vec![full(34, 0)]);
    staged.staged = Some(Staged {
        transaction: 8,
        started_ms: 1_008,
        parts: 2,
        ids: vec![TABLE],
    });
    log.push(vec![one_phase(8, 140, staged), Body::Unstage { transaction: 9 }]);
    let mut emptied = writes(vec![full(40, 1)]);
    emptied.clears = vec![TABLE + 1];
    log.push(vec![one_phase(11, 150, emptied)]);
    log.push(vec![
        Body::Sequence {
            sequence: 7,
            state: Bytes::from_static(b"state"),
        },
        Body::Bound { timestamp: 9_000 },
        Body::Paths {
            table: TABLE,
            column: 1,
            changes: Changes {
                put: vec![(b"path".to_vec(), 3)],
                ..Changes::default()
            },
        },
    ]);
    log.push(vec![Body::Collect {
        safe_point: 145,
        keys: vec![key(1), key(2)],
        clears: vec![(TABLE + 1, 150)],
    }]);
    log.push(vec![
        Body::Horizon { started_ms: 1_010 },
        step(Logged::Forget(vec![TxnId(5)]), Writes::default()),
    ]);
    log.push(vec![step(
        Logged::Prepare(attempt(12, 1_005), parties()),
        writes(vec![full(50, 1)]),
    )]);
    log
}

/// C1: one replica applies the log once. Another dies at every entry, after applying it and before the batch is written, and
/// applies it again later in a process that knows nothing but the family. A clock, a fact that is not in the family, or
/// anything written beside the batch would make a difference.
#[test]
fn c1_applying_depends_on_the_family_and_the_command_alone() {
    let log = every_kind();
    let steady = Replica::new();
    let mut replies = Vec::new();
    let mut batches = Vec::new();
    let mut states = Vec::new();
    for entry in &log.entries {
        let (reply, batch) = steady.apply(entry);
        batches.push(batch.data());
        steady.write(entry, batch);
        replies.push(reply);
        states.push(steady.contents());
    }
    let before = clock_ms();
    while clock_ms() < before + 2 {
        std::hint::spin_loop();
    }
    let mut dying = Replica::new();
    for (at, entry) in log.entries.iter().enumerate() {
        let stood = dying.contents();
        let _lost = dying.apply(entry);
        // What a part of a large transaction writes ahead is the exception (S2): nobody reads it, and it is written again.
        if !writes_ahead(entry) {
            assert_eq!(dying.contents(), stood, "entry {at} wrote beside its batch");
        }
        dying.restart();
        let (reply, batch) = dying.apply(entry);
        assert_eq!(reply, replies[at], "entry {at}");
        assert_eq!(
            batch.data(),
            batches[at],
            "entry {at} writes something else the second time"
        );
        dying.write(entry, batch);
        assert_eq!(dying.contents(), states[at], "entry {at}");
        dying.restart();
    }
}

fn writes_ahead(entry: &CommandEntry) -> bool {
    let command = Command::decode(&entry.command).unwrap();
    let is_staged = |body: &Body| matches!(body, Body::OnePhase { writes, .. } if writes.staged.is_some());
    command.bodies.iter().any(is_staged)
}

/// C8: each way to commit is refused by apply itself once the table has a newer version. A leader's own check comes before
/// this one; a command proposed by a leader of before, or by one that has not applied the change yet, meets only this.
#[test]
fn c8_apply_refuses_what_is_for_an_older_version_of_a_table() {
    let mut log = Log::default();
    let replica = Replica::new();
    let planned_for = |version| {
        let mut writes = writes(vec![full(1, 1)]);
        writes.expects = vec![(TABLE, version)];
        writes
    };
    let mut change = writes(Vec::new());
    change.changes = vec![(TABLE, 2)];
    assert_eq!(&*replica.run(log.push(vec![one_phase(1, 100, change)])), APPLIED);
    let records = |record, txn| {
        let key = super::records::by_transaction(record, txn);
        replica
            .family
            .newest()
            .get(&key)
            .unwrap()
            .map(|value| Bytes::copy_from_slice(&value))
    };
    let has_row = || {
        let stored = mvcc::version_key(&key(1), 120);
        replica.family.newest().get(&stored).unwrap().is_some()
    };

    let prepare = |txn, version| {
        let logged = Logged::Prepare(attempt(txn, 1_000), parties());
        step(logged, planned_for(version))
    };
    replica.run(log.push(vec![prepare(2, 1), prepare(3, 2)]));
    assert_eq!(records(super::Record::Prepared, 2), None, "no vote");
    assert!(
        records(super::Record::Prepared, 3).is_some(),
        "a vote for the version there is"
    );

    let decide = |txn, version| {
        let logged = Logged::Decide(attempt(txn, 1_000), Decision::Commit(120), parties());
        step(logged, planned_for(version))
    };
    replica.run(log.push(vec![decide(4, 1)]));
    let decided: crate::command::DecisionRecord =
        crate::command::decode(&records(super::Record::Decision, 4).unwrap()).unwrap();
    assert_eq!(decided.decision, Decision::Abort);
    assert!(!has_row());

    // Last: what follows a refused command in its epoch is refused as well (T4).
    assert_eq!(
        &*replica.run(log.push(vec![one_phase(5, 120, planned_for(1))])),
        OUT_OF_ORDER
    );
    assert!(!has_row());
    assert_eq!(
        &*replica.run(log.push(vec![one_phase(6, 120, planned_for(2))])),
        OUT_OF_ORDER
    );
    assert!(encode(&planned_for(2)).is_ok());
}
