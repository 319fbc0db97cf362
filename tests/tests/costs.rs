//! What a change costs: one leaf of a document of a megabyte, 1,000 times, in bytes added to files.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use tests::Server;

const UPDATES: u64 = 1000;
/// The bound of the first issue: bytes added to every file under the data directory, flushes and compaction included.
const BYTES_PER_UPDATE_MAX: u64 = 10_000;

/// Sizes of all files by inode, at their largest: files that go away count too.
#[derive(Default)]
struct Sizes(HashMap<u64, u64>);

impl Sizes {
    fn look(&mut self, folder: &Path) {
        // Files come and go while they are looked at.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                self.look(&entry.path());
            } else {
                let size = self.0.entry(metadata.ino()).or_default();
                *size = (*size).max(metadata.len());
            }
        }
    }

    /// Bytes added since `before`.
    fn added(&self, before: &Sizes) -> u64 {
        let of_file = |(inode, size): (&u64, &u64)| size.saturating_sub(before.0.get(inode).copied().unwrap_or(0));
        self.0.iter().map(of_file).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_of_a_megabyte_costs_less_than_ten_kilobytes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let server = Server::start(&data)?;
    let client = server.connect().await?;
    client
        .batch_execute("CREATE TABLE large (id int PRIMARY KEY, doc jsonb)")
        .await?;
    // Digests do not compress, as text would.
    client
        .batch_execute(
            "INSERT INTO large SELECT 1, jsonb_object_agg('member' || g, jsonb_build_object('count', 0, 'text',
             md5(g::text) || md5((g + 1)::text) || md5((g + 2)::text))) FROM generate_series(1, 8000) AS g",
        )
        .await?;
    let size: i32 = client
        .query_one("SELECT pg_column_size(doc) FROM large", &[])
        .await?
        .get(0);
    assert!(size > 1_000_000, "the document has only {size} bytes");
    // What loading has left in memory is written by this start, not by the updates.
    drop(client);
    server.stop()?;

    let server = Server::start(&data)?;
    let client = server.connect().await?;
    client
        .batch_execute("UPDATE large SET doc['member1']['count'] = '0' WHERE id = 1")
        .await?;
    let (mut before, mut after) = (Sizes::default(), Sizes::default());
    before.look(&data);
    let written = server.measure("io", "wchar")?;
    let done = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (data, done) = (data.clone(), done.clone());
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                after.look(&data);
                std::thread::sleep(Duration::from_millis(20));
            }
            after.look(&data);
            after
        })
    };
    for update in 1..=UPDATES {
        let member = update * 7 % 8000 + 1;
        let statement = format!("UPDATE large SET doc['member{member}']['count'] = '{update}' WHERE id = 1");
        client.batch_execute(&statement).await?;
    }
    let written = server.measure("io", "wchar")? - written;
    drop(client);
    // Writes to files what is still in memory.
    server.stop()?;
    done.store(true, Ordering::Relaxed);
    let after = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
    let added = after.added(&before);
    println!(
        "{} bytes a change in files, flushes included; {} bytes a change in write calls before the flush",
        added / UPDATES,
        written / UPDATES
    );
    assert!(added / UPDATES < BYTES_PER_UPDATE_MAX);
    assert!(written / UPDATES < BYTES_PER_UPDATE_MAX);

    let server = Server::start(&data)?;
    let client = server.connect().await?;
    let changed = "SELECT count(*) FROM large, jsonb_each(doc) AS m WHERE m.value->>'count' <> '0'";
    let count: i64 = client.query_one(changed, &[]).await?.get(0);
    assert_eq!(count as u64, UPDATES);
    server.stop()
}
