//! pgbench's own tables: point reads, and short transactions on hot and on spread rows.

use anyhow::Result;

use super::{Pair, Plan};
use crate::pgbench::{self, Script};
use crate::report::Report;

/// Select-only in two protocols, and TPC-B-like at two scales.
///
/// # Errors
/// What a server or pgbench reports.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    for (scale, least) in [(1, 1.0), (10, 0.5)] {
        let pair = Pair::start(plan, None)?;
        pair.both()
            .into_iter()
            .try_for_each(|server| pgbench::initialise(server, scale))?;
        if scale == 1 {
            for (protocol, least) in [("simple", 1.0), ("prepared", 0.8)] {
                let load = plan.load(8, protocol, Script::Builtin("select-only"));
                let name = format!("select-only, 8 clients, {protocol}");
                pair.compare(plan, &load, &name, Some(least), report)?;
            }
        }
        let load = plan.load(16, "simple", Script::Builtin("tpcb-like"));
        let name = format!("TPC-B-like, scale {scale}, 16 clients");
        pair.compare(plan, &load, &name, Some(least), report)?;
    }
    Ok(())
}
