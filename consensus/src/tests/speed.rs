//! What a commit costs; run by hand (`cargo test -p consensus speed -- --ignored --nocapture`).

use std::time::{Duration, Instant};

use super::{Alone, set};

fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn commits_per_second_and_cpu_per_commit() {
    for (group_count, clients) in [(1, 1), (1, 16), (8, 16), (8, 64)] {
        let directory = tempfile::tempdir().unwrap();
        let node = Alone::open(directory.path());
        let mut groups = Vec::new();
        for id in 0..group_count {
            groups.push(node.group(id).await.0);
        }
        let (before, cpu, started) = (node.engine.stats(), cpu_time(), Instant::now());
        let count = 300 * clients.min(16);
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let group = groups[client % groups.len()].clone();
                tokio::spawn(async move {
                    for number in 0..count / clients {
                        group.propose(set(client, number)).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let (after, took, cpu) = (node.engine.stats(), started.elapsed(), cpu_time() - cpu);
        let syncs = (after.syncs - before.syncs) as u32;
        println!(
            "{group_count} groups, {clients} clients: {count} commits, {:.0}/s, {syncs} syncs of {:?}, {:?} per commit round of a client, {:?} CPU per commit",
            count as f64 / took.as_secs_f64(),
            (after.sync_time - before.sync_time) / syncs.max(1),
            took * clients as u32 / count as u32,
            cpu / count as u32,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn cpu_of_idle_groups() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open_with(directory.path(), crate::GroupsOptions::default());
    for id in 0..9 {
        node.group(id).await;
    }
    let cpu = cpu_time();
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!("9 idle groups: {:?} CPU in 10 s", cpu_time() - cpu);
}
