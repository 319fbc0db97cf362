//! Starting and stopping the binary: what an operator is told when it cannot start, and that it stops in order.

use std::process::{Command, Output};

use anyhow::{Result, ensure};
use tests::Server;

fn start(data: &std::path::Path, sql: &str) -> Result<Output> {
    let mut command = Command::new(tests::binary()?);
    command
        .args(["start", "--sql", sql, "--http", "127.0.0.1:0", "--data"])
        .arg(data);
    Ok(command.output()?)
}

#[test]
fn a_second_server_says_why_it_does_not_start() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    let taken = start(&directory.path().join("other"), &format!("127.0.0.1:{}", server.port()))?;
    let said = String::from_utf8_lossy(&taken.stderr);
    ensure!(!taken.status.success() && said.contains("the port is in use"), "{said}");
    ensure!(
        !directory.path().join("other").exists(),
        "the data directory was made for nothing"
    );
    let used = start(&data, "127.0.0.1:0")?;
    let said = String::from_utf8_lossy(&used.stderr);
    ensure!(
        !used.status.success() && said.contains("in use") && said.contains("data"),
        "{said}"
    );
    ensure!(said.trim().lines().count() <= 2, "one sentence is enough: {said}");
    server.stop()
}

#[test]
fn data_of_a_newer_version_is_left_alone() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    Server::start(&data)?.stop()?;
    std::fs::write(data.join("VERSION"), "cambium 999\n")?;
    let newer = start(&data, "127.0.0.1:0")?;
    let said = String::from_utf8_lossy(&newer.stderr);
    ensure!(
        !newer.status.success() && said.contains("999") && said.contains("newer"),
        "{said}"
    );
    std::fs::write(data.join("VERSION"), "cambium 1\n")?;
    Server::start(&data)?.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_sessions_and_keeps_what_was_committed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    let client = server.connect().await?;
    client
        .batch_execute("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
        .await?;
    let sleeper = server.connect().await?;
    let sleeping = tokio::spawn(async move { sleeper.query("SELECT pg_sleep(600)", &[]).await.err() });
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active'
                AND pid <> pg_backend_pid()";
    while client.query_one(busy, &[]).await?.get::<_, i64>(0) == 0 {}
    tokio::task::spawn_blocking(move || server.stop()).await??;
    let error = sleeping.await?;
    let code = error
        .as_ref()
        .and_then(|error| error.code())
        .map(|code| code.code().to_owned());
    ensure!(code.as_deref() == Some("57P01"), "{error:?}");
    let server = Server::start(&data)?;
    let client = server.connect().await?;
    ensure!(
        client
            .query_one("SELECT count(*) FROM kept", &[])
            .await?
            .get::<_, i64>(0)
            == 1,
        "rows kept"
    );
    server.stop()
}
