//! The two servers under test: real processes with data directories of their own, started and stopped by the harness.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// PostgreSQL 15.
    Postgres,
    /// The `cambium` binary.
    Cambium,
}

/// A running server.
pub struct Server {
    /// Which of the two it is.
    pub side: Side,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Superuser, and the name of the database.
    pub user: &'static str,
    process: Child,
}

/// Added to the environment of a server: the library that slows flushes down.
pub struct Shim {
    /// The compiled library.
    pub library: PathBuf,
    /// Microseconds added to each flush.
    pub microseconds: u64,
}

impl Server {
    /// Starts one side on an empty directory below `data`.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn start(side: Side, data: &Path, binary: &Path, shim: Option<&Shim>) -> Result<Server> {
        match side {
            Side::Postgres => start_postgres(data, shim),
            Side::Cambium => start_cambium(data, binary, shim),
        }
    }

    /// Bytes the server and its children have caused to be written to disk since they started (`write_bytes` of /proc/PID/io).
    pub fn written(&self) -> u64 {
        family(self.process.id()).into_iter().map(written_by).sum()
    }

    /// Seconds of CPU the server and its children have used.
    pub fn cpu_seconds(&self) -> f64 {
        family(self.process.id()).into_iter().map(cpu_of).sum()
    }

    /// Runs SQL text with psql and returns what it prints, unaligned and without headers.
    ///
    /// # Errors
    /// At the first error of the text.
    pub fn sql(&self, text: &str) -> Result<String> {
        let output = Command::new(postgres_program("psql")?)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
            .args([
                "-p",
                &self.port.to_string(),
                "-U",
                self.user,
                "-d",
                self.user,
                "-c",
                text,
            ])
            .output()?;
        if !output.status.success() {
            bail!("{:?}: {text}: {}", self.side, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let signal = match self.side {
            // A fast shutdown: sessions are ended, the data is written.
            Side::Postgres => libc::SIGINT,
            Side::Cambium => libc::SIGTERM,
        };
        // SAFETY: a signal to our own child, which has not been waited for.
        unsafe { libc::kill(self.process.id() as i32, signal) };
        let _ = self.process.wait();
    }
}

/// The path of one of PostgreSQL's programs.
///
/// # Errors
/// If PostgreSQL 15 is not installed.
pub fn postgres_program(name: &str) -> Result<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/lib/postgresql/15/bin")];
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
        .with_context(|| format!("{name} of PostgreSQL 15 is not installed"))
}

fn start_postgres(data: &Path, shim: Option<&Shim>) -> Result<Server> {
    let directory = data.join("postgres");
    std::fs::create_dir_all(&directory)?;
    // PostgreSQL refuses to run as root; the account of the Debian package is used then.
    // SAFETY: reads the process's own identity.
    let account = if unsafe { libc::geteuid() } == 0 {
        Some(account("postgres")?)
    } else {
        None
    };
    if let Some((user, group)) = account {
        chown(&directory, Some(user), Some(group))?;
    }
    let as_account = |mut command: Command| {
        if let Some((user, group)) = account {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
        command
    };
    let mut initdb = as_account(Command::new(postgres_program("initdb")?));
    let made = initdb
        .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
        .arg(&directory)
        .output()?;
    if !made.status.success() {
        bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
    }
    let port = free_port()?;
    let mut command = as_account(Command::new(postgres_program("postgres")?));
    command
        .arg("-D")
        .arg(&directory)
        .args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(data.join("postgres.log"))?);
    slow_down(&mut command, shim);
    let server = Server {
        side: Side::Postgres,
        port,
        user: "postgres",
        process: command.spawn()?,
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.sql("SELECT 1").is_err() {
        if Instant::now() > deadline {
            bail!(
                "PostgreSQL did not become ready: see {}",
                data.join("postgres.log").display()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

fn start_cambium(data: &Path, binary: &Path, shim: Option<&Shim>) -> Result<Server> {
    let mut command = Command::new(binary);
    command
        .args(["start", "--sql", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
        .arg(data.join("cambium"))
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(data.join("cambium.log"))?);
    slow_down(&mut command, shim);
    let mut process = command
        .spawn()
        .with_context(|| format!("{} does not start: build with --release first", binary.display()))?;
    let output = process.stdout.take().context("standard output is piped")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        let port = line
            .split(" -p ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        if let Some(port) = port {
            return Ok(Server {
                side: Side::Cambium,
                port: port.parse()?,
                user: "cambium",
                process,
            });
        }
    }
    bail!(
        "Cambium did not become ready: see {}",
        data.join("cambium.log").display()
    )
}

fn slow_down(command: &mut Command, shim: Option<&Shim>) {
    if let Some(shim) = shim {
        command
            .env("LD_PRELOAD", &shim.library)
            .env("FLUSH_DELAY_US", shim.microseconds.to_string());
    }
}

/// User and group of an account of this machine.
fn account(name: &str) -> Result<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let fields = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name) && fields.len() > 3)
        .with_context(|| format!("there is no account {name}"))?;
    Ok((fields[2].parse()?, fields[3].parse()?))
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A process and its children, which is as deep as PostgreSQL's tree goes.
fn family(process: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(process).chain(children).collect()
}

fn written_by(process: u32) -> u64 {
    let counters = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    counters
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
        .unwrap_or(0)
}

/// User and system time, those of finished children included.
fn cpu_of(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program may hold spaces; the numbers follow its closing parenthesis.
    let numbers = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = numbers
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|number| number.parse::<u64>().ok())
        .sum();
    // SAFETY: asks for a constant of the system.
    ticks as f64 / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}
