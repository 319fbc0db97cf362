//! Crash test: a real process killed with SIGKILL at random moments while 8 connections move money between documents of
//! different shards and append to paths of shared documents. Every acknowledged change is there once, no transaction is half
//! there, the sum is constant, and `cambium check` finds rows, index entries and records in order after every kill.
//!
//! `CAMBIUM_CRASH_CYCLES` is the number of kills, 25 by default.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;
use tests::Server;
use tokio_postgres::Client;

const ACCOUNTS: i32 = 24;
const JOURNALS: i32 = 3;
const CLIENTS: usize = 8;

fn cycles() -> u32 {
    let cycles = std::env::var("CAMBIUM_CRASH_CYCLES").ok();
    cycles.and_then(|text| text.parse().ok()).unwrap_or(25)
}

/// What the server has acknowledged.
#[derive(Default)]
struct Acknowledged {
    transfers: Vec<i64>,
    /// (journal, client, number)
    appended: Vec<(i32, usize, i64)>,
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
             INSERT INTO ledger VALUES ({id}, 'transfer {id}', {from});
             COMMIT"
        ))
        .await
}

/// Adds a member to an object of a document that all clients write to.
async fn append(client: &Client, journal: i32, of: usize, id: i64) -> Result<(), tokio_postgres::Error> {
    let path = format!("doc['by{of}']['n{id}']");
    client
        .batch_execute(&format!("UPDATE journal SET {path} = '{id}' WHERE id = {journal}"))
        .await
}

async fn prepare(client: &Client) -> Result<()> {
    let statements = format!(
        r#"CREATE TABLE account (id int PRIMARY KEY, doc jsonb);
           CREATE INDEX ON account ((doc->>'balance'));
           CREATE TABLE ledger (id bigint PRIMARY KEY, note text UNIQUE, account int REFERENCES account);
           CREATE INDEX ON ledger (account);
           CREATE TABLE journal (id int PRIMARY KEY, doc jsonb);
           INSERT INTO account SELECT i, '{{"balance": 1000}}' FROM generate_series(1, {ACCOUNTS}) AS g(i);
           INSERT INTO journal SELECT i, '{{}}' FROM generate_series(1, {JOURNALS}) AS g(i)"#
    );
    Ok(client.batch_execute(&statements).await?)
}

/// Works until the server is gone.
async fn work(client: Client, of: usize, next: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Acknowledged {
    let mut done = Acknowledged::default();
    while !stop.load(Ordering::Relaxed) && !client.is_closed() {
        let id = next.fetch_add(1, Ordering::Relaxed) as i64;
        let result = if id % 3 == 0 {
            let journal = 1 + (id / 3 % i64::from(JOURNALS)) as i32;
            let appended = append(&client, journal, of, id).await;
            appended.map(|()| done.appended.push((journal, of, id)))
        } else {
            transfer(&client, id).await.map(|()| done.transfers.push(id))
        };
        // A deadlock's victim; or the server is gone, which the loop's condition notices.
        if result.is_err() {
            drop(client.batch_execute("ROLLBACK").await);
        }
    }
    done
}

async fn verify(client: &Client, acknowledged: &Acknowledged) -> Result<()> {
    let sum = "SELECT sum((doc->>'balance')::int) FROM account";
    let sum: i64 = client.query_one(sum, &[]).await?.get(0);
    assert_eq!(sum, i64::from(ACCOUNTS) * 1000, "a transfer is half there");
    let rows = client.query("SELECT id FROM ledger", &[]).await?;
    let present: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    let lost: Vec<&i64> = acknowledged
        .transfers
        .iter()
        .filter(|id| !present.contains(id))
        .collect();
    assert!(lost.is_empty(), "acknowledged transfers are lost: {lost:?}");
    let members = "SELECT j.id, c.key, n.key, n.value::text FROM journal j, jsonb_each(doc) c, jsonb_each(c.value) n";
    let mut members_present = HashSet::new();
    for row in client.query(members, &[]).await? {
        let (journal, of, member, value): (i32, &str, &str, &str) = (row.get(0), row.get(1), row.get(2), row.get(3));
        assert_eq!(member.strip_prefix('n'), Some(value), "a member has another's value");
        members_present.insert((journal, of.to_owned(), value.parse::<i64>()?));
    }
    for (journal, of, id) in &acknowledged.appended {
        let member = (*journal, format!("by{of}"), *id);
        assert!(
            members_present.contains(&member),
            "an acknowledged member is lost: {member:?}"
        );
    }
    Ok(())
}

/// One run of the server, from its start to its violent end.
async fn cycle(data: &Path, next: &Arc<AtomicU64>, acknowledged: &mut Acknowledged) -> Result<()> {
    let server = Server::start(data)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for of in 0..CLIENTS {
        let client = server.connect().await?;
        workers.push(tokio::spawn(work(client, of, next.clone(), stop.clone())));
    }
    let run = rand::rng().random_range(300..1500);
    tokio::time::sleep(Duration::from_millis(run)).await;
    server.kill()?;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        let done = worker.await?;
        acknowledged.transfers.extend(done.transfers);
        acknowledged.appended.extend(done.appended);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_kill_9() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    prepare(&server.connect().await?).await?;
    server.kill()?;

    let next = Arc::new(AtomicU64::new(1));
    let mut acknowledged = Acknowledged::default();
    for number in 0..cycles() {
        let in_cycle = || format!("cycle {number}");
        cycle(&data, &next, &mut acknowledged).await.with_context(in_cycle)?;
        // Every other time the check is the one that recovers.
        if number % 2 == 0 {
            tests::check(&data).with_context(in_cycle)?;
        }
        let server = Server::start(&data)?;
        verify(&server.connect().await?, &acknowledged)
            .await
            .with_context(in_cycle)?;
        server.kill()?;
        tests::check(&data).with_context(in_cycle)?;
    }
    let (transfers, appended) = (acknowledged.transfers.len(), acknowledged.appended.len());
    println!(
        "{transfers} transfers and {appended} members acknowledged over {} kills",
        cycles()
    );
    assert!(
        transfers > 0 && appended > 0,
        "nothing was acknowledged: the test tested nothing"
    );
    Ok(())
}
