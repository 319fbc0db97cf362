//! Rows that changed while somebody waited for them: looked at again in their newest state at READ COMMITTED, wherever it is
//! by then, as PostgreSQL's EvalPlanQual does; 40001 in the stronger levels. PostgreSQL is asked the same where it is
//! installed.

use anyhow::Result;
use tests::Server;
use tests::interleaving::run;
use tests::postgres::Postgres;
use tokio_postgres::Client;

const SETUP: &str = r#"
    DROP TABLE IF EXISTS t;
    CREATE TABLE t (id int PRIMARY KEY, n int, doc jsonb);
    DROP TABLE IF EXISTS u;
    CREATE TABLE u (t int, w text);
    INSERT INTO u VALUES (1, 'one'), (2, 'two'), (1, 'uno');
    INSERT INTO t VALUES (1, 10, '{"a": 1, "b": {"c": 1}}'), (2, 20, '{"a": 2}');
"#;

/// Session 0 has changed row 1 and commits while session 1 waits.
struct Case {
    name: &'static str,
    level: &'static str,
    change: &'static str,
    waits: &'static str,
    /// What the waiting statement comes to: its rows, or an SQLSTATE.
    comes_to: &'static str,
    /// The table after both have ended.
    left: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "a row lock gives the newest row",
        level: "READ COMMITTED",
        change: "UPDATE t SET n = 11 WHERE id = 1",
        waits: "SELECT id, n FROM t WHERE id = 1 FOR UPDATE",
        comes_to: "1|11",
        left: "1|11 2|20",
    },
    Case {
        name: "a row lock in a scan of all",
        level: "READ COMMITTED",
        change: "UPDATE t SET n = 11 WHERE id = 1",
        waits: "SELECT id, n FROM t ORDER BY id FOR SHARE",
        comes_to: "1|11 2|20",
        left: "1|11 2|20",
    },
    Case {
        name: "a row lock passes over what no longer qualifies",
        level: "READ COMMITTED",
        change: "UPDATE t SET n = 11 WHERE id = 1",
        waits: "SELECT id, n FROM t WHERE n = 10 FOR UPDATE",
        comes_to: "",
        left: "1|11 2|20",
    },
    Case {
        name: "rows of other tables stay as they were read",
        level: "READ COMMITTED",
        change: "UPDATE t SET n = 11 WHERE id = 1",
        waits: "SELECT id, n, w FROM t JOIN u ON u.t = id ORDER BY w FOR UPDATE OF t",
        comes_to: "1|11|one 2|20|two 1|11|uno",
        left: "1|11 2|20",
    },
    Case {
        name: "an outer join's side without a row has none when looked at again",
        level: "READ COMMITTED",
        change: "UPDATE t SET n = 11 WHERE id = 1",
        waits: "SELECT id, n, w FROM t LEFT JOIN u ON u.t = id AND w = 'two' ORDER BY id FOR UPDATE OF t",
        comes_to: "1|11|NULL 2|20|two",
        left: "1|11 2|20",
    },
    Case {
        name: "FOR KEY SHARE follows a row to its new key",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1",
        waits: "SELECT id, n FROM t WHERE n = 10 FOR KEY SHARE",
        comes_to: "5|10",
        left: "2|20 5|10",
    },
    Case {
        name: "UPDATE follows a row to its new key",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1",
        waits: "UPDATE t SET n = n + 1 WHERE n = 10 RETURNING id, n",
        comes_to: "5|11",
        left: "2|20 5|11",
    },
    Case {
        name: "an addition follows, and all rows are asked for",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5, n = 12 WHERE id = 1",
        waits: "UPDATE t SET n = n + 1",
        comes_to: "",
        left: "2|21 5|13",
    },
    Case {
        name: "UPDATE of a path follows a row to its new key",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1",
        waits: "UPDATE t SET doc['b']['c'] = '7' WHERE doc['a'] = '1' RETURNING id, doc->'b'",
        comes_to: "5|{\"c\": 7}",
        left: "2|20 5|10",
    },
    Case {
        name: "UPDATE by key does not follow: the condition no longer holds",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1",
        waits: "UPDATE t SET n = 99 WHERE id = 1 RETURNING id",
        comes_to: "",
        left: "2|20 5|10",
    },
    Case {
        name: "DELETE follows a row that moved twice",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1; UPDATE t SET id = 6 WHERE id = 5",
        waits: "DELETE FROM t WHERE n = 10 RETURNING id",
        comes_to: "6",
        left: "2|20",
    },
    Case {
        name: "a key change follows a key change",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1",
        waits: "UPDATE t SET id = id + 10 WHERE n = 10 RETURNING id",
        comes_to: "15",
        left: "15|10 2|20",
    },
    Case {
        name: "a row that is gone is passed over",
        level: "READ COMMITTED",
        change: "DELETE FROM t WHERE id = 1",
        waits: "UPDATE t SET doc['b']['c'] = '7' RETURNING id",
        comes_to: "2",
        left: "2|20",
    },
    Case {
        name: "REPEATABLE READ does not follow",
        level: "REPEATABLE READ",
        change: "UPDATE t SET id = 5 WHERE id = 1",
        waits: "UPDATE t SET n = n + 1 WHERE n = 10",
        comes_to: "40001",
        left: "2|20 5|10",
    },
    Case {
        name: "REPEATABLE READ, a path of a row that is gone",
        level: "REPEATABLE READ",
        change: "DELETE FROM t WHERE id = 1",
        waits: "UPDATE t SET doc['b']['c'] = '7' WHERE n = 10",
        comes_to: "40001",
        left: "2|20",
    },
    Case {
        name: "MERGE chooses its action anew",
        level: "READ COMMITTED",
        change: "UPDATE t SET n = 100 WHERE id = 1",
        waits: "MERGE INTO t USING (VALUES (1)) AS s (k) ON id = k \
                WHEN MATCHED AND n < 50 THEN UPDATE SET n = n + 1 WHEN MATCHED THEN DELETE",
        comes_to: "",
        left: "2|20",
    },
    Case {
        name: "MERGE of a row that qualifies still",
        level: "READ COMMITTED",
        change: "UPDATE t SET n = 11 WHERE id = 1",
        waits: "MERGE INTO t USING (VALUES (1)) AS s (k) ON id = k \
                WHEN MATCHED AND n < 50 THEN UPDATE SET n = n + 1 WHEN MATCHED THEN DELETE",
        comes_to: "",
        left: "1|12 2|20",
    },
    Case {
        name: "MERGE inserts where the row has moved away",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1",
        waits: "MERGE INTO t USING (VALUES (1)) AS s (k) ON id = k \
                WHEN MATCHED THEN UPDATE SET n = n + 1 WHEN NOT MATCHED THEN INSERT VALUES (k, 77)",
        comes_to: "",
        left: "1|77 2|20 5|10",
    },
    Case {
        name: "MERGE follows a row that matches still",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1",
        waits: "MERGE INTO t USING (VALUES (10)) AS s (k) ON n = k \
                WHEN MATCHED THEN UPDATE SET n = n + 1 WHEN NOT MATCHED THEN INSERT VALUES (k, 77)",
        comes_to: "",
        left: "2|20 5|11",
    },
    Case {
        name: "MERGE inserts where the row is gone",
        level: "READ COMMITTED",
        change: "DELETE FROM t WHERE id = 1",
        waits: "MERGE INTO t USING (VALUES (1)) AS s (k) ON id = k \
                WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (k, 77)",
        comes_to: "",
        left: "1|77 2|20",
    },
    Case {
        name: "a row that moved and was deleted there is gone, though another has its new key",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 55)",
        waits: "UPDATE t SET n = 0 WHERE n = 10 RETURNING id, n",
        comes_to: "",
        left: "2|20 5|55",
    },
    Case {
        name: "a row that moved twice is followed past the row that took its first new key",
        level: "READ COMMITTED",
        change: "UPDATE t SET id = 5 WHERE id = 1; UPDATE t SET id = 6 WHERE id = 5; INSERT INTO t VALUES (5, 55)",
        waits: "DELETE FROM t WHERE n = 10 RETURNING id, n",
        comes_to: "6|10",
        left: "2|20 5|55",
    },
    Case {
        name: "MERGE in REPEATABLE READ",
        level: "REPEATABLE READ",
        change: "UPDATE t SET n = 11 WHERE id = 1",
        waits: "MERGE INTO t USING (VALUES (1)) AS s (k) ON id = k WHEN MATCHED THEN UPDATE SET n = n + 1",
        comes_to: "40001",
        left: "1|11 2|20",
    },
];

