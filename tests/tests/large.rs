//! A transaction of 300 MB: it commits in bounded memory, and a crash in the middle of its commit leaves nothing of it.
//!
//! `CAMBIUM_LARGE_MB` changes the size; continuous integration uses less.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::Server;

/// Rows of a kilobyte make a megabyte of this many.
const ROWS_PER_MB: u64 = 1000;
/// What the server may take beyond the size of the transaction's share that is held in memory: caches, write buffers, locks.
const MEMORY_MAX: u64 = 1600 << 20;

fn megabytes() -> u64 {
    let given = std::env::var("CAMBIUM_LARGE_MB").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(100)
}

fn insert(table: &str, rows: u64) -> String {
    format!("INSERT INTO {table} SELECT g, repeat(md5(g::text), 31) FROM generate_series(1, {rows}) AS g")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_takes_bounded_memory_and_is_all_or_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let rows = megabytes() * ROWS_PER_MB;
    let server = Server::start(&data)?;
    let client = server.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE big (id int PRIMARY KEY, text text); CREATE TABLE half (id int PRIMARY KEY, text text)",
        )
        .await?;
    let started = Instant::now();
    client.batch_execute("BEGIN").await?;
    client.batch_execute(&insert("big", rows)).await?;
    let inserted = started.elapsed();
    // Its own writes, most of them set aside, are seen by the transaction and by nobody else.
    let own: i64 = client
        .query_one("SELECT count(*) FROM big WHERE id % 1000 = 0", &[])
        .await?
        .get(0);
    assert_eq!(own as u64, rows / 1000);
    let others: i64 = server
        .connect()
        .await?
        .query_one("SELECT count(*) FROM big", &[])
        .await?
        .get(0);
    assert_eq!(others, 0);
    let started = Instant::now();
    client.batch_execute("COMMIT").await?;
    let committed = started.elapsed();
    let sum: i64 = client.query_one("SELECT sum(length(text)) FROM big", &[]).await?.get(0);
    assert_eq!(sum as u64, rows * 32 * 31);
    let peak = server.measure("status", "VmHWM")?;
    println!(
        "{} MB: inserted in {:.1} s, committed in {:.1} s; peak of the server's memory {} MB",
        megabytes(),
        inserted.as_secs_f32(),
        committed.as_secs_f32(),
        peak >> 20
    );
    assert!(peak < MEMORY_MAX, "the server took {} MB", peak >> 20);

    // Killed while the next one commits.
    client.batch_execute("BEGIN").await?;
    client.batch_execute(&insert("half", rows)).await?;
    let commit = tokio::spawn(async move { client.batch_execute("COMMIT").await });
    tokio::time::sleep(committed.mul_f32(0.3).max(Duration::from_millis(20))).await;
    server.kill()?;
    let acknowledged = commit.await?.is_ok();
    println!("{}", tests::check(&data)?.trim());
    let server = Server::start(&data)?;
    let client = server.connect().await?;
    let found: i64 = client.query_one("SELECT count(*) FROM half", &[]).await?.get(0);
    assert!(
        found == 0 && !acknowledged || found as u64 == rows,
        "{found} of {rows} rows are there"
    );
    println!("after kill -9 in COMMIT: {found} of {rows} rows, acknowledged: {acknowledged}");
    server.stop()
}
