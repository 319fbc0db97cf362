//! Real documents: 250 countries, 20,968 deeply nested documents of browser compatibility, and the same as one document of
//! 20 MB, in one server. Loaded with COPY, queried, joined and aggregated, changed path by path from 16 connections at once,
//! and all there after kill -9.
//!
//! The data is not part of the repository: `CAMBIUM_DATASETS`, or `../shared/data` beside the checkout. Without it the test
//! says loudly that it tested nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use futures::SinkExt;
use serde_json::Value;
use tests::Server;
use tokio_postgres::Client;

const CONNECTIONS: usize = 16;
/// Changes of each connection to the large document, and as many to small ones.
const CHANGES: usize = 12;
/// Memory the server may take at its peak: several copies of a 20 MB document, caches and buffers. A debug build measured 521 MB.
const MEMORY_MAX: u64 = 1500 << 20;

fn folder() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("CAMBIUM_DATASETS").map_or_else(default, PathBuf::from);
    folder.join("countries.jsonl").exists().then_some(folder)
}

/// A file's text, unpacked if its name says that it is packed.
fn read(path: &Path) -> Result<String> {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(std::fs::read_to_string(path)?);
    }
    let output = Command::new("gzip").arg("-dc").arg(path).output()?;
    if !output.status.success() {
        bail!("gzip -dc {} failed", path.display());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Loads one document a line, as `\copy` does: in pieces that know nothing of lines.
async fn copy(client: &Client, table: &str, text: &str) -> Result<u64> {
    let command = format!(r"COPY {table} (doc) FROM STDIN WITH (FORMAT csv, QUOTE e'\x01', DELIMITER e'\x02')");
    let sink = client.copy_in(command.as_str()).await?;
    let mut sink = std::pin::pin!(sink);
    for piece in text.as_bytes().chunks(64 << 10) {
        sink.send(bytes::Bytes::copy_from_slice(piece)).await?;
    }
    Ok(sink.finish().await?)
}

async fn number(client: &Client, query: &str) -> Result<i64> {
    Ok(client
        .query_one(query, &[])
        .await
        .with_context(|| query.to_owned())?
        .get(0))
}

async fn text(client: &Client, query: &str) -> Result<String> {
    Ok(client
        .query_one(query, &[])
        .await
        .with_context(|| query.to_owned())?
        .get(0))
}

/// What queries say, against what the source says.
async fn query(client: &Client, countries: &[Value], compat: &[Value], whole: &Value) -> Result<()> {
    let euro = countries
        .iter()
        .filter(|country| country["currencies"]["EUR"].is_object())
        .count();
    let found = number(client, "SELECT count(*) FROM countries WHERE doc @? '$.currencies.EUR'").await?;
    assert_eq!(found, euro as i64);

    let has = |country: &&Value, code: &str| {
        country["borders"]
            .as_array()
            .is_some_and(|all| all.contains(&code.into()))
    };
    let neighbours = countries.iter().filter(|country| has(country, "FRA")).count();
    let found = number(
        client,
        r#"SELECT count(*) FROM countries WHERE doc @> '{"borders": ["FRA"]}'"#,
    )
    .await?;
    assert_eq!(found, neighbours as i64);

    // Borders that both sides tell of: a join of a document's array with other documents.
    let is_mutual = |a: &Value, b: &Value| {
        let (of_a, of_b) = (a["cca3"].as_str().unwrap_or(""), b["cca3"].as_str().unwrap_or(""));
        has(&a, of_b) && has(&b, of_a)
    };
    let of_one = |a: &Value| countries.iter().filter(|b| is_mutual(a, b)).count();
    let pairs: usize = countries.iter().map(of_one).sum();
    let joined =
        "SELECT count(*) FROM countries a CROSS JOIN LATERAL jsonb_array_elements_text(a.doc->'borders') AS x(code)
                  JOIN countries b ON b.doc->>'cca3' = x.code WHERE b.doc->'borders' ? (a.doc->>'cca3')";
    assert_eq!(number(client, joined).await?, pairs as i64);

    let grouped = client
        .query(
            "SELECT doc->>'area', count(*) FROM compat GROUP BY 1 ORDER BY 2 DESC, 1",
            &[],
        )
        .await?;
    for row in &grouped {
        let (area, count): (&str, i64) = (row.get(0), row.get(1));
        assert_eq!(
            count,
            compat.iter().filter(|document| document["area"] == area).count() as i64,
            "{area}"
        );
    }
    let deprecated = compat
        .iter()
        .filter(|document| document["compat"]["status"]["deprecated"] == true)
        .count();
    let found = number(
        client,
        "SELECT count(*) FROM compat WHERE doc @@ '$.compat.status.deprecated == true'",
    )
    .await?;
    assert_eq!(found, deprecated as i64);
    let kinds = "SELECT count(*) FROM compat WHERE jsonb_typeof(doc->'compat'->'support'->'chrome') = 'array'";
    let arrays = compat
        .iter()
        .filter(|document| document["compat"]["support"]["chrome"].is_array())
        .count();
    assert_eq!(number(client, kinds).await?, arrays as i64);

    let members = "SELECT count(*) FROM whole, jsonb_each(doc->'api')";
    assert_eq!(
        number(client, members).await?,
        whole["api"].as_object().map_or(0, |api| api.len()) as i64
    );
    let deep = "SELECT doc #>> '{api,AbortController,__compat,mdn_url}' FROM whole";
    assert_eq!(
        Some(text(client, deep).await?.as_str()),
        whole["api"]["AbortController"]["__compat"]["mdn_url"].as_str()
    );
    let feature = r#"SELECT count(*) FROM compat c JOIN whole w ON w.doc->'api'->'AbortController'->'__compat' = c.doc->'compat'
                     WHERE c.doc->>'feature' = 'api.AbortController'"#;
    assert_eq!(number(client, feature).await?, 1);
    Ok(())
}

/// Changes a path of its own of the large document, and documents of its own, over and over.
async fn change(client: &Client, connection: usize, documents: usize) -> Result<()> {
    for round in 0..CHANGES {
        let path = format!("doc['api']['AbortController']['seen']['by{connection}']");
        client
            .batch_execute(&format!("UPDATE whole SET {path} = '{round}' WHERE id = 1"))
            .await?;
        let id = 1 + (connection + CONNECTIONS * (round * 31 % (documents / CONNECTIONS)));
        let statement =
            format!("UPDATE compat SET doc['seen'] = jsonb_build_object('by', {connection}) WHERE id = {id}");
        client.batch_execute(&statement).await?;
    }
    Ok(())
}

/// Everything that was loaded and changed is there.
async fn verify(client: &Client, compat: &str, whole: &Value) -> Result<()> {
    assert_eq!(number(client, "SELECT count(*) FROM countries").await?, 250);
    for connection in 0..CONNECTIONS {
        let seen = format!("SELECT doc #>> '{{api,AbortController,seen,by{connection}}}' FROM whole");
        assert_eq!(text(client, &seen).await?, (CHANGES - 1).to_string());
    }
    let changed = "SELECT count(*) FROM compat WHERE doc ? 'seen'";
    assert_eq!(number(client, changed).await?, (CONNECTIONS * CHANGES) as i64);
    client
        .batch_execute("CREATE TABLE again (id serial PRIMARY KEY, doc jsonb)")
        .await?;
    let copied = copy(client, "again", compat).await?;
    let same = "SELECT count(*) FROM compat a JOIN again b ON a.id = b.id WHERE a.doc - 'seen' = b.doc";
    assert_eq!(number(client, same).await?, copied as i64);
    client.batch_execute("DROP TABLE again").await?;
    let mut stored: Value = serde_json::from_str(&text(client, "SELECT doc::text FROM whole").await?)?;
    if let Some(controller) = stored["api"]["AbortController"].as_object_mut() {
        controller.remove("seen");
    }
    assert!(stored == *whole, "the large document is not what was loaded");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn real_documents_are_loaded_queried_changed_and_survive_kill_9() -> Result<()> {
    let Some(folder) = folder() else {
        tests::skip("no data sets in ../shared/data (CAMBIUM_DATASETS names another folder)");
        return Ok(());
    };
    let countries_text = read(&folder.join("countries.jsonl"))?;
    let compat_text = read(&folder.join("browser-compat.jsonl.gz"))?;
    let whole_text = read(&folder.join("browser-compat-one.json.gz"))?;
    let parse = |text: &str| {
        text.lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()
    };
    let (countries, compat) = (parse(&countries_text)?, parse(&compat_text)?);
    let whole: Value = serde_json::from_str(&whole_text)?;

    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    let client = server.connect().await?;
    let mut clock = Instant::now();
    let mut step = |what: &str| {
        println!("{what}: {:.1} s", clock.elapsed().as_secs_f32());
        clock = Instant::now();
    };
    for (table, text, count) in [
        ("countries", &countries_text, 250),
        ("compat", &compat_text, 20_968),
        ("whole", &whole_text, 1),
    ] {
        client
            .batch_execute(&format!("CREATE TABLE {table} (id serial PRIMARY KEY, doc jsonb)"))
            .await?;
        assert_eq!(copy(&client, table, text).await?, count, "{table}");
        step(&format!("COPY {table}"));
    }
    query(&client, &countries, &compat, &whole).await?;
    step("queries");

    let mut workers = Vec::new();
    let documents = compat.len();
    for connection in 0..CONNECTIONS {
        let client = Arc::new(server.connect().await?);
        workers.push(tokio::spawn(
            async move { change(&client, connection, documents).await },
        ));
    }
    for worker in workers {
        worker.await??;
    }
    step("changes from 16 connections");
    let peak = server.measure("status", "VmHWM")?;
    println!("peak of the server's memory: {} MB", peak >> 20);
    assert!(peak < MEMORY_MAX, "the server took {} MB", peak >> 20);

    server.kill()?;
    let server = Server::start(&data)?;
    step("restart after kill -9");
    verify(&server.connect().await?, &compat_text, &whole).await?;
    step("verification");
    server.stop()?;
    println!("{}", tests::check(&data)?.trim());
    Ok(())
}
