//! Drivers and tools of other languages: programs in `tests/drivers` against a server of their own.
//!
//! `scripts/install tests` installs what they need. Where a registry could not be reached a program cannot run: the test
//! says so on standard error, in capitals, and passes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use tests::Server;

fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers").join(language)
}

/// Where `scripts/install` puts what it installs for one language.
fn installed(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || {
            Path::new(&std::env::var_os("HOME").unwrap_or_default())
                .join(".cache/cambium")
                .join(name)
        },
        PathBuf::from,
    )
}

/// Whether a command runs at all; if not, says that the test does not.
fn is_there(what: &str, command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = status.is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("!! {what} IS NOT INSTALLED: ITS TEST IS NOT RUN (scripts/install tests)");
    }
    is_there
}

/// Runs a driver's program and shows what it said if it fails.
fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

fn python_program(module: &str, program: &str) -> Result<()> {
    let python = installed("CAMBIUM_PYTHON", "python").join("bin/python");
    if !is_there(module, Command::new(&python).args(["-c", &format!("import {module}")])) {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    run(server.command(&python).arg(sources("python").join(program)))?;
    server.stop()
}

#[test]
fn psycopg() -> Result<()> {
    python_program("psycopg", "driver.py")
}

#[test]
fn sqlalchemy_and_django() -> Result<()> {
    python_program("psycopg, sqlalchemy, django", "tools.py")
}

#[test]
fn node_postgres() -> Result<()> {
    let modules = installed("CAMBIUM_NODE", "node").join("node_modules");
    let look = "require('pg'); require('pg-cursor'); require('pg-copy-streams')";
    if !is_there(
        "node-postgres",
        Command::new("node").env("NODE_PATH", &modules).args(["-e", look]),
    ) {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    run(server
        .command("node")
        .env("NODE_PATH", &modules)
        .arg(sources("node").join("driver.js")))?;
    server.stop()
}

#[test]
fn jdbc() -> Result<()> {
    let jar = std::env::var("CAMBIUM_JDBC").unwrap_or_else(|_| "/usr/share/java/postgresql.jar".into());
    let classes = tempfile::tempdir()?;
    let mut compile = Command::new("javac");
    compile
        .args(["-cp", &jar, "-d"])
        .arg(classes.path())
        .arg(sources("java").join("Driver.java"));
    if !is_there("a Java compiler", Command::new("javac").arg("-version")) || !Path::new(&jar).exists() {
        eprintln!("!! JDBC: {jar} OR A JAVA COMPILER IS MISSING: ITS TEST IS NOT RUN (scripts/install tests)");
        return Ok(());
    }
    run(&mut compile)?;
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let path = format!("{}:{jar}", classes.path().display());
    run(server.command("java").args(["-cp", &path, "Driver"]))?;
    server.stop()
}
