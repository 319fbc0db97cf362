//! What is measured. Each file is one family of workloads; this one starts the servers for them and runs the pairs.

mod documents;
mod locks;
mod pgbench_tables;
mod scan;
mod tpch;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::pgbench::{self, Length, Load, Script};
use crate::report::Report;
use crate::server::{Server, Shim, Side};

/// How the measurements are made.
pub struct Plan {
    /// Pairs of runs of each workload.
    pub rounds: usize,
    /// Seconds of one run.
    pub seconds: u64,
    /// Only workloads whose name contains one of these; all when empty.
    pub only: Vec<String>,
    /// The `cambium` binary.
    pub binary: PathBuf,
    /// Where data directories are made.
    pub data: PathBuf,
}

impl Plan {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    fn load(&self, clients: usize, protocol: &'static str, script: Script) -> Load {
        Load {
            clients,
            protocol,
            script,
            length: Length::Seconds(self.seconds),
        }
    }
}

/// Both servers, on empty data directories that go with them.
struct Pair {
    postgres: Server,
    cambium: Server,
    _data: tempfile::TempDir,
}

impl Pair {
    fn start(plan: &Plan, slower_flush: Option<u64>) -> Result<Pair> {
        let data = tempfile::Builder::new()
            .prefix("cambium-bench")
            .tempdir_in(&plan.data)?;
        // The account PostgreSQL runs as must get through.
        std::fs::set_permissions(data.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let shim = slower_flush
            .map(|microseconds| compile_shim(data.path(), microseconds))
            .transpose()?;
        Ok(Pair {
            postgres: Server::start(Side::Postgres, data.path(), &plan.binary, shim.as_ref())?,
            cambium: Server::start(Side::Cambium, data.path(), &plan.binary, shim.as_ref())?,
            _data: data,
        })
    }

    fn both(&self) -> [&Server; 2] {
        [&self.postgres, &self.cambium]
    }

    fn sql(&self, text: &str) -> Result<()> {
        self.both()
            .into_iter()
            .try_for_each(|server| server.sql(text).map(drop))
    }

    /// Runs a load on both sides, round by round, and reports rates and the servers' CPU for a transaction.
    fn compare(&self, plan: &Plan, load: &Load, name: &str, least: Option<f64>, report: &mut Report) -> Result<()> {
        let mut rates = Vec::new();
        let mut costs = Vec::new();
        for _ in 0..plan.rounds {
            let (postgres, cambium) = (measure(&self.postgres, load)?, measure(&self.cambium, load)?);
            rates.push((postgres.0, cambium.0));
            costs.push((postgres.1, cambium.1));
        }
        report.pairs(name, "/s", rates, true, least);
        report.pairs("… server CPU for one", "µs", costs, false, None);
        Ok(())
    }
}

/// Transactions a second, and microseconds of the server's CPU for each.
fn measure(server: &Server, load: &Load) -> Result<(f64, f64)> {
    let before = server.cpu_seconds();
    let run = pgbench::run(server, load)?;
    let cpu = server.cpu_seconds() - before;
    Ok((run.rate, cpu * 1e6 / run.transactions.max(1) as f64))
}

/// Compiles the library that makes flushes slower, for the servers to load.
fn compile_shim(folder: &std::path::Path, microseconds: u64) -> Result<Shim> {
    let source = folder.join("slow_flush.c");
    std::fs::write(&source, include_str!("../../shim/slow_flush.c"))?;
    let library = folder.join("slow_flush.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status()
        .context("a C compiler is needed for the slower flush")?;
    if !status.success() {
        bail!("the library for slower flushes does not compile");
    }
    Ok(Shim { library, microseconds })
}

/// Runs everything that is wanted. A workload that fails does not stop the others; the first error is returned at the end.
///
/// # Errors
/// The first that a workload met.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let families: [(&str, fn(&Plan, &mut Report) -> Result<()>); 6] = [
        ("pgbench", pgbench_tables::run),
        ("documents", documents::run),
        ("documents at a slower flush", documents::run_slow),
        ("scan", scan::run),
        ("tpch", tpch::run),
        ("locks", locks::run),
    ];
    let mut outcome = Ok(());
    for (name, family) in families {
        if plan.wants(name)
            && let Err(error) = family(plan, report)
        {
            eprintln!("!! {name}: {error:#}");
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}
