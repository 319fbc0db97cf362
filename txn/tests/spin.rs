//! Atomic commit as communicating processes (`docs/verification/commit.pml`), checked by SPIN: `spin -a`, a C compiler, and
//! the checker they make. Where SPIN is not installed (`scripts/install tests` does it) this says so loudly and checks nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verification/commit.pml");

/// What the checker says: errors and stored states. `None` without SPIN.
fn check(definitions: &[&str], compiler: &[&str], options: &[&str]) -> Option<(u32, f64)> {
    if Command::new("spin").arg("-V").output().is_err() {
        eprintln!("!! SPIN IS NOT INSTALLED: THE PROMELA MODEL IS NOT CHECKED (scripts/install tests)");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    run(
        folder.path(),
        Command::new("spin").args(definitions).arg("-a").arg(MODEL),
    );
    let checker: PathBuf = folder.path().join("pan");
    run(
        folder.path(),
        Command::new("cc")
            .args(compiler)
            .args(["-O2", "-w", "-o", "pan", "pan.c"]),
    );
    let said = run(folder.path(), Command::new(checker).args(options));
    let number = |text: &str| text.rsplit(' ').next().and_then(|word| word.parse::<u32>().ok());
    let errors = said
        .lines()
        .find_map(|line| number(line.split_once("errors: ").map(|_| line)?));
    let states = said.lines().find_map(|line| {
        let (count, _) = line.split_once(" states, stored")?;
        count.trim().parse::<f64>().ok()
    });
    assert!(!said.contains("max search depth too small"), "{said}");
    println!("{definitions:?}: {errors:?} errors, {states:?} states");
    Some((errors.expect("a number of errors"), states.expect("a number of states")))
}

fn run(folder: &Path, command: &mut Command) -> String {
    let output = command.current_dir(folder).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn safety(fault: &str) -> Option<(u32, f64)> {
    check(&[fault], &["-DNOFAIR", "-DCOLLAPSE"], &["-a", "-m1000000"])
}

fn liveness(definitions: &[&str]) -> Option<(u32, f64)> {
    check(definitions, &["-DCOLLAPSE", "-DNFAIR=3"], &["-a", "-f", "-m1000000"])
}

#[test]
fn nobody_commits_what_another_aborts_and_nobody_lies() {
    if let Some((errors, states)) = safety("-DSAFETY") {
        assert_eq!(errors, 0);
        assert!(states > 10_000.0, "only {states} states");
    }
}

#[test]
fn everything_ends() {
    if let Some((errors, states)) = liveness(&["-DLIVENESS"]) {
        assert_eq!(errors, 0);
        assert!(states > 1_000.0, "only {states} states");
    }
}

#[test]
fn seeded_faults_are_found() {
    for fault in ["-DFAULT_IMPATIENT", "-DFAULT_LAST_WINS", "-DFAULT_FORGETFUL"] {
        if let Some((errors, _)) = safety(fault) {
            assert!(errors > 0, "{fault} is not found");
        }
    }
    if let Some((errors, _)) = liveness(&["-DLIVENESS", "-DFAULT_SILENT"]) {
        assert!(errors > 0, "voters that never ask are not found");
    }
}
