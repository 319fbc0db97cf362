//! Additions to one number from several sessions (DESIGN L5): both proceed, whoever rolls back leaves nothing, a sum that
//! leaves its type is refused, and who looks at the sum waits for the others first.

use anyhow::Result;
use tests::Server;
use tests::interleaving::{Step, run};
use tokio_postgres::Client;

const SETUP: &str = r#"
    CREATE TABLE c (id int PRIMARY KEY, n int, m numeric(6,2), small smallint, doc jsonb, checked int CHECK (checked < 1000));
    INSERT INTO c VALUES (1, 10, 1.50, 32760, '{"hits": 5, "price": 1.5, "other": 1}', 1), (2, 0, 0, 0, '{"hits": 0}', 0);
"#;

struct Bench {
    _directory: tempfile::TempDir,
    server: Server,
}

impl Bench {
    async fn new() -> Result<Bench> {
        let directory = tempfile::tempdir()?;
        let server = Server::start(&directory.path().join("data"))?;
        server.connect().await?.batch_execute(SETUP).await?;
        Ok(Bench {
            _directory: directory,
            server,
        })
    }

    async fn run(&self, steps: &[(usize, &str)]) -> Result<Vec<Step>> {
        let count = steps.iter().map(|(session, _)| session + 1).max().unwrap_or(0);
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..count {
            clients.push(self.server.connect().await?);
        }
        let watcher = self.server.connect().await?;
        let steps: Vec<(usize, String)> = steps.iter().map(|(at, sql)| (*at, (*sql).to_owned())).collect();
        run(clients, &watcher, &steps).await
    }
}

fn errors(steps: &[Step]) -> Vec<&str> {
    steps.iter().filter_map(|step| step.error.as_deref()).collect()
}

fn waits(steps: &[Step]) -> Vec<bool> {
    steps.iter().map(|step| step.has_waited).collect()
}

