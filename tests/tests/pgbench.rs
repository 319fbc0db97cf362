//! pgbench, unchanged: its initialisation in both ways, its three scripts in all protocols.

use std::process::Command;

use anyhow::{Result, ensure};
use tests::Server;

fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &errors)
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench_initialises_and_runs_its_scripts() -> Result<()> {
    if Command::new("pgbench").arg("--version").output().is_err() {
        eprintln!("!! PGBENCH IS NOT INSTALLED: ITS TEST IS NOT RUN (scripts/install tests)");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    run(server.command("pgbench").args(["-i", "-s", "1", "-q"]))?;
    // Rows made by the server, primary and foreign keys.
    let printed = run(server.command("pgbench").args(["-i", "-s", "1", "-I", "dtGvpf"]))?;
    ensure!(printed.contains("creating foreign keys"), "{printed}");

    let client = server.connect().await?;
    let mut transactions = 0;
    for script in ["tpcb-like", "simple-update", "select-only"] {
        for protocol in ["simple", "extended", "prepared"] {
            let arguments = ["-n", "-c", "4", "-t", "10", "-b", script, "-M", protocol];
            let printed = run(server.command("pgbench").args(arguments))?;
            ensure!(
                printed.contains("number of transactions actually processed: 40/40"),
                "{script}, {protocol}: {printed}"
            );
            transactions += if script == "select-only" { 0 } else { 40 };
        }
    }
    let row = client
        .query_one(
            "SELECT (SELECT count(*) FROM pgbench_history),
                    (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history),
                    (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(tbalance) FROM pgbench_tellers)",
            &[],
        )
        .await?;
    let found: (i64, bool, bool) = (row.get(0), row.get(1), row.get(2));
    ensure!(found == (transactions, true, true), "{found:?}");
    server.stop()
}
