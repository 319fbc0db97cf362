//! The README's tour: its blocks run as they stand, in real psql sessions.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tests::Server;

/// Documents with what the tour asks for, where the real ones are not at hand.
const STAND_IN: &str = r#"{"cca3": "CHE", "name": {"common": "Switzerland"}, "region": "Europe", "area": 41284, "borders": ["FRA"], "capital": ["Bern"], "languages": {"fra": "French", "deu": "German"}, "currencies": {"CHF": {"symbol": "Fr."}}}
{"cca3": "FRA", "name": {"common": "France"}, "region": "Europe", "area": 551695, "borders": ["CHE"], "capital": ["Paris"], "languages": {"fra": "French"}, "currencies": {"EUR": {"symbol": "€"}}}
"#;

/// A psql process that is fed block by block.
struct Psql {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Psql {
    fn start(server: &Server, folder: &Path) -> Result<Psql> {
        let mut process = Command::new("psql")
            .args(["-X", "-A", "-t", "-h", "127.0.0.1", "-U", "cambium", "-d", "cambium"])
            .args(["-p", &server.port().to_string()])
            .current_dir(folder)
            .env("PGCLIENTENCODING", "UTF8")
            // A session that waits where the README says it does not fails, and does not hang.
            .env("PGOPTIONS", "-c statement_timeout=30s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("psql does not start")?;
        let input = process.stdin.take().context("input is piped")?;
        let output = BufReader::new(process.stdout.take().context("output is piped")?);
        Ok(Psql { process, input, output })
    }

    /// Runs a block and returns what it printed.
    fn run(&mut self, block: &str) -> Result<String> {
        writeln!(self.input, "{block}\n\\echo -- end of block --")?;
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            ensure!(self.output.read_line(&mut line)? > 0, "psql ended in\n{block}");
            if line.trim_end() == "-- end of block --" {
                return Ok(printed);
            }
            printed.push_str(&line);
        }
    }

    /// Ends the session and returns its error messages.
    fn finish(mut self) -> Result<String> {
        drop(self.input);
        let mut errors = String::new();
        self.process
            .stderr
            .take()
            .context("errors are piped")?
            .read_to_string(&mut errors)?;
        self.process.wait()?;
        Ok(errors)
    }
}

#[test]
fn the_commands_of_the_tour_run() -> Result<()> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let readme = std::fs::read_to_string(root.join("README.md"))?;
    let blocks: Vec<(bool, &str)> = readme
        .split("```sql")
        .skip(1)
        .filter_map(|rest| rest.split("```").next()?.split_once('\n'))
        .map(|(session, block)| (session.trim() == "second", block))
        .collect();
    ensure!(blocks.len() >= 6, "the README has lost its tour");

    let directory = tempfile::tempdir()?;
    let countries = root.join("../shared/data/countries.jsonl");
    if countries.exists() {
        std::fs::copy(countries, directory.path().join("countries.jsonl"))?;
    } else {
        eprintln!("!! countries.jsonl is not there: the tour runs on two made-up documents");
        std::fs::write(directory.path().join("countries.jsonl"), STAND_IN)?;
    }
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    let mut first = Psql::start(&server, directory.path())?;
    let mut second = Psql::start(&server, directory.path())?;
    let mut printed = Vec::new();
    for (is_second, block) in blocks {
        let session = if is_second { &mut second } else { &mut first };
        printed.push(session.run(block)?);
    }
    let errors = first.finish()?;
    ensure!(errors.is_empty(), "the first session reports\n{errors}");
    let errors = second.finish()?;
    ensure!(
        errors.lines().count() == 1 && errors.contains("canceling statement due to lock timeout"),
        "the second session should wait for the path once, and reports\n{errors}"
    );
    let expected = "[\"Bern\"]|41291\n";
    ensure!(
        printed.last().is_some_and(|last| last.ends_with(expected)),
        "{printed:?}"
    );
    ensure!(
        printed.iter().any(|block| block.contains("country/CHE/doc/capital/0|")),
        "pg_locks names the path: {printed:?}"
    );

    server.kill()?;
    let server = Server::start(&data)?;
    let mut again = Psql::start(&server, directory.path())?;
    let kept = again.run("SELECT doc['capital'], doc['area'] FROM country WHERE code = 'CHE';")?;
    ensure!(kept == expected, "after kill -9: {kept}");
    server.stop()
}
