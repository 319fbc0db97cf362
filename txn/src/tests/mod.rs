//! What the transaction layer promises, each promise by its name, on data directories of their own.

mod basics;
mod concurrency;
mod garbage;
mod growth;
mod hand_over;
mod isolation;
mod lock_limits;
mod paths;
mod recovery;
mod remote;
mod staging;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use storage::{Datum, Path, PathOp, Row, Step};
use tempfile::TempDir;

use crate::{
    Isolation, Key, KeyRange, LockName, LockRequest, LockWait, Mode, Node, NodeConfig, RowPart, RowWrite, Transaction,
    TransactionOptions, TxnError,
};

/// A user table.
const TABLE: u32 = 20000;
/// A local index of it.
const INDEX: u32 = 20001;
/// A unique index of it.
const UNIQUE: u32 = 20002;

/// A node on a directory that goes away with it.
struct Fixture {
    node: Arc<Node>,
    directory: TempDir,
}

fn config(directory: &std::path::Path) -> NodeConfig {
    NodeConfig {
        data: directory.to_path_buf(),
        shard_count: 4,
        deadlock: crate::DeadlockPolicy::Detect,
        deadlock_timeout: Duration::from_secs(1),
        retention: Duration::from_secs(60),
        ..NodeConfig::default()
    }
}

impl Fixture {
    async fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::open(config(directory.path())).await.unwrap();
        Fixture { node, directory }
    }

    /// Shuts down and opens again.
    async fn reopen(self) -> Fixture {
        let Fixture { node, directory } = self;
        node.shutdown().await;
        drop(node);
        let node = open_when_free(directory.path()).await;
        Fixture { node, directory }
    }

    /// What a process would find that starts after this one was killed now: nothing is flushed, nobody says goodbye.
    async fn crash(self) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        copy_directory(self.directory.path(), directory.path());
        drop(self);
        let node = Node::open(config(directory.path())).await.unwrap();
        Fixture { node, directory }
    }

    fn begin(&self) -> Transaction {
        self.begin_at(Isolation::ReadCommitted)
    }

    fn begin_at(&self, isolation: Isolation) -> Transaction {
        self.node.begin(TransactionOptions {
            isolation,
            ..TransactionOptions::default()
        })
    }

    /// Writes rows in a transaction of their own.
    async fn put(&self, rows: &[(&str, i64)]) {
        let transaction = self.begin();
        transaction.begin_statement(true).await.unwrap();
        for (name, value) in rows {
            lock_row(&transaction, name, Mode::Exclusive).await.unwrap();
            transaction
                .write(TABLE, &key(name), RowWrite::Put(row(name, *value)))
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// A value as a new transaction sees it.
    async fn value(&self, name: &str) -> Option<i64> {
        let transaction = self.begin();
        transaction.begin_statement(true).await.unwrap();
        value_of(transaction.get(TABLE, &key(name)).await.unwrap())
    }

    async fn check(&self) {
        self.node.check_invariants().await.unwrap();
    }
}

/// The directory is free once the last task of the groups has gone.
async fn open_when_free(directory: &std::path::Path) -> Arc<Node> {
    for _ in 0..200 {
        match Node::open(config(directory)).await {
            Ok(node) => return node,
            Err(TxnError::Io(text)) if text.contains("in use") => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the directory stays in use");
}

fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Encoded primary key of a name.
fn key(name: &str) -> Key {
    let mut bytes = Vec::new();
    storage::key::write_bytes(&mut bytes, name.as_bytes());
    bytes.into()
}

/// A row: name, value, document.
fn row(name: &str, value: i64) -> Row {
    let document = storage::Jsonb::parse(r#"{"a": 1, "b": 2}"#).unwrap();
    vec![Datum::from(name), Datum::Int8(value), Datum::Jsonb(document)]
}

fn value_of(row: Option<Row>) -> Option<i64> {
    row.map(|row| match row[1] {
        Datum::Int8(value) => value,
        ref other => panic!("{other:?}"),
    })
}

fn set_value(value: i64) -> RowWrite {
    RowWrite::Change(vec![PathOp::set_column(1, Datum::Int8(value))])
}

/// A member of the document.
fn member(name: &str) -> Path {
    Path::new(2, [Step::Member(name.into())])
}

fn set_member(name: &str, value: i64) -> RowWrite {
    let value = storage::Jsonb::parse(&value.to_string()).unwrap();
    RowWrite::Change(vec![PathOp::set(member(name), value)])
}

/// A member of the document of a row.
fn member_of(row: &Option<Row>, name: &str) -> String {
    match &row.as_ref().unwrap()[2] {
        Datum::Jsonb(document) => document.get(name).map_or("-".into(), |value| format!("{value:?}")),
        other => panic!("{other:?}"),
    }
}

fn row_lock(name: &str, part: RowPart, mode: Mode) -> LockRequest {
    LockRequest::new(
        LockName::Row {
            table: TABLE,
            key: key(name),
            part,
        },
        mode,
    )
}

async fn lock_row(transaction: &Transaction, name: &str, mode: Mode) -> Result<bool, TxnError> {
    transaction
        .lock(vec![row_lock(name, RowPart::Row, mode)], LockWait::Wait(None))
        .await
}

async fn lock_path(transaction: &Transaction, name: &str, path: Path, mode: Mode) -> Result<bool, TxnError> {
    transaction
        .lock(vec![row_lock(name, RowPart::Path(path), mode)], LockWait::Wait(None))
        .await
}

/// UPDATE … SET value = value + by WHERE name = ….
async fn add(transaction: &Transaction, name: &str, by: i64) -> Result<(), TxnError> {
    transaction.begin_statement(false).await?;
    lock_path(transaction, name, Path::column(1), Mode::Exclusive).await?;
    let locked = transaction.read_locked(TABLE, &key(name), &[Path::column(1)]).await?;
    let value = value_of(locked.row).unwrap();
    transaction.write(TABLE, &key(name), set_value(value + by))
}

async fn names(transaction: &Transaction, range: KeyRange, reverse: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut rows = transaction.scan(TABLE, range, reverse);
    while let Some(batch) = rows.next().await {
        for (_, row) in batch.unwrap() {
            match &row[0] {
                Datum::Text(name) => found.push(name.to_string()),
                other => panic!("{other:?}"),
            }
        }
    }
    found
}

fn is_serialization<T>(result: &Result<T, TxnError>) -> bool {
    matches!(result, Err(TxnError::Serialization { .. } | TxnError::Deleted))
}
