//! pgbench as the load generator of every workload: the same client program for both servers.

use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::server::{Server, postgres_program};

/// How a run is driven.
#[derive(Clone)]
pub struct Load {
    /// Connections.
    pub clients: usize,
    /// `simple`, `extended` or `prepared`.
    pub protocol: &'static str,
    /// What each client does over and over.
    pub script: Script,
    /// When a run ends.
    pub length: Length,
}

/// When a run ends.
#[derive(Clone, Copy)]
pub enum Length {
    /// After so many seconds.
    Seconds(u64),
    /// After so many transactions of each client.
    Transactions(u64),
}

/// A script of pgbench.
#[derive(Clone)]
pub enum Script {
    /// One of its own: `select-only`, `tpcb-like`.
    Builtin(&'static str),
    /// Text of a script.
    Text(String),
}

/// What a run showed.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Transactions in a second.
    pub rate: f64,
    /// Transactions that were counted.
    pub transactions: u64,
}

/// Fills pgbench's own tables.
///
/// # Errors
/// What pgbench reports.
pub fn initialise(server: &Server, scale: usize) -> Result<()> {
    let scale = scale.to_string();
    pgbench(server, &["-i", "-q", "-s", &scale])?;
    Ok(())
}

/// One run.
///
/// # Errors
/// What pgbench reports; a run in which a client was aborted is no result.
pub fn run(server: &Server, load: &Load) -> Result<Run> {
    let clients = load.clients.to_string();
    let mut arguments = vec!["-n", "-c", &clients, "-j", "2", "-M", load.protocol];
    let amount;
    match load.length {
        Length::Seconds(seconds) => {
            amount = seconds.to_string();
            arguments.extend(["-T", &amount]);
        }
        Length::Transactions(transactions) => {
            amount = transactions.to_string();
            arguments.extend(["-t", &amount]);
        }
    }
    let file;
    let path;
    match &load.script {
        Script::Builtin(name) => arguments.extend(["-b", name]),
        Script::Text(text) => {
            file = script_file(text)?;
            path = file.path().to_string_lossy().into_owned();
            arguments.extend(["-f", &path]);
        }
    }
    let output = pgbench(server, &arguments)?;
    let rate = number_after(&output, "tps = ").with_context(|| format!("pgbench printed no rate: {output}"))?;
    let transactions = number_after(&output, "transactions actually processed: ").unwrap_or(0.0) as u64;
    Ok(Run { rate, transactions })
}

fn script_file(text: &str) -> Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

fn pgbench(server: &Server, arguments: &[&str]) -> Result<String> {
    let output = Command::new(postgres_program("pgbench")?)
        .args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", server.user])
        .args(arguments)
        .arg(server.user)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || errors.contains("aborted in command") {
        bail!("pgbench {arguments:?} against {:?}: {errors}", server.side);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn number_after(text: &str, label: &str) -> Option<f64> {
    let rest = &text[text.find(label)? + label.len()..];
    let digits = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    digits.parse().ok()
}
