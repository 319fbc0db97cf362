//! Runs `.slt` files against a PostgreSQL port, each in a database of its own.

mod connection;
mod record;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use clap::Parser;
use sqllogictest::{AsyncDB, Runner};

use crate::connection::{Connection, Server};

/// Options of the runner.
#[derive(Parser)]
struct Options {
    /// Host of the server.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port of the server.
    #[arg(long, default_value_t = 5432)]
    port: u16,
    /// Role to connect as.
    #[arg(long, default_value = "cambium")]
    user: String,
    /// Database to connect to first.
    #[arg(long, default_value = "cambium")]
    db: String,
    /// Files at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Write the server's answers into the files instead of checking them: for a PostgreSQL 15.
    #[arg(long)]
    record: bool,
    /// Files, or folders that hold them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let mut files = Vec::new();
    for path in &options.paths {
        collect(path, &mut files)?;
    }
    files.sort();
    let server = Arc::new(Server {
        host: options.host,
        port: options.port,
        user: options.user,
        database: options.db,
    });
    let next = Arc::new(AtomicUsize::new(0));
    let files = Arc::new(files);
    let is_recording = options.record;
    let mut workers = Vec::new();
    for _ in 0..options.jobs.max(1) {
        let (server, files, next) = (server.clone(), files.clone(), next.clone());
        workers.push(tokio::spawn(async move {
            let mut failed = 0;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(index) else { return failed };
                if let Err(error) = run_file(&server, file, index, is_recording).await {
                    println!("FAILED {}\n{error:#}\n", file.display());
                    failed += 1;
                }
            }
        }));
    }
    let mut failed = 0;
    for worker in workers {
        failed += worker.await?;
    }
    println!("{} passed, {failed} failed", files.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
            collect(&entry?.path(), files)?;
        }
    } else if path.extension().is_some_and(|extension| extension == "slt") || !path.exists() {
        files.push(path.to_path_buf());
    }
    Ok(())
}

/// Runs one file in a fresh database, which is dropped afterwards.
async fn run_file(server: &Arc<Server>, file: &Path, index: usize, is_recording: bool) -> Result<()> {
    let database = format!("slt_{}_{index}", std::process::id());
    let admin = server.connect(&server.database).await?;
    admin.execute(&format!("CREATE DATABASE {database}")).await?;
    if is_recording {
        let mut connection = server.connect(&database).await?;
        let result = record::record(&mut connection, file).await;
        connection.shutdown().await;
        drop(connection);
        admin.execute(&format!("DROP DATABASE {database} WITH (FORCE)")).await?;
        return result;
    }
    let result = {
        let (server, database) = (server.clone(), database.clone());
        let mut runner = Runner::new(move || {
            let (server, database) = (server.clone(), database.clone());
            async move { Connection::open(&server, &database).await }
        });
        runner.add_label("postgresql");
        let result = runner.run_file_async(file).await;
        runner.shutdown_async().await;
        result
    };
    admin.execute(&format!("DROP DATABASE {database}")).await?;
    result.map_err(|error| anyhow::anyhow!("{}", error.display(false)))
}
