//! Rules of DESIGN §3 as a user sees them in `pg_locks`, EXPLAIN (LOCKS) and error codes: savepoints (L7), escalation (L8),
//! table modes (L2), advisory locks.

use anyhow::Result;
use tests::Server;
use tests::interleaving::{Step, run};
use tokio_postgres::{Client, SimpleQueryMessage};

const SETUP: &str = r#"
    CREATE TABLE t (id int PRIMARY KEY, n int, doc jsonb, tag text UNIQUE);
    CREATE INDEX t_n ON t (n);
    INSERT INTO t VALUES (1, 10, '{"a": 1, "b": {"c": 2}, "list": [{"q": 1}]}', 'one'), (2, 20, '{"a": 1}', 'two');
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES t);
"#;

async fn server() -> Result<(tempfile::TempDir, Server)> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    server.connect().await?.batch_execute(SETUP).await?;
    Ok((directory, server))
}

async fn lines(client: &Client, sql: &str) -> Result<Vec<String>> {
    let messages = client.simple_query(sql).await?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
                Some(values.collect::<Vec<_>>().join(" "))
            }
            _ => None,
        })
        .collect())
}

/// Locks of the session on paths and rows, without the intentions above them.
async fn held(client: &Client) -> Result<Vec<String>> {
    let own =
        "SELECT mode, path FROM pg_locks WHERE pid = pg_backend_pid() AND mode IN ('X', 'S', 'A') ORDER BY path, mode";
    lines(client, own).await
}

async fn steps(server: &Server, steps: &[(usize, &str)]) -> Result<Vec<Step>> {
    let watcher = server.connect().await?;
    let mut clients = Vec::new();
    for _ in 0..=steps.iter().map(|(session, _)| *session).max().unwrap_or(0) {
        clients.push(server.connect().await?);
    }
    let steps: Vec<(usize, String)> = steps.iter().map(|(at, sql)| (*at, (*sql).to_owned())).collect();
    run(clients, &watcher, &steps).await
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_locks_names_what_is_then_locked() -> Result<()> {
    let (_directory, server) = server().await?;
    let client = server.connect().await?;
    for (statement, expected) in [
        ("UPDATE t SET doc['b']['c'] = '5' WHERE id = 1", vec!["X t/1/doc/b/c"]),
        (
            "UPDATE t SET doc['list'][0]['q'] = '5' WHERE id = 1",
            vec!["X t/1/doc/list/0/q"],
        ),
        ("UPDATE t SET doc['new']['x'] = '5' WHERE id = 1", vec!["X t/1/doc/new"]),
        (
            "UPDATE t SET doc['a'] = doc['b']['c'] WHERE id = 1 AND doc->>'a' = '1'",
            vec!["S t/1/doc/b/c", "X t/1/doc/a"],
        ),
        (
            "UPDATE t SET doc['a'] = to_jsonb((doc['a'])::int + 1) WHERE id = 1",
            vec!["A t/1/doc/a"],
        ),
        (
            "UPDATE t SET n = 11 WHERE id = 1",
            vec!["X t/1/n", "X t/t_n/10/1", "X t/t_n/11/1"],
        ),
        ("SELECT 1 FROM t WHERE id = 1 FOR NO KEY UPDATE", vec!["X t/1/#data"]),
        ("SELECT 1 FROM t WHERE id = 1 FOR KEY SHARE", vec!["S t/1/#key"]),
        (
            "INSERT INTO child VALUES (1, 1)",
            vec!["S t/1/#key", "X child/1", "X child/child_pkey/1/1"],
        ),
    ] {
        let before = held(&client).await?;
        assert_eq!(before, [""; 0], "{statement}");
        client.batch_execute("BEGIN").await?;
        let mut explained: Vec<String> = lines(&client, &format!("EXPLAIN (LOCKS) {statement}"))
            .await?
            .iter()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (mode, path) = (words.next()?, words.next()?);
                matches!(mode, "X" | "S" | "A").then(|| format!("{mode} {path}"))
            })
            .collect();
        explained.sort();
        assert_eq!(explained, expected, "{statement}");
        assert_eq!(held(&client).await?, [""; 0], "explained, not run: {statement}");
        client.batch_execute(statement).await?;
        let mut taken = held(&client).await?;
        taken.sort();
        assert_eq!(taken, expected, "{statement}");
        client.batch_execute("ROLLBACK").await?;
    }
    let rows = lines(&client, "EXPLAIN (LOCKS) UPDATE t SET doc['a'] = '1'").await?;
    assert!(rows.iter().any(|line| line.starts_with("Commit: ")), "{rows:?}");
    let unchanged = lines(&client, "SELECT doc->'a' FROM t ORDER BY id").await?;
    assert_eq!(unchanged, ["1", "1"]);
    Ok(())
}

