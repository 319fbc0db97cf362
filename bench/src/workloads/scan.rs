//! Analytics over JSON: 200,000 small documents grouped and summed over paths.

use anyhow::Result;

use super::{Pair, Plan};
use crate::pgbench::{Length, Load, Script};
use crate::report::Report;

/// Documents are made in batches, so that neither side is measured with one huge transaction behind it.
const BATCHES: usize = 20;
const BATCH: usize = 10_000;

/// One query over all documents.
///
/// # Errors
/// What a server or pgbench reports.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let pair = Pair::start(plan, None)?;
    pair.sql("CREATE TABLE events (id int PRIMARY KEY, doc jsonb NOT NULL)")?;
    for batch in 0..BATCHES {
        let (first, last) = (batch * BATCH + 1, (batch + 1) * BATCH);
        pair.sql(&format!(
            "INSERT INTO events SELECT n, jsonb_build_object('kind', 'kind ' || n % 20, 'user', jsonb_build_object('id', n % 1000, 'name', md5(n::text)),
             'amount', (n % 997)::numeric / 100, 'tags', jsonb_build_array('a', n % 7)) FROM generate_series({first}, {last}) AS n"
        ))?;
    }
    pair.postgres.sql("VACUUM ANALYZE events")?;
    let query = "SELECT doc->>'kind', count(*), sum((doc->>'amount')::numeric), max((doc#>>'{user,id}')::int) FROM events GROUP BY 1 ORDER BY 1;";
    let load = Load {
        length: Length::Transactions(3),
        ..plan.load(1, "simple", Script::Text(query.into()))
    };
    pair.compare(
        plan,
        &load,
        "group and sum over paths, 200,000 documents",
        Some(0.3),
        report,
    )?;
    Ok(())
}