/// What each case comes to that is not what its table says.
async fn differences(connect: &impl AsyncFn() -> Result<Client>) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for case in CASES {
        let watcher = connect().await?;
        watcher.batch_execute(SETUP).await?;
        let steps = [
            (0, format!("BEGIN; {}", case.change)),
            // The snapshot of the stronger levels is taken here.
            (
                1,
                format!("BEGIN ISOLATION LEVEL {}; SELECT count(*) FROM t", case.level),
            ),
            (1, case.waits.to_owned()),
            (0, "COMMIT".to_owned()),
            (1, "COMMIT".to_owned()),
            (0, "SELECT id, n FROM t ORDER BY id::text".to_owned()),
        ];
        let found = run(vec![connect().await?, connect().await?], &watcher, &steps).await?;
        let came_to = found[2].error.clone().unwrap_or_else(|| found[2].rows.join(" "));
        let left = found[5].rows.join(" ");
        if !found[2].has_waited || came_to != case.comes_to || left != case.left {
            wrong.push(format!(
                "{}: \"{came_to}\", left \"{left}\", waited: {}",
                case.name, found[2].has_waited
            ));
        }
    }
    Ok(wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changed_is_looked_at_again_wherever_it_is() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let wrong = differences(&async || server.connect().await).await?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_does_the_same() -> Result<()> {
    let Some(postgres) = Postgres::start().await? else {
        return Ok(());
    };
    let wrong = differences(&async || postgres.connect().await).await?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
