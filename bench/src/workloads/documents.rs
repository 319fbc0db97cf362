//! Changes inside JSON documents: many clients on one document, and one leaf of a large one.

use anyhow::Result;

use super::{Pair, Plan};
use crate::pgbench::{self, Script};
use crate::report::Report;

/// Sixteen members, one for each client.
const SHARED_DOCUMENT: &str = "CREATE TABLE shared (id int PRIMARY KEY, doc jsonb NOT NULL);
INSERT INTO shared SELECT 1, jsonb_object_agg('p' || n, jsonb_build_object('n', 0, 'name', 'client ' || n)) FROM generate_series(0, 15) AS n";

/// Four documents of about 1 MB: a thousand members that do not compress.
const LARGE_DOCUMENTS: &str = "CREATE TABLE large (id int PRIMARY KEY, doc jsonb NOT NULL);
INSERT INTO large SELECT id, (SELECT jsonb_object_agg('k' || n, jsonb_build_object('v', '0', 'text',
  (SELECT string_agg(md5((id * 1000000 + n * 100 + part)::text), '') FROM generate_series(1, 30) AS part))) FROM generate_series(1, 1000) AS n)
FROM generate_series(1, 4) AS id";

fn one_document(plan: &Plan, pair: &Pair, name: &str, least: f64, report: &mut Report) -> Result<()> {
    pair.sql(SHARED_DOCUMENT)?;
    let script = "\\set value random(1, 1000000)\nUPDATE shared SET doc = jsonb_set(doc, '{p:client_id,n}', ':value') WHERE id = 1;\n";
    let load = plan.load(16, "simple", Script::Text(script.into()));
    pair.compare(plan, &load, name, Some(least), report)?;
    Ok(())
}

/// 16 clients on 16 paths of one document; 4 clients on leaves of 1 MB documents, with the bytes that reach the disk.
///
/// # Errors
/// What a server or pgbench reports.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let pair = Pair::start(plan, None)?;
    one_document(plan, &pair, "16 clients, 16 paths of one document", 2.0, report)?;

    pair.sql(LARGE_DOCUMENTS)?;
    let script = "\\set leaf random(1, 1000)\n\\set value random(1, 1000000)\n\\set id :client_id + 1\n\
        UPDATE large SET doc = jsonb_set(doc, '{k:leaf,v}', '\":value\"') WHERE id = :id;\n";
    let load = plan.load(4, "simple", Script::Text(script.into()));
    let mut rates = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..plan.rounds {
        let mut measured = Vec::new();
        for server in pair.both() {
            let before = server.written();
            let run = pgbench::run(server, &load)?;
            // What is still in memory belongs to the run as well.
            server.sql("CHECKPOINT")?;
            measured.push((
                run.rate,
                (server.written() - before) as f64 / run.transactions.max(1) as f64,
            ));
        }
        rates.push((measured[0].0, measured[1].0));
        bytes.push((measured[0].1, measured[1].1));
    }
    report.pairs("one leaf of a 1 MB document, 4 clients", "/s", rates, true, Some(20.0));
    report.pairs("the same: written to disk for a change", "bytes", bytes, false, None);
    Ok(())
}

/// The shared document and TPC-B-like where every flush takes 2 ms longer on both sides.
///
/// # Errors
/// What a server or pgbench reports.
pub fn run_slow(plan: &Plan, report: &mut Report) -> Result<()> {
    let pair = Pair::start(plan, Some(2_000))?;
    one_document(plan, &pair, "16 paths of one document, flush + 2 ms", 5.0, report)?;
    pair.both()
        .into_iter()
        .try_for_each(|server| pgbench::initialise(server, 1))?;
    let load = plan.load(16, "simple", Script::Builtin("tpcb-like"));
    pair.compare(plan, &load, "TPC-B-like, scale 1, flush + 2 ms", None, report)?;
    Ok(())
}
