//! Crash test: a real process killed with SIGKILL at random moments while it moves money between documents of different
//! shards. Every acknowledged transfer is there once, none is half there, the sum is constant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use tests::Server;
use tokio_postgres::Client;

const ACCOUNTS: i32 = 24;
const CLIENTS: usize = 8;

/// Kills per run: `CAMBIUM_CRASH_CYCLES` for soak runs.
fn cycles() -> u32 {
    std::env::var("CAMBIUM_CRASH_CYCLES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(6)
}

/// One transfer with a row of its own in `ledger`, so that an acknowledged one can be looked for.
async fn transfer(client: &Client, id: i64) -> Result<(), tokio_postgres::Error> {
    let (from, to, amount) = {
        let mut random = rand::rng();
        (
            random.random_range(1..=ACCOUNTS),
            random.random_range(1..=ACCOUNTS),
            random.random_range(1..10),
        )
    };
    client
        .batch_execute(&format!(
            "BEGIN;
             UPDATE account SET doc['balance'] = to_jsonb((doc->>'balance')::int - {amount}) WHERE id = {from};
             UPDATE account SET doc['balance'] = to_jsonb((doc->>'balance')::int + {amount}) WHERE id = {to};
             INSERT INTO ledger VALUES ({id});
             COMMIT"
        ))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_transfers_survive_kill_9() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut server = Server::start(&data)?;
    let client = server.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE account (id int PRIMARY KEY, doc jsonb); CREATE TABLE ledger (id bigint PRIMARY KEY)",
        )
        .await?;
    client
        .batch_execute(&format!(
            r#"INSERT INTO account SELECT i, '{{"balance": 1000}}' FROM generate_series(1, {ACCOUNTS}) AS g(i)"#
        ))
        .await?;
    drop(client);

    let next = Arc::new(AtomicU64::new(1));
    let mut acknowledged: Vec<i64> = Vec::new();
    for cycle in 0..cycles() {
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for _ in 0..CLIENTS {
            let client = server.connect().await?;
            let (next, stop) = (next.clone(), stop.clone());
            workers.push(tokio::spawn(async move {
                let mut done = Vec::new();
                while !stop.load(Ordering::Relaxed) && !client.is_closed() {
                    let id = next.fetch_add(1, Ordering::Relaxed) as i64;
                    match transfer(&client, id).await {
                        Ok(()) => done.push(id),
                        // A deadlock's victim; or the server is gone, which the loop's condition notices.
                        Err(_) => drop(client.batch_execute("ROLLBACK").await),
                    }
                }
                done
            }));
        }
        let run = rand::rng().random_range(300..1500);
        tokio::time::sleep(Duration::from_millis(run)).await;
        server.kill()?;
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            acknowledged.extend(worker.await?);
        }

        server = Server::start(&data)?;
        let client = server.connect().await?;
        let sum: i64 = client
            .query_one("SELECT sum((doc->>'balance')::int) FROM account", &[])
            .await?
            .get(0);
        assert_eq!(
            sum,
            i64::from(ACCOUNTS) * 1000,
            "cycle {cycle}: a transfer is half there"
        );
        let rows = client.query("SELECT id FROM ledger", &[]).await?;
        let present: std::collections::HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        let lost: Vec<&i64> = acknowledged.iter().filter(|id| !present.contains(id)).collect();
        assert!(
            lost.is_empty(),
            "cycle {cycle}: acknowledged transfers are lost: {lost:?}"
        );
    }
    println!("{} acknowledged transfers over {} kills", acknowledged.len(), cycles());
    assert!(
        !acknowledged.is_empty(),
        "nothing was acknowledged: the test tested nothing"
    );
    server.stop()
}
