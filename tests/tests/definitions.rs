//! What users define besides tables: composite types, domains, enums, sequences that are altered, tables made from
//! others. Expected values are PostgreSQL 15's.

use anyhow::Result;
use tests::Server;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Rows of a query as text, fields separated by `|`; or the SQLSTATE.
async fn text(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Err(error) => error.code().map_or_else(String::new, |code| code.code().into()),
        Ok(messages) => {
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let fields: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect();
                    Some(fields.join("|"))
                }
                _ => None,
            });
            rows.collect::<Vec<_>>().join("\n")
        }
    }
}

async fn check(client: &Client, steps: &[(&str, &str)]) {
    for (sql, expected) in steps {
        assert_eq!(text(client, sql).await, *expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_domains_and_enums() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    check(
        &client,
        &[
            ("CREATE TYPE pair AS (x int, y text)", ""),
            ("SELECT (ROW(1, 'a')::pair).y", "a"),
            ("SELECT '(7,b)'::pair", "(7,b)"),
            (
                "SELECT ARRAY[ROW(1, 'a')::pair, ROW(2, 'b')::pair]",
                "{\"(1,a)\",\"(2,b)\"}",
            ),
            (
                "SELECT * FROM jsonb_populate_record(NULL::pair, '{\"x\": 3, \"y\": \"c\"}')",
                "3|c",
            ),
            ("SELECT to_jsonb(ROW(1, 'a')::pair)", "{\"x\": 1, \"y\": \"a\"}"),
            ("CREATE TABLE uses_pair (p pair)", ""),
            ("INSERT INTO uses_pair VALUES (ROW(5, 'e')), ('(6,f)')", ""),
            ("SELECT (p).x FROM uses_pair ORDER BY 1", "5\n6"),
            ("DROP TYPE pair", "2BP01"),
            ("CREATE TYPE pair AS (z int)", "42710"),
            (
                "SELECT * FROM json_to_record('{\"a\": [1, 2]}') AS r (a int[])",
                "{1,2}",
            ),
            ("CREATE DOMAIN positive AS int CHECK (value > 0)", ""),
            ("CREATE DOMAIN known AS positive NOT NULL DEFAULT 9", ""),
            ("SELECT 5::positive + 1", "6"),
            ("SELECT 0::positive", "23514"),
            ("SELECT NULL::known", "23502"),
            ("CREATE TABLE uses_domain (a positive, b known)", ""),
            ("INSERT INTO uses_domain VALUES (0, 1)", "23514"),
            ("INSERT INTO uses_domain VALUES (1, NULL)", "23502"),
            ("INSERT INTO uses_domain (a) VALUES (NULL)", ""),
            ("SELECT * FROM uses_domain", "NULL|9"),
            ("DROP DOMAIN positive", "2BP01"),
            ("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')", ""),
            ("SELECT 'happy'::mood > 'ok'", "t"),
            ("SELECT 'glad'::mood", "22P02"),
            ("ALTER TYPE mood ADD VALUE 'fine' BEFORE 'happy'", ""),
            ("SELECT enum_range(NULL::mood)", "{sad,ok,fine,happy}"),
            ("CREATE TABLE uses_mood (id int PRIMARY KEY, m mood)", ""),
            ("CREATE INDEX ON uses_mood (m)", ""),
            ("INSERT INTO uses_mood VALUES (1, 'happy'), (2, 'sad'), (3, 'fine')", ""),
            ("SELECT m FROM uses_mood ORDER BY m", "sad\nfine\nhappy"),
            ("SELECT min(m), max(m), count(DISTINCT m) FROM uses_mood", "sad|happy|3"),
            ("SELECT id FROM uses_mood WHERE m = 'fine'", "3"),
            ("SELECT to_jsonb(m) FROM uses_mood WHERE id = 1", "\"happy\""),
            ("ALTER TYPE mood RENAME VALUE 'sad' TO 'low'", ""),
            ("SELECT m::text FROM uses_mood WHERE id = 2", "low"),
        ],
    )
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_and_tables_from_others() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    check(
        &client,
        &[
            ("CREATE SEQUENCE s START 10", ""),
            ("SELECT last_value, is_called FROM s", "10|f"),
            ("SELECT nextval('s'), nextval('s')", "10|11"),
            ("SELECT last_value, is_called FROM s", "11|t"),
            ("ALTER SEQUENCE s INCREMENT BY 5", ""),
            ("SELECT nextval('s')", "16"),
            ("ALTER SEQUENCE s RESTART", ""),
            ("SELECT nextval('s')", "10"),
            ("ALTER SEQUENCE s MAXVALUE 5", "22023"),
            ("ALTER SEQUENCE IF EXISTS nothing RESTART WITH 3", ""),
            (
                "CREATE TABLE source (id int PRIMARY KEY DEFAULT 7, n int UNIQUE CHECK (n > 0))",
                "",
            ),
            ("CREATE TABLE plain (a text, LIKE source)", ""),
            ("INSERT INTO plain VALUES ('x', 1, -1)", ""),
            ("INSERT INTO plain (a, n) VALUES ('x', 1)", "23502"),
            ("CREATE TABLE whole (LIKE source INCLUDING ALL, extra int)", ""),
            ("INSERT INTO whole (n) VALUES (1)", ""),
            ("INSERT INTO whole (n) VALUES (2)", "23505"),
            ("INSERT INTO whole (id, n) VALUES (1, -2)", "23514"),
            ("SELECT id, n INTO made FROM whole", ""),
            ("SELECT * FROM made", "7|1"),
            ("CREATE TABLE empty AS SELECT * FROM whole WITH NO DATA", ""),
            ("SELECT count(*) FROM empty", "0"),
            (
                "SELECT concat_ws('-', VARIADIC ARRAY['a', 'b']), format('%s %s', VARIADIC ARRAY[1, 2])",
                "a-b|1 2",
            ),
        ],
    )
    .await;
    Ok(())
}
