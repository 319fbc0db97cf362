//! SERIALIZABLE under load: invariants that only a serial execution keeps, from many sessions with retries.

use anyhow::{Result, bail};
use rand::Rng;
use tests::Server;
use tokio_postgres::Client;

const SESSIONS: usize = 5;
const ROUNDS: usize = 12;
const ATTEMPTS_MAX: usize = 500;

/// Runs statements in a SERIALIZABLE transaction until it commits: `look` must give a number, and only while that is at least
/// `least` is `act` run.
async fn guarded(client: &Client, look: &str, least: i64, act: &str) -> Result<bool> {
    for _ in 0..ATTEMPTS_MAX {
        match attempt(client, look, least, act).await {
            Ok(acted) => return Ok(acted),
            Err(error) => {
                client.batch_execute("ROLLBACK").await?;
                let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
                if !matches!(code.as_str(), "40001" | "40P01") {
                    return Err(error.into());
                }
            }
        }
    }
    bail!("{ATTEMPTS_MAX} attempts failed")
}

async fn attempt(client: &Client, look: &str, least: i64, act: &str) -> Result<bool, tokio_postgres::Error> {
    client.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE").await?;
    let found: i64 = client.query_one(look, &[]).await?.get(0);
    if found >= least {
        client.batch_execute(act).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(found >= least)
}

/// Every session takes from a random place as long as the sum allows it; what is left must not be negative, and must be
/// what the successful takings leave.
async fn take_concurrently(setup: &str, look: &'static str, takes: [&'static str; 2], start: i64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    client.batch_execute(setup).await?;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let client = server.connect().await?;
        sessions.push(tokio::spawn(async move {
            let mut taken = 0;
            for _ in 0..ROUNDS {
                let act = takes[rand::rng().random_range(0..2)];
                if guarded(&client, look, 10, act).await? {
                    taken += 10;
                }
            }
            Ok::<i64, anyhow::Error>(taken)
        }));
    }
    let mut taken = 0;
    for session in sessions {
        taken += session.await??;
    }
    let left: i64 = client.query_one(look, &[]).await?.get(0);
    assert!(left >= 0, "{left} is left: write skew");
    assert_eq!(left, start - taken);
    assert!(left < 10, "more could have been taken");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_never_skew() -> Result<()> {
    take_concurrently(
        "CREATE TABLE t (id int PRIMARY KEY, n bigint); INSERT INTO t VALUES (1, 100), (2, 105)",
        "SELECT sum(n)::bigint FROM t",
        [
            "UPDATE t SET n = n - 10 WHERE id = 1",
            "UPDATE t SET n = n - 10 WHERE id = 2",
        ],
        205,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_never_skew() -> Result<()> {
    take_concurrently(
        r#"CREATE TABLE t (id int PRIMARY KEY, doc jsonb); INSERT INTO t VALUES (1, '{"a": 100, "b": 105, "c": 1}')"#,
        "SELECT (doc->>'a')::bigint + (doc->>'b')::bigint FROM t WHERE id = 1",
        [
            "UPDATE t SET doc['a'] = to_jsonb((doc['a'])::int - 10) WHERE id = 1",
            "UPDATE t SET doc['b'] = to_jsonb((doc['b'])::int - 10) WHERE id = 1",
        ],
        205,
    )
    .await
}

/// New rows are phantoms of the sum: what each session sees must hold until it commits.
#[tokio::test(flavor = "multi_thread")]
async fn inserts_never_skew() -> Result<()> {
    take_concurrently(
        "CREATE TABLE t (id serial PRIMARY KEY, kind int, n bigint); CREATE INDEX t_kind ON t (kind);
         INSERT INTO t (kind, n) VALUES (1, 205)",
        "SELECT sum(n)::bigint FROM t WHERE kind = 1",
        [
            "INSERT INTO t (kind, n) VALUES (1, -10)",
            "INSERT INTO t (kind, n) VALUES (1, -4), (1, -6)",
        ],
        205,
    )
    .await
}
