//! Path locks between sessions: different paths of one document do not wait, the same path does, and a cycle is broken.

use std::time::Duration;

use anyhow::Result;
use tests::Server;
use tokio_postgres::Client;

/// Long enough for a statement that does not wait, short enough for one that does.
const PATIENCE: Duration = Duration::from_secs(20);

async fn server_with_documents() -> Result<(tempfile::TempDir, Server)> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    client
        .batch_execute("CREATE TABLE cart (id int PRIMARY KEY, doc jsonb)")
        .await?;
    client
        .batch_execute(r#"INSERT INTO cart SELECT i, '{"a": 0, "b": 0}' FROM generate_series(1, 20) AS g(i)"#)
        .await?;
    Ok((directory, server))
}

async fn document(client: &Client, id: i32) -> Result<String> {
    let row = client
        .query_one("SELECT doc::text FROM cart WHERE id = $1", &[&id])
        .await?;
    Ok(row.get(0))
}

/// Waits until some session waits for a lock.
async fn until_somebody_waits(client: &Client) -> Result<String> {
    let query = "SELECT path FROM pg_locks WHERE NOT granted LIMIT 1";
    let poll = async {
        loop {
            if let Some(row) = client.query_opt(query, &[]).await? {
                return Ok::<String, tokio_postgres::Error>(row.get(0));
            }
            tokio::task::yield_now().await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, poll).await??)
}

#[tokio::test(flavor = "multi_thread")]
async fn different_paths_of_one_document_do_not_wait() -> Result<()> {
    let (_directory, server) = server_with_documents().await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    one.batch_execute("BEGIN; UPDATE cart SET doc['a'] = '1' WHERE id = 1")
        .await?;
    let other = two.batch_execute("BEGIN; UPDATE cart SET doc['b'] = '2' WHERE id = 1");
    tokio::time::timeout(PATIENCE, other).await??;
    one.batch_execute("COMMIT").await?;
    two.batch_execute("COMMIT").await?;
    assert_eq!(document(&one, 1).await?, r#"{"a": 1, "b": 2}"#);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_path_waits_and_pg_locks_names_it() -> Result<()> {
    let (_directory, server) = server_with_documents().await?;
    let (one, two, watcher) = (
        server.connect().await?,
        server.connect().await?,
        server.connect().await?,
    );
    one.batch_execute("BEGIN; UPDATE cart SET doc['a'] = '1' WHERE id = 1")
        .await?;
    let second = tokio::spawn(async move {
        two.batch_execute("UPDATE cart SET doc['a'] = to_jsonb((doc->>'a')::int + 10) WHERE id = 1")
            .await
    });
    assert_eq!(until_somebody_waits(&watcher).await?, "cart/1/doc/a");
    one.batch_execute("COMMIT").await?;
    tokio::time::timeout(PATIENCE, second).await???;
    assert_eq!(document(&one, 1).await?, r#"{"a": 11, "b": 0}"#);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_ends_with_exactly_one_deadlock_error() -> Result<()> {
    let (_directory, server) = server_with_documents().await?;
    let (one, two, watcher) = (
        server.connect().await?,
        server.connect().await?,
        server.connect().await?,
    );
    one.batch_execute("BEGIN; UPDATE cart SET doc['a'] = '1' WHERE id = 1")
        .await?;
    two.batch_execute("BEGIN; UPDATE cart SET doc['a'] = '2' WHERE id = 2")
        .await?;
    let first = tokio::spawn(async move {
        let result = one.batch_execute("UPDATE cart SET doc['a'] = '1' WHERE id = 2").await;
        (one, result)
    });
    until_somebody_waits(&watcher).await?;
    let second = tokio::time::timeout(
        PATIENCE,
        two.batch_execute("UPDATE cart SET doc['a'] = '2' WHERE id = 1"),
    )
    .await?;
    two.batch_execute("ROLLBACK").await?;
    let (one, first) = tokio::time::timeout(PATIENCE, first).await??;
    one.batch_execute("ROLLBACK").await?;
    let failed: Vec<String> = [first, second]
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.code().map(|code| code.code().to_string()).unwrap_or_default())
        .collect();
    assert_eq!(failed, ["40P01"]);
    Ok(())
}
