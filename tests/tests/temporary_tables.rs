//! Temporary tables: seen by their session alone, emptied or dropped by COMMIT, gone with the session and after a crash.

use anyhow::Result;
use tests::Server;
use tokio_postgres::Client;

async fn number(client: &Client, sql: &str) -> Result<i64> {
    Ok(client.query_one(sql, &[]).await?.get(0))
}

async fn code(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "ok".into(),
        Err(error) => error.code().map_or_else(String::new, |code| code.code().into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_tables_belong_to_their_session() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    let (ann, bob) = (server.connect().await?, server.connect().await?);
    ann.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
        .await?;
    // The temporary table hides the permanent one of the same name, for its session only.
    ann.batch_execute("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (7)")
        .await?;
    assert_eq!(number(&ann, "SELECT count(*) FROM t").await?, 1);
    assert_eq!(number(&ann, "SELECT count(*) FROM public.t").await?, 2);
    assert_eq!(number(&ann, "SELECT count(*) FROM pg_temp.t").await?, 1);
    assert_eq!(number(&bob, "SELECT count(*) FROM t").await?, 2);

    ann.batch_execute("CREATE TEMP TABLE emptied (a int) ON COMMIT DELETE ROWS")
        .await?;
    ann.batch_execute("BEGIN; INSERT INTO emptied VALUES (1)").await?;
    assert_eq!(number(&ann, "SELECT count(*) FROM emptied").await?, 1);
    ann.batch_execute("COMMIT").await?;
    assert_eq!(number(&ann, "SELECT count(*) FROM emptied").await?, 0);
    ann.batch_execute("BEGIN; CREATE TEMP TABLE dropped ON COMMIT DROP AS SELECT 1 AS a; COMMIT")
        .await?;
    assert_eq!(code(&ann, "SELECT * FROM dropped").await, "42P01");
    ann.batch_execute("BEGIN; CREATE TEMP TABLE undone (a int); ROLLBACK")
        .await?;
    assert_eq!(code(&ann, "SELECT * FROM undone").await, "42P01");

    assert_eq!(code(&ann, "CREATE TABLE p (a int) ON COMMIT DROP").await, "42P16");
    assert_eq!(code(&ann, "CREATE TEMP TABLE public.p (a int)").await, "42P16");
    assert_eq!(
        code(
            &ann,
            "CREATE TEMP TABLE k (a int PRIMARY KEY); CREATE TABLE p (a int REFERENCES k)"
        )
        .await,
        "42P16"
    );
    ann.batch_execute("DISCARD TEMP").await?;
    assert_eq!(number(&ann, "SELECT count(*) FROM t").await?, 2);

    // A crash leaves them behind; the next start removes them.
    ann.batch_execute("CREATE TEMP TABLE left_behind (a int)").await?;
    server.kill()?;
    let server = Server::start(&data)?;
    let client = server.connect().await?;
    let rest =
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname LIKE 'pg_temp%'";
    assert_eq!(number(&client, rest).await?, 0);
    assert_eq!(number(&client, "SELECT count(*) FROM t").await?, 2);
    Ok(())
}