/// L7: going back to a savepoint gives back what was locked since; in SERIALIZABLE what was read stays locked.
#[tokio::test(flavor = "multi_thread")]
async fn savepoints_give_back_locks() -> Result<()> {
    let (_directory, server) = server().await?;
    let client = server.connect().await?;
    client
        .batch_execute(
            "BEGIN; UPDATE t SET doc['a'] = '2' WHERE id = 1; SAVEPOINT s; UPDATE t SET doc['b'] = '3' WHERE id = 1",
        )
        .await?;
    assert_eq!(held(&client).await?, ["X t/1/doc/a", "X t/1/doc/b"]);
    client.batch_execute("ROLLBACK TO s").await?;
    assert_eq!(held(&client).await?, ["X t/1/doc/a"]);
    client.batch_execute("ROLLBACK").await?;
    client
        .batch_execute(
            "BEGIN ISOLATION LEVEL SERIALIZABLE; SAVEPOINT s;
             SELECT doc->'a' FROM t WHERE id = 1; UPDATE t SET doc['b'] = '3' WHERE id = 1; ROLLBACK TO s",
        )
        .await?;
    // What was written may have been looked at under its X: that much stays.
    assert_eq!(held(&client).await?, ["S t/1/doc/a", "S t/1/doc/b"]);
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// L8: more than 1,000 paths of a row become one lock, which `pg_locks` shows.
#[tokio::test(flavor = "multi_thread")]
async fn very_many_paths_become_one_lock() -> Result<()> {
    let (_directory, server) = server().await?;
    let client = server.connect().await?;
    client.batch_execute("BEGIN").await?;
    let many: Vec<String> = (0..1010)
        .map(|at| format!("UPDATE t SET doc['k{at}'] = '1' WHERE id = 1"))
        .collect();
    client.batch_execute(&many.join(";")).await?;
    let locks = held(&client).await?;
    assert!(locks.contains(&"X t/1/#data".to_owned()), "{} locks", locks.len());
    assert!(locks.len() < 200, "{} locks", locks.len());
    let other = steps(
        &server,
        &[
            (0, "BEGIN"),
            (0, "SET LOCAL lock_timeout = '50ms'"),
            (0, "UPDATE t SET doc['z'] = '1' WHERE id = 1"),
        ],
    )
    .await?;
    assert_eq!(other[2].error.as_deref(), Some("55P03"));
    client.batch_execute("COMMIT").await?;
    let count = lines(
        &client,
        "SELECT count(*) FROM t, jsonb_object_keys(doc) AS k WHERE id = 1",
    )
    .await?;
    assert_eq!(count, ["1013"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn table_modes_meet_each_other_and_rows() -> Result<()> {
    let (_directory, server) = server().await?;
    let found = steps(
        &server,
        &[
            (0, "BEGIN"),
            (0, "LOCK TABLE t IN SHARE MODE"),
            (1, "SELECT n FROM t WHERE id = 1"),
            (1, "UPDATE t SET n = 5 WHERE id = 1"),
            (0, "COMMIT"),
        ],
    )
    .await?;
    let waited: Vec<bool> = found.iter().map(|step| step.has_waited).collect();
    assert_eq!(waited, [false, false, false, true, false]);
    let found = steps(
        &server,
        &[
            (0, "BEGIN"),
            (0, "UPDATE t SET n = 6 WHERE id = 1"),
            (1, "BEGIN"),
            (1, "LOCK TABLE t NOWAIT"),
            (1, "ROLLBACK"),
            (0, "COMMIT"),
        ],
    )
    .await?;
    assert_eq!(found[3].error.as_deref(), Some("55P03"));
    Ok(())
}

/// A cycle through an advisory lock and a row is broken like any other.
#[tokio::test(flavor = "multi_thread")]
async fn advisory_locks_wait_and_take_part_in_deadlocks() -> Result<()> {
    let (_directory, server) = server().await?;
    let found = steps(
        &server,
        &[
            (0, "BEGIN"),
            (1, "BEGIN"),
            (0, "SELECT pg_advisory_xact_lock(7)"),
            (1, "SELECT pg_try_advisory_lock(7)"),
            (1, "UPDATE t SET n = 1 WHERE id = 1"),
            (1, "SELECT pg_advisory_lock(7)"),
            (0, "UPDATE t SET n = 2 WHERE id = 1"),
            (0, "ROLLBACK"),
            (1, "ROLLBACK"),
            (
                0,
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
            ),
        ],
    )
    .await?;
    assert_eq!(found[3].rows, ["f"]);
    assert!(found[5].has_waited);
    let errors: Vec<&str> = found.iter().filter_map(|step| step.error.as_deref()).collect();
    assert_eq!(errors, ["40P01"]);
    assert_eq!(found[9].number(), 0);
    Ok(())
}

/// L2: FOR KEY SHARE stops who takes the row away, and nobody who changes its data.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_share_stops_deletes_and_no_updates() -> Result<()> {
    let (_directory, server) = server().await?;
    let told = steps(
        &server,
        &[
            (0, "BEGIN"),
            (0, "SELECT 1 FROM t WHERE id = 1 FOR KEY SHARE"),
            (1, "UPDATE t SET n = 12 WHERE id = 1"),
            (1, "DELETE FROM t WHERE id = 1"),
            (0, "COMMIT"),
        ],
    )
    .await?;
    assert!(!told[2].has_waited, "{told:?}");
    assert!(told[3].has_waited, "{told:?}");
    assert!(told.iter().all(|step| step.error.is_none()), "{told:?}");
    Ok(())
}

/// L4: whoever waited looks at its condition again, on the newest row.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_evaluated_again_after_a_wait() -> Result<()> {
    let (_directory, server) = server().await?;
    let told = steps(
        &server,
        &[
            (0, "BEGIN"),
            (0, "UPDATE t SET n = 99 WHERE id = 1"),
            (1, "UPDATE t SET doc = '{}' WHERE id = 1 AND n = 10"),
            (2, "DELETE FROM t WHERE id = 1 AND n = 10"),
            (0, "COMMIT"),
        ],
    )
    .await?;
    assert!(told[2].has_waited && told[3].has_waited, "{told:?}");
    let row = "SELECT n, doc = '{}' FROM t WHERE id = 1";
    assert_eq!(lines(&server.connect().await?, row).await?, ["99 f"]);
    Ok(())
}
