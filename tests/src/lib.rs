//! End-to-end tests of the real binary: a server process per test, on a free port and a data directory of its own.

pub mod checkers;
pub mod fuzz;
pub mod interleaving;
pub mod postgres;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use tokio_postgres::{Client, NoTls};

/// Says loudly that something was not tested, and why.
pub fn skip(why: &str) {
    println!("!! NOT TESTED: {why}");
    eprintln!("!! NOT TESTED: {why}");
}

/// Compiles `shims/NAME.c` into a library for LD_PRELOAD in a folder; `None` where there is no C compiler.
pub fn shim(name: &str, folder: &Path) -> Option<PathBuf> {
    let library = folder.join(format!("{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("shims/{name}.c"));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    compiled.is_ok_and(|status| status.success()).then_some(library)
}

/// A running server; killed when dropped.
pub struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts the binary that was built beside this test, on a data directory, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not become ready; its log is in the message.
    pub fn start(data: &Path) -> Result<Server> {
        Self::start_with(data, &[])
    }

    /// As [`start`](Self::start), with more options of `cambium start`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(data: &Path, options: &[&str]) -> Result<Server> {
        Self::start_by(Command::new(binary()?), data, options)
    }

    /// As [`start_with`](Self::start_with), by a command that ends in the binary: another environment, another name space.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_by(mut command: Command, data: &Path, options: &[&str]) -> Result<Server> {
        let log = data.with_extension("log");
        let mut process = command
            .args(["start", "--sql", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(std::fs::OpenOptions::new().create(true).append(true).open(&log)?)
            .spawn()?;
        let output = process.stdout.take().context("standard output is piped")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some(port) = line
                .split(" -p ")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next())
            {
                return Ok(Server {
                    process,
                    port: port.parse()?,
                });
            }
        }
        let status = process.wait()?;
        bail!(
            "the server ended with {status}: {}",
            std::fs::read_to_string(&log).unwrap_or_default()
        )
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A command of a libpq program or driver: its environment says where the server is.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "cambium")
            .env("PGDATABASE", "cambium")
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGTZ", "UTC")
            .env_remove("PGOPTIONS")
            .env_remove("PGPASSWORD");
        command
    }

    /// Connects as the superuser.
    ///
    /// # Errors
    /// What connecting reports.
    pub async fn connect(&self) -> Result<Client> {
        let parameters = format!("host=127.0.0.1 port={} user=cambium dbname=cambium", self.port);
        let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await?;
        // An error of the connection reaches the statement that waits for its answer.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Number of the server's process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A line of `/proc/PID/FILE` of the server, as a number of bytes (`kB` is a unit there).
    ///
    /// # Errors
    /// If there is no such line.
    pub fn measure(&self, file: &str, line: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid()))?;
        let found = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        let found = found.with_context(|| format!("{file} has no line {line}"))?;
        let number: u64 = found.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(if found.ends_with("kB") { number << 10 } else { number })
    }

    /// Waits until the process has ended by itself; tells whether that was without an error.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn wait(mut self) -> Result<bool> {
        Ok(self.process.wait()?.success())
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Asks the process to stop, and waits for it.
    ///
    /// # Errors
    /// If it does not end with status 0.
    pub fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.process.id())?;
        // SAFETY: sends a signal to our own child, which has not been waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

/// Runs `cambium check` on a data directory that no server uses.
///
/// # Errors
/// With what it found.
pub fn check(data: &Path) -> Result<String> {
    let output = Command::new(binary()?).args(["check", "--data"]).arg(data).output()?;
    if !output.status.success() {
        bail!("cambium check: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The `cambium` binary of this build: tests run from `target/PROFILE/deps`.
///
/// # Errors
/// If it was not built.
pub fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test
        .parent()
        .and_then(Path::parent)
        .context("a test runs in target/PROFILE/deps")?;
    let binary = profile.join("cambium");
    if !binary.exists() {
        bail!(
            "{} is missing: build the workspace first (`make test` does)",
            binary.display()
        );
    }
    Ok(binary)
}
