//! pg_dump 15 of a database: what it writes restores into Cambium, where it dumps alike, and into PostgreSQL.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tests::Server;
use tests::postgres::Postgres;

const SCHEMA: &str = r#"
CREATE SCHEMA sales;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE pair AS (x int, y text);
CREATE TABLE customer (
  id serial PRIMARY KEY, name text NOT NULL, email varchar(100) UNIQUE, m mood DEFAULT 'ok', age positive,
  CONSTRAINT long_name CHECK (length(name) > 1));
CREATE TABLE sales.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customer (id) ON DELETE CASCADE,
  doc jsonb DEFAULT '{}', total numeric(10,2), code text GENERATED ALWAYS AS (doc->>'code') STORED);
CREATE INDEX orders_total ON sales.orders (total DESC);
CREATE UNIQUE INDEX orders_code ON sales.orders ((doc->>'code')) WHERE total > 0;
CREATE VIEW big AS SELECT o.id, c.name FROM sales.orders o JOIN customer c ON c.id = o.customer WHERE o.total > 10;
CREATE TABLE part_of (
  part int PRIMARY KEY DEFERRABLE, whole int REFERENCES customer DEFERRABLE INITIALLY DEFERRED,
  place int, CONSTRAINT one_place UNIQUE (whole, place) DEFERRABLE INITIALLY DEFERRED);
CREATE VIEW adults AS SELECT * FROM customer WHERE age > 2 WITH LOCAL CHECK OPTION;
CREATE VIEW named_adults AS SELECT * FROM adults WHERE name <> '' WITH CASCADED CHECK OPTION;
CREATE VIEW a_view_of_big AS SELECT name FROM big;
CREATE SEQUENCE counter START 5 INCREMENT 3;
COMMENT ON TABLE customer IS 'people';
COMMENT ON COLUMN customer.name IS 'their name';
INSERT INTO customer (name, email, age) VALUES ('Ann', 'a@x', 3), ('Bob', NULL, 4);
INSERT INTO part_of VALUES (1, 1, 1), (2, 1, 2);
INSERT INTO sales.orders (customer, doc, total) VALUES (1, '{"code": "a", "n": [1.50, null]}', 12.5), (2, '{"code": "b"}', 3);
SELECT nextval('counter');
CREATE TABLE plain (a int, b bytea, c text[], d date, e interval, f uuid, g bool, h float8);
INSERT INTO plain VALUES
  (1, '\x0102', '{a,"b c"}', '2020-01-01', '1 day 2 hours', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, 1.5),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"#;

/// What is asked of a restored database.
const CHECK: &str = "SELECT count(*), sum(total), (SELECT string_agg(name, ',') FROM a_view_of_big),
  (SELECT nextval('counter')), (SELECT count(*) FROM plain WHERE c[2] = 'b c') FROM sales.orders";

/// Runs a client with a text as its input; what it prints.
fn run(mut command: Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("its input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn psql(server: &Server, database: &str, text: &str) -> Result<String> {
    let mut command = server.command("psql");
    command.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", database]);
    run(command, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_restores_into_cambium_and_postgresql() -> Result<()> {
    let version = Command::new("pg_dump").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.as_ref().is_ok_and(|version| version.contains(" 15.")) {
        eprintln!("!! PG_DUMP 15 IS NOT INSTALLED ({version:?}): ITS TEST IS NOT RUN (scripts/install tests)");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    psql(&server, "cambium", SCHEMA)?;
    let dump = |database: &str, options: &[&str]| {
        let mut command = server.command("pg_dump");
        command.args(options).args(["-d", database]);
        // Clients newer than 15.13 put a line with a random word at both ends.
        let text = run(command, "")?;
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
        Ok::<String, anyhow::Error>(lines.collect::<Vec<_>>().join("\n") + "\n")
    };
    let postgres = Postgres::start().await?;
    if let Some(postgres) = &postgres {
        postgres
            .connect()
            .await?
            .batch_execute("CREATE ROLE cambium SUPERUSER LOGIN")
            .await?;
    }
    for (copy, options) in [
        ("by_copy", &[][..]),
        ("by_inserts", &["--inserts"]),
        ("schema_only", &["--schema-only"]),
    ] {
        let text = dump("cambium", options)?;
        ensure!(
            !text.contains("json_paths"),
            "the server's own schema is no part of a dump"
        );
        psql(&server, "cambium", &format!("CREATE DATABASE {copy}"))?;
        psql(&server, copy, &text).with_context(|| format!("{copy} into Cambium:\n{text}"))?;
        let again = dump(copy, options)?;
        ensure!(
            again == text,
            "{copy} dumps differently:\n{again}\n-- instead of\n{text}"
        );
        let wants = if copy == "schema_only" {
            "0|||5|0"
        } else {
            "2|15.50|Ann|8|1"
        };
        ensure!(psql(&server, copy, CHECK)?.trim() == wants, "{copy}");
        let Some(postgres) = &postgres else { continue };
        postgres
            .connect()
            .await?
            .batch_execute(&format!("CREATE DATABASE {copy}"))
            .await?;
        let mut command = Command::new("psql");
        command.args([
            "-X",
            "-q",
            "-At",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-d",
            copy,
        ]);
        command.args(["-p", &postgres.port().to_string()]);
        let restored = run(command, &format!("{text}\nSET search_path = public;\n{CHECK};"));
        let restored = restored.with_context(|| format!("{copy} into PostgreSQL:\n{text}"))?;
        ensure!(
            restored.trim().lines().last() == Some(wants),
            "{copy} in PostgreSQL: {restored}"
        );
    }
    server.stop()
}
