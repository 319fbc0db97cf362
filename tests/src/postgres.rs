//! PostgreSQL 15 beside the server under test, where its binaries are installed: what our tables say of it is checked live.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio_postgres::{Client, NoTls};

/// Where Debian keeps them.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running PostgreSQL; stopped when dropped.
pub struct Postgres {
    data: PathBuf,
    account: Option<(u32, u32)>,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Postgres {
    /// Starts one on a free port; `None`, said loudly, if it is not installed.
    ///
    /// # Errors
    /// If it is installed and does not start.
    pub async fn start() -> Result<Option<Postgres>> {
        if !Path::new(PROGRAMS).join("initdb").exists() {
            eprintln!("!! PostgreSQL 15 is not installed in {PROGRAMS}: what it does was NOT checked");
            return Ok(None);
        }
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("data");
        // It refuses to run as root.
        let account = is_root().then(|| account("postgres")).transpose()?;
        if let Some((user, group)) = account {
            std::os::unix::fs::chown(directory.path(), Some(user), Some(group))?;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let postgres = Postgres {
            data,
            account,
            port,
            _directory: directory,
        };
        postgres.run(
            "initdb",
            &["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"],
        )?;
        let options = format!(
            "-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c deadlock_timeout=100ms"
        );
        postgres.run("pg_ctl", &["-w", "-l", "/dev/null", "-o", &options, "start", "-D"])?;
        let begin = Instant::now();
        while postgres.connect().await.is_err() {
            if begin.elapsed() > PATIENCE {
                bail!("PostgreSQL does not answer on port {port}");
            }
            tokio::task::yield_now().await;
        }
        Ok(Some(postgres))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(Path::new(PROGRAMS).join(program));
        command.args(arguments).arg(&self.data);
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        let status = command.status().with_context(|| program.to_owned())?;
        if !status.success() {
            bail!("{program} ended with {status}");
        }
        Ok(())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connects as the superuser.
    ///
    /// # Errors
    /// What connecting reports.
    pub async fn connect(&self) -> Result<Client> {
        let parameters = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.run("pg_ctl", &["-m", "immediate", "-w", "stop", "-D"]);
    }
}

fn is_root() -> bool {
    // SAFETY: reads a number of this process.
    unsafe { libc::geteuid() == 0 }
}

/// User and group of an account.
fn account(name: &str) -> Result<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let fields: Vec<&str> = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .with_context(|| format!("there is no account {name}"))?;
    let number = |at: usize| -> Result<u32> { Ok(fields.get(at).context("a damaged line")?.parse()?) };
    Ok((number(2)?, number(3)?))
}
