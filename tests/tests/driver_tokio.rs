//! tokio-postgres: every type in binary in both directions, arrays and NULLs, COPY, SQLSTATEs, portals, pipelining.

use std::error::Error;

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use futures::{SinkExt, TryStreamExt};
use tests::Server;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A value as its bytes on the wire, of any type.
#[derive(Clone, Debug, PartialEq)]
struct Wire(Vec<u8>);

impl<'a> FromSql<'a> for Wire {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Wire(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Wire {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Type and a value of it as a literal.
const VALUES: [(&str, &str); 27] = [
    ("boolean", "true"),
    ("smallint", "-32768"),
    ("integer", "2147483647"),
    ("bigint", "-9223372036854775808"),
    ("real", "1.5"),
    ("double precision", "-Infinity"),
    ("numeric", "12345678901234567890.0123456789"),
    ("numeric", "NaN"),
    ("numeric", "-0.00000000000000000001"),
    ("text", "größe ✓"),
    ("varchar(10)", "ten"),
    ("char(5)", "abc"),
    ("bytea", "\\x00ff7f"),
    ("date", "2024-02-29"),
    ("date", "infinity"),
    ("time", "23:59:59.999999"),
    ("timestamp", "1999-12-31 23:59:59.5"),
    ("timestamptz", "2024-02-29 12:00:00+02"),
    ("interval", "1 year 2 months -3 days 04:05:06.789"),
    ("uuid", "12345678-1234-5678-1234-567812345678"),
    ("json", "{\"a\": [1, 2.50]}"),
    ("jsonb", "{\"a\": [1, 2.50, null], \"b\": \"\\u00fc\"}"),
    ("integer[]", "{1,NULL,3}"),
    ("text[]", "{a,\"\",\"NULL\",NULL,\"quo\\\"te\"}"),
    ("numeric[]", "{1.50,NULL}"),
    ("timestamptz[]", "{2000-01-01 00:00:00+00}"),
    ("jsonb[]", "{}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_type_survives_the_binary_format() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    for (number, (ty, text)) in VALUES.iter().enumerate() {
        let table = format!("value_{number}");
        client.batch_execute(&format!("CREATE TABLE {table} (v {ty})")).await?;
        // The driver asks for results in binary: the bytes that came must be taken back for the same value.
        let literal = format!("SELECT '{}'::{ty}", text.replace('\'', "''"));
        let came: Wire = client.query_one(&literal, &[]).await?.get(0);
        let insert = client
            .prepare(&format!("INSERT INTO {table} VALUES ($1), ($2)"))
            .await?;
        client.execute(&insert, &[&came, &None::<Wire>]).await?;
        let rows = client.query(&format!("SELECT v, v::text FROM {table}"), &[]).await?;
        let back: (Wire, String) = (rows[0].get(0), rows[0].get(1));
        ensure!(back.0 == came, "{ty}: {came:?} came back as {:?}", back.0);
        let printed: String = client.query_one(&format!("{literal}::text"), &[]).await?.get(0);
        ensure!(back.1 == printed, "{ty}: {printed} is {} now", back.1);
        ensure!(rows[1].get::<_, Option<Wire>>(0).is_none(), "{ty}: NULL");
        // Bytes that are no value of the type are refused, and the session goes on.
        if !matches!(*ty, "text" | "varchar(10)" | "char(5)" | "bytea") {
            let refused = client.execute(&insert, &[&Wire(vec![1, 2, 3]), &None::<Wire>]).await;
            let error = refused.err().with_context(|| format!("three bytes are no {ty}"))?;
            let code = error.code().map_or("", SqlState::code);
            ensure!(matches!(code, "22P03" | "08P01" | "22P02"), "{ty}: {error:?}");
        }
    }
    server.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_portals_copies_and_pipelines() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let mut client = server.connect().await?;
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, name text, tags text[])")
        .await?;

    // COPY in and out.
    let sink = client.copy_in("COPY t (id, name) FROM STDIN (FORMAT csv)").await?;
    let mut sink = Box::pin(sink);
    for id in 0..1000 {
        sink.send(bytes::Bytes::from(format!("{id},name {id}\n"))).await?;
    }
    ensure!(sink.as_mut().finish().await? == 1000, "rows copied");
    let out = client
        .copy_out("COPY (SELECT id FROM t WHERE id < 3 ORDER BY id) TO STDOUT")
        .await?;
    let out: Vec<bytes::Bytes> = out.try_collect().await?;
    ensure!(out.concat() == b"0\n1\n2\n", "{out:?}");
    // A copy that is given up leaves nothing behind.
    let sink = client.copy_in::<_, bytes::Bytes>("COPY t FROM STDIN").await?;
    drop(Box::pin(sink));
    ensure!(
        client.query_one("SELECT count(*) FROM t", &[]).await?.get::<_, i64>(0) == 1000,
        "rows left"
    );

    // Portals give rows in parts, and keep their place.
    let transaction = client.transaction().await?;
    let statement = transaction
        .prepare("SELECT id FROM t WHERE id >= $1 ORDER BY id")
        .await?;
    ensure!(
        statement.params() == [Type::INT4] && statement.columns()[0].type_() == &Type::INT4,
        "types"
    );
    let portal = transaction.bind(&statement, &[&10]).await?;
    let mut seen = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 300).await?;
        if rows.is_empty() {
            break;
        }
        seen.push(rows.len());
    }
    ensure!(seen == [300, 300, 300, 90], "{seen:?}");
    transaction.rollback().await?;

    // Many statements at once on one connection.
    let statement = client.prepare("UPDATE t SET tags = $2 WHERE id = $1").await?;
    let tags = vec!["a".to_string(), "b".to_string()];
    let updates = (0..100).map(|id| {
        let (client, statement, tags) = (&client, &statement, &tags);
        async move { client.execute(statement, &[&id, tags]).await }
    });
    let counts = futures::future::try_join_all(updates).await?;
    ensure!(counts.iter().sum::<u64>() == 100, "rows updated");
    let any: Vec<i32> = vec![1, 5, 5000];
    ensure!(
        client.query("SELECT * FROM t WHERE id = ANY($1)", &[&any]).await?.len() == 2,
        "ANY"
    );

    // Errors with their facts.
    let error = client
        .execute("INSERT INTO t VALUES (1)", &[])
        .await
        .err()
        .context("a duplicate")?;
    let error = error.as_db_error().context("an error of the server")?;
    ensure!(error.code() == &SqlState::UNIQUE_VIOLATION, "{error:?}");
    ensure!(
        (error.schema(), error.table(), error.constraint()) == (Some("public"), Some("t"), Some("t_pkey")),
        "{error:?}"
    );
    // What ran before in the same transaction block is undone.
    let transaction = client.transaction().await?;
    transaction.execute("DELETE FROM t", &[]).await?;
    let error = transaction
        .query("SELECT 1 / 0", &[])
        .await
        .err()
        .context("a division")?;
    ensure!(error.code() == Some(&SqlState::DIVISION_BY_ZERO), "{error:?}");
    let error = transaction
        .query("SELECT 1", &[])
        .await
        .err()
        .context("a failed block")?;
    ensure!(error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION), "{error:?}");
    transaction.rollback().await?;
    ensure!(
        client.query_one("SELECT count(*) FROM t", &[]).await?.get::<_, i64>(0) == 1000,
        "rows kept"
    );
    server.stop()
}
