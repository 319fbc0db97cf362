//! The cap on the memory of locks (L8) as a client meets it: 53200, nothing lost, and everything goes on.

use anyhow::Result;
use tests::Server;
use tokio_postgres::Client;

/// More rows than have room in a lock table of 1 MiB, and too few to be traded for a lock on the table.
const ROWS: usize = 12_000;
const CHUNK: usize = 1_000;

/// A server whose one shard has 1 MiB for its locks, with a table of many rows.
async fn server() -> Result<(tempfile::TempDir, Server)> {
    let directory = tempfile::tempdir()?;
    let options = ["--shards", "1", "--lock-memory-mib", "1"];
    let server = Server::start_with(&directory.path().join("data"), &options)?;
    let client = server.connect().await?;
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int, doc jsonb)")
        .await?;
    for from in (1..=ROWS).step_by(CHUNK) {
        let to = from + CHUNK - 1;
        let insert = format!(r#"INSERT INTO t SELECT i, 0, '{{"a": 0}}' FROM generate_series({from}, {to}) i"#);
        client.batch_execute(&insert).await?;
    }
    Ok((directory, server))
}

/// The SQLSTATE a statement ends with.
async fn state(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "00000".into(),
        Err(error) => error
            .code()
            .map_or_else(|| error.to_string(), |code| code.code().into()),
    }
}

async fn number(client: &Client, sql: &str) -> Result<i64> {
    Ok(client.query_one(sql, &[]).await?.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_memory_for_locks_a_statement_is_refused_and_nothing_is_lost() -> Result<()> {
    let (_directory, server) = server().await?;
    let (greedy, other) = (server.connect().await?, server.connect().await?);

    // Statements of their own: none of their rows is changed.
    for sql in [
        "UPDATE t SET n = 7",
        "UPDATE t SET doc['a'] = '7'",
        "DELETE FROM t",
        "SELECT id FROM t FOR UPDATE",
    ] {
        assert_eq!(state(&greedy, sql).await, "53200", "{sql}");
    }
    let unchanged = format!("SELECT count(*) FROM t WHERE n = 0 AND doc = '{{\"a\": 0}}' HAVING count(*) = {ROWS}");
    assert_eq!(number(&other, &unchanged).await?, ROWS as i64);

    // In a transaction what it held before it still holds, and what it wrote it still commits.
    greedy
        .batch_execute("BEGIN; UPDATE t SET n = 1 WHERE id = 1; SAVEPOINT before")
        .await?;
    assert_eq!(state(&greedy, "SELECT id FROM t FOR UPDATE").await, "53200");
    assert_eq!(
        state(&greedy, "SELECT 1").await,
        "25P02",
        "as after any error in a block"
    );
    greedy.batch_execute("ROLLBACK TO before").await?;
    let locked = "SELECT id FROM t WHERE id = 1 FOR UPDATE NOWAIT";
    assert_eq!(state(&other, locked).await, "55P03", "still held");
    // What the refused statement took was given back: there is room again, for both.
    assert_eq!(
        state(&other, "UPDATE t SET n = 3 WHERE id BETWEEN 3 AND 500").await,
        "00000"
    );
    greedy
        .batch_execute("UPDATE t SET doc['a'] = '2' WHERE id = 2; COMMIT")
        .await?;
    let changed = "SELECT count(*) FROM t WHERE (id = 1 AND n = 1) OR (id = 2 AND doc = '{\"a\": 2}') OR n = 3";
    assert_eq!(number(&greedy, changed).await?, 500);
    let held = "SELECT count(*) FROM pg_locks WHERE mode IN ('X', 'S', 'A')";
    assert_eq!(number(&greedy, held).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_let_in_though_others_are_refused() -> Result<()> {
    let (_directory, server) = server().await?;
    let (holder, waiter, greedy) = (
        server.connect().await?,
        server.connect().await?,
        server.connect().await?,
    );
    holder
        .batch_execute("BEGIN; UPDATE t SET n = n + 1 WHERE id = 5; SELECT id FROM t WHERE id = 5 FOR UPDATE")
        .await?;
    let waits = tokio::spawn(async move { waiter.batch_execute("UPDATE t SET n = n + 10 WHERE id = 5").await });
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while number(&greedy, waiting).await? == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(state(&greedy, "UPDATE t SET n = n + 100 WHERE id > 5").await, "53200");
    holder.batch_execute("COMMIT").await?;
    waits.await??;
    assert_eq!(number(&greedy, "SELECT n::int8 FROM t WHERE id = 5").await?, 11);
    assert_eq!(number(&greedy, "SELECT sum(n) FROM t").await?, 11);
    Ok(())
}
