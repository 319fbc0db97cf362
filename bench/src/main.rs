//! `cambium-bench`: Cambium beside PostgreSQL 15 on one machine, in one run.
//!
//! Both servers are started by the harness on the same file system, with fsync on and default settings. Each workload runs on one and then on
//! the other, several times over; the table shows the medians and the median of the pairs' ratios, because absolute figures of a shared machine
//! mean little from one day to the next.

mod pgbench;
mod report;
mod server;
mod workloads;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::report::Report;
use crate::workloads::Plan;

/// What to measure and how long.
#[derive(Parser)]
#[command(about = "Compares this build with PostgreSQL 15")]
struct Options {
    /// How many pairs of runs each workload gets.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long one run of a workload takes, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only workloads whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The `cambium` binary; by default the one built beside this program.
    #[arg(long)]
    cambium: Option<PathBuf>,
    /// Where both servers keep their data; by default a temporary directory.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Also writes the table to this file.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let binary = match options.cambium {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("cambium"),
    };
    let data = match options.data {
        Some(path) => path,
        None => std::env::temp_dir(),
    };
    let plan = Plan {
        rounds: options.rounds.max(1),
        seconds: options.seconds.max(1),
        only: options.only,
        binary,
        data,
    };
    let mut report = Report::default();
    let outcome = workloads::run(&plan, &mut report);
    let table = report.table();
    println!("{table}");
    if let Some(path) = options.write {
        std::fs::write(path, table)?;
    }
    outcome
}
