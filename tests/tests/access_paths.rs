//! Access paths change how rows are found, never which: random queries over two tables of the same rows, one with indexes
//! and one without, and EXPLAIN to see that the indexes were used at all.

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tests::Server;
use tokio_postgres::{Client, SimpleQueryMessage};

const SEED: u64 = 20_240_607;
const ROWS: i32 = 400;
const QUERIES: usize = 250;

const INDEXES: &str = "
    CREATE INDEX ON indexed (a, b DESC);
    CREATE INDEX ON indexed (c);
    CREATE UNIQUE INDEX ON indexed (lower(code));
    CREATE INDEX ON indexed (b) WHERE a > 5;
    CREATE INDEX ON indexed ((doc->>'k'));
    CREATE INDEX ON indexed (((doc->>'n')::int) DESC NULLS LAST);";

async fn rows(client: &Client, sql: &str) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for message in client.simple_query(sql).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let values: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect();
            rows.push(values.join("|"));
        }
    }
    Ok(rows)
}

async fn tables(client: &Client, random: &mut StdRng) -> Result<()> {
    for table in ["plain", "indexed"] {
        client
            .batch_execute(&format!(
                "CREATE TABLE {table} (g int, id int, a int, b int, c text, code text, doc jsonb, PRIMARY KEY (g, id))"
            ))
            .await?;
    }
    client.batch_execute(INDEXES).await?;
    let mut values = Vec::new();
    for id in 0..ROWS {
        let mut number = |max: i32| match random.random_range(0..10) {
            0 => "NULL".to_string(),
            _ => random.random_range(0..max).to_string(),
        };
        let (a, b, n) = (number(12), number(6), number(30));
        let c = number(9);
        let c = if c == "NULL" { c } else { format!("'t{c}'") };
        let doc = match n.as_str() {
            "NULL" => "{}".to_string(),
            n => format!("{{\"k\": \"k{}\", \"n\": {n}}}", n.len()),
        };
        values.push(format!("({}, {id}, {a}, {b}, {c}, 'Code{id}', '{doc}')", id % 5));
    }
    for table in ["plain", "indexed"] {
        let values = values.join(", ");
        client
            .batch_execute(&format!("INSERT INTO {table} VALUES {values}"))
            .await?;
    }
    Ok(())
}

fn condition(random: &mut StdRng) -> String {
    let number = |random: &mut StdRng, max: i32| random.random_range(-1..max);
    let comparison = |random: &mut StdRng| ["=", "<", "<=", ">", ">=", "<>"][random.random_range(0..6)];
    match random.random_range(0..12) {
        0 | 1 => format!("a {} {}", comparison(random), number(random, 13)),
        2 => format!("b {} {}", comparison(random), number(random, 7)),
        3 => format!("a IN ({}, {}, NULL)", number(random, 13), number(random, 13)),
        4 => format!(
            "g = {} AND id {} {}",
            number(random, 6),
            comparison(random),
            number(random, ROWS)
        ),
        5 => format!("g IN ({}, {})", number(random, 6), number(random, 6)),
        6 => format!("c {} 't{}'", comparison(random), number(random, 10)),
        7 => format!("lower(code) = 'code{}'", number(random, ROWS)),
        8 => format!("doc->>'k' = 'k{}'", number(random, 4)),
        9 => format!("(doc->>'n')::int {} {}", comparison(random), number(random, 31)),
        10 => format!("{} >= a", number(random, 13)),
        _ => {
            ["a IS NULL", "b IS NOT NULL", "c IS NULL", "doc->>'k' IS NOT NULL"][random.random_range(0..4)].to_string()
        }
    }
}

/// A query whose answer does not depend on the order in which equal rows are found.
fn query(random: &mut StdRng) -> String {
    let count = random.random_range(0..3);
    let conditions: Vec<String> = (0..count).map(|_| condition(random)).collect();
    let filter = match conditions.is_empty() {
        true => String::new(),
        false => format!("WHERE {}", conditions.join(" AND ")),
    };
    let direction = ["", "DESC", "NULLS FIRST", "DESC NULLS LAST"][random.random_range(0..4)];
    let key = ["a", "b", "c", "id", "g", "(doc->>'n')::int", "lower(code)"][random.random_range(0..7)];
    let limit = random.random_range(1..20);
    match random.random_range(0..6) {
        0 => format!("SELECT * FROM @ {filter} ORDER BY g, id"),
        1 => format!("SELECT {key} FROM @ {filter} ORDER BY {key} {direction} LIMIT {limit}"),
        2 => format!("SELECT min({key}), max({key}), count(*) FROM @ {filter}"),
        3 => format!("SELECT max({key}) FROM @ {filter}"),
        4 => format!(
            "SELECT g, id FROM @ {filter} ORDER BY g {}, id LIMIT {limit}",
            direction.replace(" NULLS LAST", "")
        ),
        _ => format!("SELECT x.id, y.id FROM @ x JOIN @ y ON y.a = x.id WHERE x.id < {limit} ORDER BY 1, 2"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_the_same_with_and_without_indexes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    let mut random = StdRng::seed_from_u64(SEED);
    tables(&client, &mut random).await?;
    let mut used = 0;
    for number in 0..QUERIES {
        if number == QUERIES / 2 {
            // Entries follow their rows.
            for table in ["plain", "indexed"] {
                let changes = format!(
                    "UPDATE {table} SET a = b + 3, doc = doc || '{{\"n\": 7}}' WHERE id % 3 = 0;
                     UPDATE {table} SET c = NULL WHERE a = 4;
                     DELETE FROM {table} WHERE id % 7 = 1"
                );
                client.batch_execute(&changes).await?;
            }
        }
        let text = query(&mut random);
        let (plain, indexed) = (text.replace('@', "plain"), text.replace('@', "indexed"));
        let expected = rows(&client, &plain).await?;
        assert_eq!(rows(&client, &indexed).await?, expected, "query {number}: {indexed}");
        let plan = rows(&client, &format!("EXPLAIN {indexed}")).await?.join("\n");
        used += usize::from(plan.contains("Index Scan"));
    }
    assert!(used > QUERIES / 3, "only {used} of {QUERIES} queries used an index");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_the_index_that_analyze_measures() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, doc jsonb);
             CREATE INDEX t_name ON t ((doc->>'name'));
             INSERT INTO t SELECT i, jsonb_build_object('name', 'n' || i % 10) FROM generate_series(1, 100) AS g(i)",
        )
        .await?;
    let analyze = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM t WHERE";
    let plan = rows(&client, &format!("{analyze} doc->>'name' = 'n3' AND id > 50")).await?;
    assert_eq!(
        plan,
        [
            "Index Scan using t_name on t (actual rows=5 loops=1)",
            "  Index Cond: ((doc ->> 'name'::text) = 'n3'::text)",
            "  Filter: (id > 50)",
            "  Rows Removed by Filter: 5",
        ]
    );
    let plan = rows(&client, "EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY id DESC LIMIT 3").await?;
    assert_eq!(plan, ["Limit", "  ->  Index Scan Backward using t_pkey on t"]);
    let json = rows(&client, "EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM t")
        .await?
        .join("\n");
    let json: serde_json::Value = serde_json::from_str(&json)?;
    let plan = &json[0]["Plan"];
    assert_eq!(plan["Node Type"], "Aggregate");
    assert_eq!(plan["Plans"][0]["Relation Name"], "t");
    assert_eq!(plan["Plans"][0]["Actual Rows"], 100);
    Ok(())
}
