//! Known paths (DESIGN C7): what documents look like is there to be asked, and a closed column refuses what it does not know.

use anyhow::{Context, Result};
use tests::Server;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Known paths of a table, as `path types`.
async fn paths(client: &Client, table: &str) -> Result<Vec<String>> {
    let query = format!(
        "SELECT path || ' ' || array_to_string(types, '|') || CASE WHEN opaque THEN ' opaque' ELSE '' END
         FROM cambium.json_paths WHERE table_name = '{table}' ORDER BY path"
    );
    let messages = client.simple_query(&query).await?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(rows.collect())
}

/// SQLSTATE, detail and hint of a statement that fails.
async fn refusal(client: &Client, sql: &str) -> Result<(String, String, String)> {
    let error = client
        .batch_execute(sql)
        .await
        .err()
        .with_context(|| format!("{sql} succeeded"))?;
    let error = error.as_db_error().context("an error of the server")?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Ok((error.code().code().to_owned(), text(error.detail()), text(error.hint())))
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_show_their_paths_to_every_session_and_after_a_crash() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    one.batch_execute("CREATE TABLE cart (id int PRIMARY KEY, doc jsonb DEFAULT '{\"open\": true}')")
        .await?;
    assert_eq!(paths(&two, "cart").await?, Vec::<String>::new());
    one.batch_execute(r#"INSERT INTO cart VALUES (1, '{"items": [{"qty": 1}, {"qty": null}], "two words": ""}')"#)
        .await?;
    let first = [
        "$ object",
        r#"$."two words" string"#,
        "$.items array",
        "$.items[*] object",
        "$.items[*].qty null|number",
    ];
    assert_eq!(paths(&two, "cart").await?, first);
    one.batch_execute("BEGIN; UPDATE cart SET doc['note'] = '\"x\"' WHERE id = 1")
        .await?;
    let known: Vec<String> = paths(&two, "cart").await?;
    assert!(
        known.contains(&"$.note ".to_owned()),
        "known while it is locked, nobody has seen a value: {known:?}"
    );
    one.batch_execute("COMMIT").await?;
    assert!(paths(&two, "cart").await?.contains(&"$.note string".to_owned()));
    one.batch_execute(
        "INSERT INTO cart (id) VALUES (2); UPDATE cart SET doc['items'][0]['price'] = '2.5' WHERE id = 1",
    )
    .await?;
    one.batch_execute("BEGIN; INSERT INTO cart VALUES (3, '{\"undone\": 1}'); ROLLBACK")
        .await?;
    let whole = [
        "$ object",
        r#"$."two words" string"#,
        "$.items array",
        "$.items[*] object",
        "$.items[*].price number",
        "$.items[*].qty null|number",
        "$.note string",
        "$.open boolean",
    ];
    assert_eq!(paths(&two, "cart").await?, whole);
    server.kill()?;

    let server = Server::start(&data)?;
    let client = server.connect().await?;
    assert_eq!(paths(&client, "cart").await?, whole);
    client.batch_execute("UPDATE cart SET doc = '[5]' WHERE id = 2").await?;
    assert_eq!(
        paths(&client, "cart").await?[..2],
        ["$ array|object", r#"$."two words" string"#]
    );
    client
        .batch_execute("BEGIN; TRUNCATE cart; INSERT INTO cart VALUES (1, '{\"new\": 1}'); COMMIT")
        .await?;
    assert_eq!(paths(&client, "cart").await?, ["$ object", "$.new number"]);
    client
        .batch_execute("ALTER TABLE cart ADD COLUMN more jsonb DEFAULT '{\"n\": 1}'")
        .await?;
    assert_eq!(paths(&client, "cart").await?.len(), 4);
    client
        .batch_execute("ALTER TABLE cart ALTER doc DROP DEFAULT; ALTER TABLE cart ALTER COLUMN doc TYPE text")
        .await?;
    assert_eq!(paths(&client, "cart").await?, ["$ object", "$.n number"]);
    client
        .batch_execute("ALTER TABLE cart ALTER COLUMN doc TYPE jsonb USING doc::jsonb")
        .await?;
    assert_eq!(paths(&client, "cart").await?.len(), 4);
    client.batch_execute("ALTER TABLE cart DROP COLUMN more").await?;
    assert_eq!(paths(&client, "cart").await?, ["$ object", "$.new number"]);
    client.batch_execute("DROP TABLE cart").await?;
    assert_eq!(paths(&client, "cart").await?, Vec::<String>::new());
    server.stop()?;
    tests::check(&data)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_column_refuses_an_unknown_path_and_names_the_nearest() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    let client = server.connect().await?;
    client
        .batch_execute(
            r#"CREATE TABLE device (id int PRIMARY KEY, name text, doc jsonb);
               INSERT INTO device VALUES (1, 'one', '{"a": {"b": 1}, "items": [{"qty": 1}]}');
               ALTER TABLE device ALTER COLUMN doc SET (closed = true)"#,
        )
        .await?;
    let expected = (
        "23514".to_owned(),
        "Path \"$.a.bb\" is not known.".to_owned(),
        "Did you mean \"$.a.b\"?".to_owned(),
    );
    for sql in [
        "UPDATE device SET doc['a']['bb'] = '1' WHERE id = 1",
        r#"UPDATE device SET doc = '{"a": {"bb": 1}}' WHERE id = 1"#,
        r#"INSERT INTO device VALUES (2, 'two', '{"a": {"bb": 1}}')"#,
        r#"INSERT INTO device VALUES (1, 'two', NULL) ON CONFLICT (id) DO UPDATE SET doc['a']['bb'] = '2'"#,
        r#"UPDATE device SET doc = jsonb_set(doc, '{a,bb}', '1') WHERE id = 1"#,
    ] {
        assert_eq!(refusal(&client, sql).await?, expected, "{sql}");
    }
    let elsewhere = refusal(&client, "UPDATE device SET doc['qty'] = '1' WHERE id = 1").await?;
    assert_eq!(elsewhere.2, "Did you mean \"$.items[*].qty\"?");
    let nowhere = refusal(&client, "UPDATE device SET doc['something'] = '1' WHERE id = 1").await?;
    assert!(nowhere.2.contains("SET (closed = false)"), "{nowhere:?}");
    // Values may change their type, paths may go and come back, other columns are not concerned.
    client
        .batch_execute(
            r#"UPDATE device SET doc['a']['b'] = '"text"' WHERE id = 1;
               UPDATE device SET doc = doc #- '{a,b}', name = 'x' WHERE id = 1;
               UPDATE device SET doc = doc #- '{a,c}' WHERE id = 1;
               UPDATE device SET doc['items'][1] = '{"qty": 2}' WHERE id = 1;
               INSERT INTO device VALUES (2, 'two', '{"a": {"b": null}}'), (3, 'three', NULL)"#,
        )
        .await?;
    let known = [
        "$ object",
        "$.a object",
        "$.a.b null|number|string",
        "$.items array",
        "$.items[*] object",
        "$.items[*].qty number",
    ];
    assert_eq!(paths(&client, "device").await?, known, "what was refused is not known");
    server.kill()?;

    let server = Server::start(&data)?;
    let client = server.connect().await?;
    assert_eq!(
        refusal(&client, "UPDATE device SET doc['a']['bb'] = '1' WHERE id = 1").await?,
        expected
    );
    // A closed column keeps what it knows when the table is emptied.
    client
        .batch_execute("TRUNCATE device; INSERT INTO device VALUES (1, 'one', '{\"a\": {\"b\": 1}}')")
        .await?;
    assert_eq!(
        refusal(&client, "UPDATE device SET doc['a']['bb'] = '1' WHERE id = 1").await?,
        expected
    );
    let closed = client
        .query_one("SELECT bool_and(closed) FROM cambium.json_paths", &[])
        .await?;
    assert!(closed.get::<_, bool>(0));
    client
        .batch_execute(
            "ALTER TABLE device ALTER COLUMN doc SET (closed = off);
             UPDATE device SET doc['a']['bb'] = '1' WHERE id = 1;
             ALTER TABLE device ALTER COLUMN doc SET (n_distinct = -1, closed);
             UPDATE device SET doc['a']['bb'] = '2' WHERE id = 1;
             ALTER TABLE device ALTER doc RESET (closed)",
        )
        .await?;
    assert_eq!(
        refusal(&client, "ALTER TABLE device ALTER name SET (closed = true)")
            .await?
            .0,
        "42809"
    );
    assert_eq!(
        refusal(&client, "ALTER TABLE device ALTER doc SET (closed = maybe)")
            .await?
            .0,
        "42601"
    );
    // Closing is part of its transaction.
    client
        .batch_execute(
            "BEGIN; ALTER TABLE device ALTER doc SET (closed = true); ROLLBACK; UPDATE device SET doc['z'] = '1'",
        )
        .await?;
    client
        .batch_execute(
            "BEGIN; TRUNCATE device; INSERT INTO device VALUES (9, 'nine', '{\"only\": 1}');
             ALTER TABLE device ALTER doc SET (closed = true); COMMIT;
             UPDATE device SET doc['only'] = '2'",
        )
        .await?;
    assert_eq!(paths(&client, "device").await?, ["$ object", "$.only number"]);
    Ok(())
}
