//! Load on the transaction layer alone: rate, latency and CPU time of reads, updates and transfers.
//!
//! `cargo run -p txn --example load -- [seconds] [tasks]`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use storage::{Datum, Path, PathOp};
use txn::{
    DeadlockPolicy, Key, KeyRange, LockName, LockRequest, LockWait, Mode, Node, NodeConfig, RowPart, RowWrite,
    Transaction, TransactionOptions, TxnError,
};

const TABLE: u32 = 20000;
const ROWS: u64 = 100_000;

fn key(number: u64) -> Key {
    let mut key = Vec::new();
    storage::key::write_bytes(&mut key, &number.to_be_bytes());
    key.into()
}

async fn read(node: &Arc<Node>, row: u64) -> Result<(), TxnError> {
    let transaction = node.begin(TransactionOptions::default());
    transaction.begin_statement(false).await?;
    let row = transaction.get(TABLE, &key(row)).await?;
    assert!(row.is_some());
    transaction.commit().await.map(drop)
}

async fn add(transaction: &Transaction, row: u64) -> Result<(), TxnError> {
    transaction.begin_statement(false).await?;
    let key = key(row);
    let path = Path::column(1);
    let name = LockName::Row {
        table: TABLE,
        key: key.clone(),
        part: RowPart::Path(path.clone()),
    };
    let requests = vec![
        LockRequest {
            name: LockName::Table(TABLE),
            mode: Mode::RowExclusive,
            add: None,
        },
        LockRequest {
            name,
            mode: Mode::Exclusive,
            add: None,
        },
    ];
    transaction.lock(requests, LockWait::Wait(None)).await?;
    let locked = transaction
        .read_locked(TABLE, &key, std::slice::from_ref(&path))
        .await?;
    let Some(Datum::Int8(value)) = locked.row.and_then(|row| row.get(1).cloned()) else {
        panic!("no row")
    };
    transaction.write(
        TABLE,
        &key,
        RowWrite::Change(vec![PathOp::set_column(1, Datum::Int8(value + 1))]),
    )
}

async fn update(node: &Arc<Node>, rows: &[u64]) -> Result<(), TxnError> {
    let transaction = node.begin(TransactionOptions::default());
    for row in rows {
        add(&transaction, *row).await?;
    }
    transaction.commit().await.map(drop)
}

/// User and system CPU time of the process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Read,
    Update,
    Hot,
    Transfer,
}

async fn measure(node: &Arc<Node>, name: &str, work: Work, tasks: u64, length: Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let retries = Arc::new(AtomicU64::new(0));
    let (started, cpu_before) = (Instant::now(), cpu());
    let workers: Vec<_> = (0..tasks)
        .map(|task| {
            let (node, stop, count, retries) = (node.clone(), stop.clone(), count.clone(), retries.clone());
            tokio::spawn(async move {
                let mut state = task + 1;
                while !stop.load(Ordering::Relaxed) {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    let row = (state >> 33) % ROWS;
                    let done = match work {
                        Work::Read => read(&node, row).await,
                        Work::Update => update(&node, &[row]).await,
                        Work::Hot => update(&node, &[0]).await,
                        Work::Transfer => update(&node, &[row, (row + 1 + (state >> 50) % 100) % ROWS]).await,
                    };
                    match done {
                        Ok(()) => count.fetch_add(1, Ordering::Relaxed),
                        Err(_) => retries.fetch_add(1, Ordering::Relaxed),
                    };
                }
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("no worker panics");
    }
    let (wall, cpu) = (started.elapsed(), cpu() - cpu_before);
    let count = count.load(Ordering::Relaxed).max(1);
    println!(
        "{name:24} {tasks:4} tasks {:9.0}/s {:7.1} µs CPU each, {} retries",
        count as f64 / wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count as f64,
        retries.load(Ordering::Relaxed),
    );
}

async fn scan(node: &Arc<Node>) -> Result<(), TxnError> {
    let transaction = node.begin(TransactionOptions::default());
    transaction.begin_statement(true).await?;
    let mut rows = transaction.scan(TABLE, KeyRange::default(), false);
    let (started, mut count) = (Instant::now(), 0);
    while let Some(batch) = rows.next().await {
        count += batch?.len();
    }
    println!(
        "scan {count} rows: {:.2} µs each",
        started.elapsed().as_secs_f64() * 1e6 / count as f64
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<u64>().ok());
    let length = Duration::from_secs(arguments.next().unwrap_or(3));
    let tasks = arguments.next().unwrap_or(16);
    let directory = tempfile::tempdir_in(".")?;
    let config = NodeConfig {
        data: directory.path().to_path_buf(),
        shard_count: 8,
        deadlock: DeadlockPolicy::Detect,
        deadlock_timeout: Duration::from_secs(1),
        retention: Duration::from_secs(60),
        ..NodeConfig::default()
    };
    let node = Node::open(config).await?;
    for chunk in 0..ROWS / 1000 {
        let transaction = node.begin(TransactionOptions::default());
        transaction.begin_statement(true).await?;
        for row in chunk * 1000..(chunk + 1) * 1000 {
            let values = vec![Datum::Int8(row as i64), Datum::Int8(0), Datum::from("x".repeat(80))];
            transaction.write(TABLE, &key(row), RowWrite::Put(values))?;
        }
        transaction.commit().await?;
    }
    for _ in 0..3 {
        scan(&node).await?;
    }
    measure(&node, "read one row", Work::Read, tasks, length).await;
    measure(&node, "update, alone", Work::Update, 1, length).await;
    measure(&node, "update one row", Work::Update, tasks, length).await;
    measure(&node, "update the same row", Work::Hot, tasks, length).await;
    measure(&node, "transfer", Work::Transfer, tasks, length).await;
    node.shutdown().await;
    Ok(())
}
