//! Options: the command line of `cambium`, and the same words in a configuration file.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Command line of `cambium`.
#[derive(Debug, Parser)]
#[command(
    name = "cambium",
    version,
    about = "A distributed SQL/JSON database that speaks the PostgreSQL protocol"
)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts a node.
    Start(Box<Start>),
    /// Checks a data directory that no server uses: recovers it, and compares rows, index entries and records.
    Check(Check),
}

/// Options of `cambium check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Data directory.
    #[arg(long, value_name = "DIR", default_value = "./cambium-data")]
    pub data: PathBuf,
}

/// Options of `cambium start`.
#[derive(Clone, Debug, Args)]
pub struct Start {
    /// Data directory; created if missing.
    #[arg(long, value_name = "DIR", default_value = "./cambium-data")]
    pub data: PathBuf,
    /// Where PostgreSQL clients connect.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5432")]
    pub sql: String,
    /// Where health, readiness and metrics are served.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub http: String,
    /// Where other nodes connect.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7070")]
    pub node: String,
    /// Joins the cluster of this node.
    #[arg(long, value_name = "HOST:PORT")]
    pub join: Option<String>,
    /// Reads options from a file: one `name = value` a line, the names as above; the command line has precedence.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Shards of a new data directory.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub shards: u32,
    /// Most connections at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub max_connections: usize,
    /// How clients without a password are treated on loopback; beyond it, passwords are always demanded.
    #[arg(long, value_enum, default_value_t = Auth::Trust)]
    pub auth: Auth,
    /// Certificate chain for TLS (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key for TLS (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// What is done about deadlocks.
    #[arg(long, value_enum, default_value_t = Deadlock::Detect)]
    pub deadlock: Deadlock,
    /// Seconds old versions of rows are kept for readers.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub retention_seconds: u64,
    /// Free space on the device of the data directory, in MiB, below which writes are refused (53100) and reads go on.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub free_space_reserve_mib: u64,
    /// Memory for the locks of one shard, in MiB, beyond which more of them are refused (53200) and those held stay.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub lock_memory_mib: u32,
}

/// Values of `--auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// Trusts clients on loopback whose role has no password.
    Trust,
    /// Demands a password of everybody.
    Scram,
}

/// Values of `--deadlock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Deadlock {
    /// Cycles are found and broken.
    Detect,
    /// The older wounds the younger.
    WoundWait,
    /// The younger gives up.
    WaitDie,
}

impl Options {
    /// Reads the command line, and the configuration file it names.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn read() -> Result<Options> {
        let arguments: Vec<String> = std::env::args().collect();
        let options = Options::parse_from(&arguments);
        let config = match &options.command {
            Command::Start(start) => start.config.as_ref(),
            Command::Check(_) => None,
        };
        match config {
            None => Ok(options),
            Some(path) => {
                let mut all: Vec<String> = arguments.iter().take(2).cloned().collect();
                all.extend(file_arguments(path, &arguments)?);
                all.extend(arguments.into_iter().skip(2));
                Ok(Options::parse_from(all))
            }
        }
    }
}

/// Lines of a configuration file as arguments; those the command line gives itself are left out.
fn file_arguments(path: &Path, given: &[String]) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut arguments = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            bail!("{}:{}: expected name = value", path.display(), number + 1);
        };
        let name = format!("--{}", name.trim().replace('_', "-"));
        let is_given = given
            .iter()
            .any(|argument| *argument == name || argument.starts_with(&format!("{name}=")));
        if !is_given {
            arguments.push(name);
            arguments.push(value.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    Ok(arguments)
}

/// Addresses of `HOST:PORT`.
///
/// # Errors
/// When it is not one, or the host is unknown.
pub fn addresses(option: &str, text: &str) -> Result<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = text
        .to_socket_addrs()
        .with_context(|| format!("--{option} {text}: expected HOST:PORT"))?
        .collect();
    if addresses.is_empty() {
        bail!("--{option} {text}: the host has no address");
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_complete() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn files_give_way_to_the_command_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cambium.conf");
        std::fs::write(
            &path,
            "# a node\nshards = 4\nmax_connections = 7 # few\nsql = \"127.0.0.1:1\"\n",
        )
        .unwrap();
        let given = ["cambium", "start", "--shards", "2"].map(String::from);
        assert_eq!(
            file_arguments(&path, &given).unwrap(),
            ["--max-connections", "7", "--sql", "127.0.0.1:1"]
        );
        std::fs::write(&path, "shards 4\n").unwrap();
        assert!(file_arguments(&path, &given).is_err());
    }
}
