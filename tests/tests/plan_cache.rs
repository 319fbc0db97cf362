//! The plan cache: found where it may be found, never where a statement means something else by now.

use anyhow::{Context, Result};
use tests::Server;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Rows of a simple query as text, or the error as `SQLSTATE message [position]`.
async fn ask(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(messages) => {
            let mut lines = Vec::new();
            for message in messages {
                match message {
                    SimpleQueryMessage::Row(row) => {
                        let values: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("∅")).collect();
                        lines.push(values.join("|"));
                    }
                    SimpleQueryMessage::CommandComplete(count) => lines.push(format!("#{count}")),
                    _ => {}
                }
            }
            lines.join(" ")
        }
        Err(error) => match error.as_db_error() {
            Some(error) => {
                let place = match error.position() {
                    Some(tokio_postgres::error::ErrorPosition::Original(at)) => format!(" @{at}"),
                    _ => String::new(),
                };
                format!("{} {}{place}", error.code().code(), error.message())
            }
            None => error.to_string(),
        },
    }
}

async fn counts(client: &Client) -> Result<(i64, i64)> {
    let row = client
        .query_one("SELECT hits, misses FROM cambium.plan_cache", &[])
        .await?;
    Ok((row.get(0), row.get(1)))
}

/// Hits that a piece of work adds.
async fn hits(client: &Client, work: impl Future<Output = ()>) -> Result<i64> {
    let before = counts(client).await?.0;
    work.await;
    // Asking itself was found in the cache.
    Ok(counts(client).await?.0 - before - 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn literals_share_a_plan_and_keep_their_meaning() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let (client, watcher) = (server.connect().await?, server.connect().await?);
    let setup = "CREATE TABLE t (k int PRIMARY KEY, n numeric(6,2), b bigint, s varchar(5), d jsonb);
        INSERT INTO t SELECT g, g / 3.0, g * 3000000000, 's' || g, jsonb_build_object('a', g, 'b', 'x' || g) \
            FROM generate_series(1, 40) g";
    client.batch_execute(setup).await?;
    for _ in 0..4 {
        counts(&watcher).await?;
    }

    // Every statement is sent with several values: the answers are those of the values, found or not.
    let found = hits(&watcher, async {
        for k in 1..=20_i64 {
            assert_eq!(
                ask(&client, &format!("SELECT s FROM t WHERE k = {k}")).await,
                format!("s{k} #1")
            );
            let sql = format!("SELECT k FROM t WHERE b = {}", k * 3_000_000_000);
            assert_eq!(ask(&client, &sql).await, format!("{k} #1"));
            assert_eq!(
                ask(&client, &format!("SELECT k FROM t WHERE s = 's{k}'")).await,
                format!("{k} #1")
            );
            let sql = format!("UPDATE t SET n = n + -{k}.5, s = 'u{k}' WHERE k = {k}");
            assert_eq!(ask(&client, &sql).await, "#1");
            assert_eq!(
                ask(&client, &format!("SELECT k + {k}, -{k}, '{k}' FROM t WHERE k = 3")).await,
                format!("{}|-{k}|{k} #1", k + 3)
            );
            let sql = format!("INSERT INTO t (k, s) VALUES ({}, 'n{k}') RETURNING k, s", 100 + k);
            assert_eq!(ask(&client, &sql).await, format!("{}|n{k} #1", 100 + k));
            assert_eq!(
                ask(&client, &format!("DELETE FROM t WHERE k = {} AND s = 'n{k}'", 100 + k)).await,
                "#1"
            );
        }
    })
    .await?;
    assert!(found >= 7 * 17, "only {found} statements of 140 were found");

    // Literals that decide more than a value are part of the key.
    for _ in 0..3 {
        assert_eq!(
            ask(&client, "SELECT k, -k FROM t WHERE k < 3 ORDER BY 1").await,
            "1|-1 2|-2 #2"
        );
        assert_eq!(
            ask(&client, "SELECT k, -k FROM t WHERE k < 3 ORDER BY 2").await,
            "2|-2 1|-1 #2"
        );
        assert_eq!(ask(&client, "SELECT k FROM t ORDER BY k LIMIT 1").await, "1 #1");
        assert_eq!(ask(&client, "SELECT k FROM t ORDER BY k LIMIT 2").await, "1 2 #2");
        assert_eq!(ask(&client, "SELECT d->>'a' FROM t WHERE k = 4").await, "4 #1");
        assert_eq!(ask(&client, "SELECT d->>'b' FROM t WHERE k = 4").await, "x4 #1");
        assert_eq!(ask(&client, "SELECT 1.5::numeric(3,1), 7::text").await, "1.5|7 #1");
        assert_eq!(ask(&client, "SELECT 1.5::numeric(4,2), 7::text").await, "1.50|7 #1");
        assert_eq!(
            ask(&client, "SELECT pg_typeof(1), pg_typeof(-1)").await,
            "integer|integer #1"
        );
        assert_eq!(
            ask(&client, "SELECT pg_typeof(3000000000), pg_typeof(1.0)").await,
            "bigint|numeric #1"
        );
        assert_eq!(ask(&client, "SELECT date '2020-01-01' + 1").await, "2020-01-02 #1");
        assert_eq!(
            ask(&client, "SELECT count(*) FROM t WHERE k IN (1, 2, 3)").await,
            "3 #1"
        );
        assert_eq!(
            ask(&client, "SELECT count(*) FROM t WHERE k IN (1, 2, 300)").await,
            "2 #1"
        );
        assert_eq!(
            ask(&client, "SELECT -2147483648, - 5, 5 - -3, 7 -2").await,
            "-2147483648|-5|8|5 #1"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_found_statements_are_those_of_the_text_as_sent() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    client
        .batch_execute("CREATE TABLE t (k int PRIMARY KEY, s varchar(3)); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        .await?;
    for _ in 0..3 {
        assert_eq!(ask(&client, "SELECT s FROM t WHERE k = '1'").await, "a #1");
        // The string is no integer: found or not, the place is that of this text's string.
        assert_eq!(
            ask(&client, "SELECT s FROM t WHERE k = 'one'").await,
            "22P02 invalid input syntax for type integer: \"one\" @27"
        );
        assert_eq!(ask(&client, "UPDATE t SET s = 'xyz' WHERE k = 1").await, "#1");
        assert_eq!(
            ask(&client, "UPDATE t SET s = 'wxyz' WHERE k = 7").await,
            "22001 value too long for type character varying(3)"
        );
        assert_eq!(ask(&client, "UPDATE t SET s = 'a' WHERE k = 1").await, "#1");
        assert_eq!(ask(&client, "SELECT 10 / k FROM t WHERE k = 2").await, "5 #1");
        assert_eq!(
            ask(&client, "SELECT 10 / (k - 2) FROM t WHERE k = 2").await,
            "22012 division by zero"
        );
        assert_eq!(
            ask(&client, "INSERT INTO t VALUES (1, 'dup')").await,
            "23505 duplicate key value violates unique constraint \"t_pkey\""
        );
        assert_eq!(
            ask(&client, "SELECT k + 2147483647 FROM t WHERE k = 1").await,
            "22003 integer out of range"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_ends_with_what_it_was_made_for() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let (ann, bob) = (server.connect().await?, server.connect().await?);
    ann.batch_execute(
        "CREATE TABLE t (k int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'public');
         CREATE SCHEMA other; CREATE TABLE other.t (k int PRIMARY KEY, v text); INSERT INTO other.t VALUES (1, 'other')",
    )
    .await?;
    let sql = "SELECT * FROM t WHERE k = 1";
    for _ in 0..4 {
        assert_eq!(ask(&ann, sql).await, "1|public #1");
        assert_eq!(ask(&bob, sql).await, "1|public #1");
    }
    // search_path, of this session alone, and undone with its transaction.
    ann.batch_execute("SET search_path = other").await?;
    for _ in 0..3 {
        assert_eq!(ask(&ann, sql).await, "1|other #1");
        assert_eq!(ask(&bob, sql).await, "1|public #1");
    }
    ann.batch_execute("BEGIN; SET LOCAL search_path = public").await?;
    assert_eq!(ask(&ann, sql).await, "1|public #1");
    ann.batch_execute("ROLLBACK").await?;
    assert_eq!(ask(&ann, sql).await, "1|other #1");
    ann.batch_execute("RESET search_path").await?;
    // DDL of another session, seen at once; of a transaction, seen by it alone until it commits.
    bob.batch_execute("ALTER TABLE t ADD COLUMN w int DEFAULT 7").await?;
    for _ in 0..3 {
        assert_eq!(ask(&ann, sql).await, "1|public|7 #1");
    }
    bob.batch_execute("BEGIN; ALTER TABLE other.t RENAME TO u; CREATE TABLE other.t (k int, z text)")
        .await?;
    assert_eq!(ask(&bob, "SELECT * FROM other.t WHERE k = 1").await, "#0");
    bob.batch_execute("ROLLBACK").await?;
    for _ in 0..3 {
        assert_eq!(ask(&bob, "SELECT * FROM other.t WHERE k = 1").await, "1|other #1");
    }
    // A temporary table in front of the path, for its session alone.
    ann.batch_execute("CREATE TEMP TABLE t (k int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'temporary')")
        .await?;
    for _ in 0..3 {
        assert_eq!(ask(&ann, sql).await, "1|temporary #1");
        assert_eq!(ask(&bob, sql).await, "1|public|7 #1");
    }
    ann.batch_execute("DROP TABLE t").await?;
    assert_eq!(ask(&ann, sql).await, "1|public|7 #1");
    // A role of another name has another "$user" schema.
    ann.batch_execute("CREATE ROLE eve; CREATE SCHEMA eve; CREATE TABLE eve.t (k int PRIMARY KEY)")
        .await?;
    ann.batch_execute("SET ROLE eve").await?;
    for _ in 0..3 {
        assert_eq!(ask(&ann, sql).await, "#0");
    }
    ann.batch_execute("RESET ROLE").await?;
    assert_eq!(ask(&ann, sql).await, "1|public|7 #1");
    ann.batch_execute("DROP TABLE t").await?;
    assert!(
        ask(&bob, sql)
            .await
            .starts_with("42P01 relation \"t\" does not exist @15")
    );
    // What values look like follows the settings.
    for style in ["ISO", "German", "ISO"] {
        bob.batch_execute(&format!("SET DateStyle = '{style}'")).await?;
        for _ in 0..3 {
            let wanted = if style == "ISO" {
                "2024-03-01 #1"
            } else {
                "01.03.2024 #1"
            };
            assert_eq!(ask(&bob, "SELECT '2024-03-01'::date").await, wanted);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_share_plans_between_sessions() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let (ann, bob) = (server.connect().await?, server.connect().await?);
    ann.batch_execute("CREATE TABLE t (k int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'), (2, 'two')")
        .await?;
    let sql = "SELECT v FROM t WHERE k = $1";
    let of_ann = ann.prepare(sql).await?;
    let before = counts(&ann).await?.0;
    let of_bob = bob.prepare(sql).await?;
    assert!(counts(&ann).await?.0 > before);
    let value = |rows: Vec<tokio_postgres::Row>| -> Option<String> { rows.first().map(|row| row.get(0)) };
    for (client, statement) in [(&ann, &of_ann), (&bob, &of_bob)] {
        assert_eq!(value(client.query(statement, &[&2_i32]).await?).as_deref(), Some("two"));
        assert_eq!(value(client.query(statement, &[&3_i32]).await?), None);
    }
    bob.batch_execute(
        "CREATE SCHEMA other; CREATE TABLE other.t AS SELECT 1 AS k, 'elsewhere' AS v; SET search_path = other",
    )
    .await?;
    assert_eq!(
        value(bob.query(&of_bob, &[&1_i32]).await?).as_deref(),
        Some("elsewhere")
    );
    assert_eq!(value(ann.query(&of_ann, &[&1_i32]).await?).as_deref(), Some("one"));
    ann.batch_execute("PREPARE p (int) AS UPDATE t SET v = 'p' || $1 WHERE k = $1")
        .await?;
    for k in 1..=2 {
        assert_eq!(ask(&ann, &format!("EXECUTE p ({k})")).await, "#1");
    }
    assert_eq!(ask(&ann, "SELECT v FROM t ORDER BY k").await, "p1 p2 #2");
    ann.batch_execute("ALTER TABLE t ALTER COLUMN v TYPE varchar(9)")
        .await?;
    let error = ann
        .query(&of_ann, &[&1_i32])
        .await
        .err()
        .context("the columns changed")?;
    assert_eq!(error.code().map(|code| code.code()), Some("0A000"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keyed_and_relational_plans_agree() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE p (id int PRIMARY KEY);
             INSERT INTO p VALUES (1), (2);
             CREATE TABLE t (k int PRIMARY KEY, p int REFERENCES p, n numeric(4,1) CHECK (n < 100), s varchar(4) UNIQUE,
                             d jsonb, g int GENERATED ALWAYS AS (k * 2) STORED);
             INSERT INTO t VALUES (1, 1, 1.5, 'a', '{\"x\": {\"y\": 1}}'), (2, 2, 2.5, 'b', NULL), (3, NULL, NULL, NULL, '[1]')",
        )
        .await?;
    let statements = [
        "SELECT * FROM t WHERE {}",
        "SELECT k, 10 / (k - 1), s FROM t WHERE {}",
        "SELECT d->'x'->>'y', n::int, tableoid::regclass FROM t WHERE {} AND n > 1",
        "SELECT (s || 'z')::int FROM t WHERE {}",
        "SELECT k FROM t WHERE {} AND 1 / (k - 2) > 0",
        "SELECT t, (SELECT count(*) FROM p WHERE id = t.p) FROM t WHERE {}",
        "SELECT s FROM t WHERE {} FOR UPDATE",
        "UPDATE t SET n = n * 50, s = s || 'c' WHERE {} RETURNING *",
        "UPDATE t SET s = 'too long' WHERE {}",
        "UPDATE t SET s = 'a' WHERE {}",
        "UPDATE t SET p = 7 WHERE {}",
        "UPDATE t SET k = k + 1 WHERE {} RETURNING k, g",
        "UPDATE t SET k = k + 10 WHERE {} RETURNING k, g",
        "UPDATE t SET d['x']['y'] = '5', p = NULL WHERE {} RETURNING d",
        "UPDATE t SET d = jsonb_set(d, '{x,y}', '7') WHERE {} AND n = 1.5 RETURNING d",
        "DELETE FROM t WHERE {} RETURNING s, g",
        "DELETE FROM t WHERE {} AND n / 0 > 1",
        "DELETE FROM t USING p WHERE {} AND p.id = t.p RETURNING p.id",
    ];
    for statement in statements {
        for key in ["1", "2", "3", "4", "NULL", "99999999999"] {
            let mut answers = Vec::new();
            for condition in [format!("k = {key}"), format!("k + 0 = {key}")] {
                client.batch_execute("BEGIN").await?;
                let answer = ask(&client, &statement.replacen("{}", &condition, 1)).await;
                // Where an error is differs with the text in front of it.
                let answer = answer.split(" @").next().unwrap_or_default().to_owned();
                let after = ask(&client, "SELECT * FROM t ORDER BY k").await;
                client.batch_execute("ROLLBACK").await?;
                answers.push((answer, after));
            }
            assert_eq!(answers[0], answers[1], "{statement} with {key}");
        }
    }
    Ok(())
}

/// A plan never runs against another shape of its table than it was made for (DESIGN C8): who waits for a change of the table is
/// planned when the change is known, as in PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_for_a_change_of_its_table_is_planned_after_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let watcher = server.connect().await?;
    let statements = [
        ("SELECT * FROM t ORDER BY k", "1|one #1", "1|one|9 #1"),
        ("SELECT * FROM t WHERE k = 1", "1|one #1", "1|one|9 #1"),
        (
            "UPDATE t SET s = 'one' WHERE k = 1 RETURNING *",
            "1|one #1",
            "1|one|9 #1",
        ),
        ("SELECT count(*) FROM t, t AS u WHERE u.s = 'one'", "1 #1", "1 #1"),
        ("DELETE FROM t WHERE k = 1 RETURNING *", "1|one #1", "1|one|9 #1"),
    ];
    for begin in ["SELECT 1", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"] {
        for (sql, before, after) in statements {
            let (changer, client) = (server.connect().await?, server.connect().await?);
            changer
                .batch_execute("DROP TABLE IF EXISTS t; CREATE TABLE t (k int PRIMARY KEY, x int, s text); INSERT INTO t VALUES (1, 5, 'one'); ALTER TABLE t DROP COLUMN x")
                .await?;
            // Planned, cached, found.
            for _ in 0..4 {
                assert_eq!(
                    ask(&client, &format!("BEGIN; {sql}; ROLLBACK")).await,
                    format!("#0 {before} #0")
                );
            }
            client.batch_execute(begin).await?;
            changer
                .batch_execute("BEGIN; ALTER TABLE t ADD COLUMN n int DEFAULT 9")
                .await?;
            let waiting = tokio::spawn(async move {
                let answer = ask(&client, sql).await;
                (client, answer)
            });
            let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            while ask(&watcher, blocked).await != "1 #1" {
                anyhow::ensure!(!waiting.is_finished(), "{begin}: {sql} did not wait");
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            changer.batch_execute("COMMIT").await?;
            let (_client, answer) = waiting.await?;
            assert_eq!(answer, after, "{begin}: {sql}");
        }
    }
    server.stop()
}
