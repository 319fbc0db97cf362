//! A process killed while it commits: what it was told is applied must be there afterwards, in its place.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Alone, options, set, value};
use crate::GroupsOptions;

/// Tells the child process where to work.
const DIRECTORY: &str = "CAMBIUM_CRASH_TEST_DIRECTORY";
/// Answers the child has got before it is killed, in each of its lives.
const ANSWERS: [usize; 3] = [150, 400, 90];

fn open(path: &Path) -> Alone {
    // Snapshots and purges happen many times in a life.
    Alone::open_with(
        path,
        GroupsOptions {
            snapshot_bytes: 20_000,
            ..options(1)
        },
    )
}

/// The child: goes on counting where its group says it stopped, in two groups, and prints each answer, until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the next test kills"]
async fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let node = open(&PathBuf::from(directory));
    let counting = [1, 2].map(|id| {
        let node = &node;
        async move {
            let (group, _) = node.group(id).await;
            let mut next = value(&group, "next").map_or(0, |text| text.parse::<u64>().unwrap());
            loop {
                let written = [group.propose(set(next, next)), group.propose(set("next", next + 1))];
                for proposal in written {
                    proposal.await.unwrap();
                }
                println!("\nanswered {id} {next}");
                next += 1;
            }
        }
    });
    futures::future::join_all(counting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_what_a_killed_process_was_told_is_there_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let mut answered = [0u64; 3];
    for answers in ANSWERS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "tests::crash::child", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut seen = 0;
        for line in lines {
            let mut words = line.split_whitespace();
            if let (Some("answered"), Some(group), Some(number)) = (words.next(), words.next(), words.next()) {
                answered[group.parse::<usize>().unwrap()] = number.parse().unwrap();
                seen += 1;
            }
            // Whatever was printed before it died was answered.
            if seen == answers {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= answers, "the child died by itself after {seen} answers");
    }
    let node = open(directory.path());
    for id in [1, 2] {
        let (group, _) = node.group(id).await;
        let next: u64 = value(&group, "next").unwrap().parse().unwrap();
        let last = answered[id as usize];
        assert!(
            next == last + 1 || next == last + 2,
            "group {id}: answered {last}, next is {next}"
        );
        for number in 0..next {
            assert_eq!(
                value(&group, &number.to_string()),
                Some(number.to_string()),
                "group {id}"
            );
        }
    }
}