/// Two transactions run the same addition to row 1, the first rolls back, the second commits. Nobody waits.
async fn two_add(bench: &Bench, addition: &str, read: &str) -> Result<String> {
    let steps = bench
        .run(&[
            (0, "BEGIN"),
            (1, "BEGIN"),
            (0, addition),
            (1, addition),
            (0, "ROLLBACK"),
            (1, "COMMIT"),
            (0, read),
        ])
        .await?;
    assert_eq!(errors(&steps), [""; 0], "{addition}");
    assert_eq!(waits(&steps), [false; 7], "{addition}");
    Ok(steps[6].rows.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_transactions_add_to_one_number_and_neither_waits() -> Result<()> {
    let bench = Bench::new().await?;
    for (addition, read, sum) in [
        (
            "UPDATE c SET n = n + 5 WHERE id = 1",
            "SELECT n FROM c WHERE id = 1",
            "15",
        ),
        (
            "UPDATE c SET n = 7 + n WHERE id = 1",
            "SELECT n FROM c WHERE id = 1",
            "22",
        ),
        (
            "UPDATE c SET n = n - 2 WHERE id = 1",
            "SELECT n FROM c WHERE id = 1",
            "20",
        ),
        (
            "UPDATE c SET m = m + 0.25 WHERE id = 1",
            "SELECT m FROM c WHERE id = 1",
            "1.75",
        ),
        (
            "UPDATE c SET small = small - 1 WHERE id = 1",
            "SELECT small FROM c WHERE id = 1",
            "32759",
        ),
        (
            "UPDATE c SET doc['hits'] = to_jsonb((doc['hits'])::int + 1) WHERE id = 1",
            "SELECT doc['hits'] FROM c WHERE id = 1",
            "6",
        ),
        (
            "UPDATE c SET doc = jsonb_set(doc, '{hits}', to_jsonb((doc->>'hits')::int + 4)) WHERE id = 1",
            "SELECT doc['hits'] FROM c WHERE id = 1",
            "10",
        ),
        (
            "UPDATE c SET doc['price'] = to_jsonb((doc['price'])::numeric + 2) WHERE id = 1",
            "SELECT doc['price'] FROM c WHERE id = 1",
            "3.5",
        ),
    ] {
        assert_eq!(two_add(&bench, addition, read).await?, sum, "{addition}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_looks_at_is_no_addition() -> Result<()> {
    let bench = Bench::new().await?;
    for statement in [
        "UPDATE c SET n = n + 5 WHERE id = 1 RETURNING n",
        "UPDATE c SET n = n + 5 WHERE n > 0",
        "UPDATE c SET checked = checked + 1 WHERE id = 1",
        "UPDATE c SET n = n + 5, small = n WHERE id = 1",
        "UPDATE c SET n = n + n WHERE id = 1",
        "UPDATE c SET n = n * 2 WHERE id = 1",
        "UPDATE c SET m = m + 0.001 WHERE id = 1",
        "UPDATE c SET doc['price'] = to_jsonb((doc['price'])::numeric + 0.5) WHERE id = 1",
        "UPDATE c SET doc['missing'] = to_jsonb((doc['missing'])::int + 1) WHERE id = 2",
    ] {
        let steps = bench
            .run(&[(0, "BEGIN"), (0, statement), (1, statement), (0, "ROLLBACK")])
            .await?;
        assert!(steps[2].has_waited, "{statement}");
        assert_eq!(errors(&steps), [""; 0], "{statement}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_that_leaves_its_type_is_refused() -> Result<()> {
    let bench = Bench::new().await?;
    // 32760 + 5 + 5 does not fit: the second waits, and is refused once the first is there for good.
    let steps = bench
        .run(&[
            (0, "BEGIN"),
            (0, "UPDATE c SET small = small + 5 WHERE id = 1"),
            (1, "UPDATE c SET small = small + 5 WHERE id = 1"),
            (0, "COMMIT"),
            (0, "SELECT small FROM c WHERE id = 1"),
        ])
        .await?;
    assert!(steps[2].has_waited);
    assert_eq!(errors(&steps), ["22003"]);
    assert_eq!(steps[4].number(), 32765);
    // The same with a rollback: it fits then.
    let steps = bench
        .run(&[
            (0, "BEGIN"),
            (0, "UPDATE c SET small = small + 2 WHERE id = 1"),
            (1, "UPDATE c SET small = small + 1 WHERE id = 1"),
            (0, "ROLLBACK"),
            (0, "SELECT small FROM c WHERE id = 1"),
        ])
        .await?;
    assert_eq!(errors(&steps), [""; 0]);
    assert_eq!(steps[4].number(), 32766);
    Ok(())
}

/// The ticket dispenser: add one, then read. Two customers must not get the same number.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_what_it_added_to_waits_for_the_others() -> Result<()> {
    let bench = Bench::new().await?;
    for level in ["READ COMMITTED", "SERIALIZABLE"] {
        let begin = format!("BEGIN ISOLATION LEVEL {level}");
        let steps = bench
            .run(&[
                (0, &begin),
                (1, &begin),
                (0, "UPDATE c SET n = n + 1 WHERE id = 2"),
                (1, "UPDATE c SET n = n + 1 WHERE id = 2"),
                (0, "SELECT n FROM c WHERE id = 2"),
                (1, "COMMIT"),
                (0, "COMMIT"),
                (0, "SELECT n FROM c WHERE id = 2"),
            ])
            .await?;
        assert_eq!(errors(&steps), [""; 0], "{level}");
        assert!(steps[4].has_waited, "{level}");
        assert_eq!(steps[4].rows, steps[7].rows, "{level}");
    }
    let before = bench.run(&[(0, "SELECT n FROM c WHERE id = 2")]).await?[0].number();
    let mut dispensers = Vec::new();
    for _ in 0..4 {
        let mut client = bench.server.connect().await?;
        dispensers.push(tokio::spawn(async move {
            let mut tickets: Vec<i32> = Vec::new();
            for _ in 0..10 {
                let transaction = client.transaction().await?;
                transaction.execute("UPDATE c SET n = n + 1 WHERE id = 2", &[]).await?;
                tickets.push(transaction.query_one("SELECT n FROM c WHERE id = 2", &[]).await?.get(0));
                transaction.commit().await?;
            }
            Ok::<_, tokio_postgres::Error>(tickets)
        }));
    }
    let mut tickets = Vec::new();
    for dispenser in dispensers {
        tickets.extend(dispenser.await??.into_iter().map(i64::from));
    }
    tickets.sort_unstable();
    assert_eq!(tickets, (before + 1..=before + 40).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_and_additions() -> Result<()> {
    let bench = Bench::new().await?;
    let steps = bench
        .run(&[
            (0, "BEGIN"),
            (0, "UPDATE c SET n = n + 1 WHERE id = 1"),
            (0, "SAVEPOINT s"),
            (0, "UPDATE c SET n = n + 100 WHERE id = 1"),
            (0, "SELECT n FROM c WHERE id = 1"),
            (0, "ROLLBACK TO s"),
            (0, "UPDATE c SET n = n + 2 WHERE id = 1"),
            (0, "COMMIT"),
            (0, "SELECT n FROM c WHERE id = 1"),
        ])
        .await?;
    assert_eq!(steps[4].number(), 111);
    assert_eq!(steps[8].number(), 13);
    Ok(())
}

/// REPEATABLE READ does not mind what others added since its snapshot, but that they set the number, or that it looks.
#[tokio::test(flavor = "multi_thread")]
async fn repeatable_read_is_exempt_from_other_additions() -> Result<()> {
    let bench = Bench::new().await?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    let add = "UPDATE c SET n = n + 5 WHERE id = 1";
    for (other, then, expected) in [
        (add, "SELECT 1", vec![]),
        ("UPDATE c SET n = 3 WHERE id = 1", "SELECT 1", vec!["40001"]),
        ("UPDATE c SET small = 3 WHERE id = 1", "SELECT 1", vec![]),
        (add, "SELECT n FROM c WHERE id = 1", vec!["40001"]),
    ] {
        let steps = bench
            .run(&[
                (0, begin),
                (0, "SELECT count(*) FROM c"),
                (1, other),
                (0, add),
                (0, then),
                (0, "COMMIT"),
            ])
            .await?;
        let mut found = errors(&steps);
        found.retain(|code| *code != "25P02");
        assert_eq!(found, expected, "{other}; {then}");
    }
    Ok(())
}

/// Many sessions add to a column and to a path; nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn no_addition_is_lost() -> Result<()> {
    let bench = Bench::new().await?;
    let mut workers = Vec::new();
    for _ in 0..4 {
        let client = bench.server.connect().await?;
        workers.push(tokio::spawn(async move {
            for _ in 0..25 {
                let both = "UPDATE c SET n = n + 1, doc['hits'] = to_jsonb((doc['hits'])::int + 2) WHERE id = 1";
                client.execute(both, &[]).await?;
            }
            Ok::<_, tokio_postgres::Error>(())
        }));
    }
    for worker in workers {
        worker.await??;
    }
    let steps = bench
        .run(&[(0, "SELECT n, doc->'hits', doc->'other' FROM c WHERE id = 1")])
        .await?;
    assert_eq!(steps[0].rows, ["110|205|1"]);
    Ok(())
}
