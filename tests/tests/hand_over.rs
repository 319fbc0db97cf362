//! Hand-over (txn/PROTOCOL.md T4): locks pass on when a commit is proposed, and what was seen of it is told when it is on disk.
//!
//! A library before the C library's holds flushes back for as long as a file exists; it needs a C compiler. Where there is none
//! the tests say loudly that they tested nothing.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{Server, skip};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage};

/// How long an answer that must not come is waited for, once everybody else had theirs.
const SILENCE: Duration = Duration::from_millis(500);
/// How long an answer that must come may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server whose disk can be stopped.
struct Held {
    server: Server,
    flag: PathBuf,
    _directory: tempfile::TempDir,
}

impl Held {
    /// `None` where the library cannot be made.
    fn start() -> Result<Option<Held>> {
        let directory = tempfile::tempdir()?;
        let Some(library) = tests::shim("hold", directory.path()) else {
            skip("a disk that waits needs a C compiler (cc)");
            return Ok(None);
        };
        let flag = directory.path().join("held");
        let mut command = Command::new(tests::binary()?);
        command.env("LD_PRELOAD", &library).env("CAMBIUM_HOLD", &flag);
        let server = Server::start_by(command, &directory.path().join("data"), &[])?;
        Ok(Some(Held {
            server,
            flag,
            _directory: directory,
        }))
    }

    fn stop_disk(&self) -> Result<()> {
        Ok(std::fs::write(&self.flag, "")?)
    }

    fn start_disk(&self) -> Result<()> {
        Ok(std::fs::remove_file(&self.flag)?)
    }

    /// A session with a transaction in which these statements were run.
    async fn open(&self, begin: &str, statement: &str) -> Result<Client> {
        let client = self.server.connect().await?;
        client.batch_execute(begin).await?;
        client.batch_execute(statement).await?;
        Ok(client)
    }
}

/// What a statement was answered: a row's first value, a tag's count or a SQLSTATE.
type Answer = String;

fn ask(client: Client, statement: &'static str) -> JoinHandle<(Client, Answer)> {
    tokio::spawn(async move {
        let answer = match client.simple_query(statement).await {
            Err(error) => error
                .code()
                .map_or_else(|| error.to_string(), |code| code.code().to_owned()),
            Ok(messages) => messages
                .iter()
                .find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0).map(|value| format!("row {value}")),
                    SimpleQueryMessage::CommandComplete(count) => Some(count.to_string()),
                    _ => None,
                })
                .unwrap_or_default(),
        };
        (client, answer)
    })
}

async fn answer(asked: JoinHandle<(Client, Answer)>) -> Result<(Client, Answer)> {
    tokio::time::timeout(PATIENCE, asked)
        .await
        .context("no answer came")?
        .context("the session is lost")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_tags_and_errors_wait_for_the_commit_they_rest_on() -> Result<()> {
    let Some(held) = Held::start()? else { return Ok(()) };
    let setup = held.server.connect().await?;
    setup
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, value int, other int)")
        .await?;
    // One by one: of a commit over several shards some might still be on its way when it was answered.
    for id in 1..=6 {
        setup
            .batch_execute(&format!("INSERT INTO t VALUES ({id}, 0, 0)"))
            .await?;
    }

    // Commits on one row each, so that each is one command of one shard.
    let mut writers = Vec::new();
    for statement in [
        "UPDATE t SET value = 7 WHERE id = 1",
        "UPDATE t SET value = 7 WHERE id = 2",
        "UPDATE t SET value = 7 WHERE id = 3",
        "UPDATE t SET value = value + 7 WHERE id = 4",
        "DELETE FROM t WHERE id = 6",
        "INSERT INTO t VALUES (10, 0, 0)",
    ] {
        writers.push(held.open("BEGIN", statement).await?);
    }
    let mut plain = Vec::new();
    for _ in 0..6 {
        plain.push(held.open("BEGIN", "SELECT 1").await?);
    }
    let repeatable = held
        .open("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM t")
        .await?;
    let mut session = || plain.pop().context("there are enough sessions");

    held.stop_disk()?;
    let commits: Vec<_> = writers.into_iter().map(|writer| ask(writer, "COMMIT")).collect();
    let waiting = [
        (
            "a tag",
            ask(session()?, "UPDATE t SET value = value * 2 WHERE id = 1"),
            "1",
        ),
        (
            "a row",
            ask(session()?, "SELECT value FROM t WHERE id = 2 FOR UPDATE"),
            "row 7",
        ),
        (
            "a serialization failure",
            ask(repeatable, "UPDATE t SET value = 1 WHERE id = 3"),
            "40001",
        ),
        (
            "a tag that says no row",
            ask(session()?, "UPDATE t SET value = 1 WHERE id = 6"),
            "0",
        ),
        (
            "a duplicate key",
            ask(session()?, "INSERT INTO t VALUES (10, 1, 1)"),
            "23505",
        ),
    ];
    // These saw nothing of the commits: an addition does not look at what it adds to.
    let beside = ask(session()?, "UPDATE t SET other = other * 2 WHERE id = 1");
    assert_eq!(answer(beside).await?.1, "1");
    let addition = ask(session()?, "UPDATE t SET value = value + 1 WHERE id = 4");
    let (addition, count) = answer(addition).await?;
    assert_eq!(count, "1");

    tokio::time::sleep(SILENCE).await;
    for commit in &commits {
        ensure!(!commit.is_finished(), "COMMIT was answered though nothing is on disk");
    }
    for (what, asked, _) in &waiting {
        ensure!(
            !asked.is_finished(),
            "{what} was told before the commit it rests on was on disk"
        );
    }
    held.start_disk()?;
    for commit in commits {
        assert_eq!(answer(commit).await?.1, "0");
    }
    for (what, asked, wanted) in waiting {
        assert_eq!(answer(asked).await?.1, wanted, "{what}");
    }
    // What it added to shows when it looks.
    assert_eq!(
        answer(ask(addition, "SELECT value FROM t WHERE id = 4")).await?.1,
        "row 8"
    );
    held.server.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_for_the_disk_can_be_cancelled() -> Result<()> {
    let Some(held) = Held::start()? else { return Ok(()) };
    let setup = held.server.connect().await?;
    setup
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, value int); INSERT INTO t VALUES (1, 0)")
        .await?;
    let writer = held.open("BEGIN", "UPDATE t SET value = 7 WHERE id = 1").await?;
    let reader = held.open("BEGIN", "SET statement_timeout = '200ms'").await?;
    held.stop_disk()?;
    let commit = ask(writer, "COMMIT");
    let asked = ask(reader, "SELECT value FROM t WHERE id = 1 FOR UPDATE");
    let (reader, code) = answer(asked).await?;
    assert_eq!(code, "57014");
    ensure!(!commit.is_finished(), "COMMIT was answered though nothing is on disk");
    held.start_disk()?;
    assert_eq!(answer(commit).await?.1, "0");
    reader.batch_execute("ROLLBACK").await?;
    held.server.stop()
}
