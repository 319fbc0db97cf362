//! psql's descriptions of a schema, byte for byte as PostgreSQL 15 gives them.
//!
//! `tests/psql/describe.sql` runs over `tests/psql/schema.sql`; `describe.out` was recorded with psql 15 from PostgreSQL 15
//! (role `cambium`, database `cambium`, collation C). Record it again after a change:
//! `psql -X -q -f schema.sql && psql -X -f describe.sql > describe.out 2>&1`.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use tests::Server;

#[test]
fn descriptions_are_those_of_postgresql() -> Result<()> {
    let version = Command::new("psql").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.as_ref().is_ok_and(|version| version.contains(" 15.")) {
        eprintln!("!! PSQL 15 IS NOT INSTALLED ({version:?}): ITS TEST IS NOT RUN (scripts/install tests)");
        return Ok(());
    }
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("psql");
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let made = server
        .command("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(files.join("schema.sql"))
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let script = format!("cd '{}' && exec psql -X -f describe.sql 2>&1", files.display());
    let output = server.command("sh").args(["-c", &script]).output()?;
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = std::fs::read_to_string(files.join("describe.out"))?;
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        ensure!(
            found == expected,
            "line {}:\n found {found}\n wants {expected}",
            number + 1
        );
    }
    ensure!(
        found.lines().count() == expected.lines().count(),
        "more or fewer lines:\n{found}"
    );
    server.stop()
}
