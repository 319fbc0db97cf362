//! Devices that are full, and devices that fail.
//!
//! The full one is a small tmpfs in a mount name space of its own, which needs root; the failing one is a library put before
//! the C library's, which needs a C compiler. Where they cannot be had the tests say loudly that they tested nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tests::{Server, skip};
use tokio_postgres::Client;

/// Size of the small device, and of the reserve on it.
const DEVICE_MIB: u64 = 400;
const RESERVE_MIB: &str = "96";
/// How long the server may take to notice that space has gone or come back.
const PATIENCE: Duration = Duration::from_secs(20);

/// A tmpfs that lives as long as a process in its name space.
struct Device {
    holder: Child,
    folder: PathBuf,
}

impl Device {
    /// `None` where it cannot be mounted.
    fn mount(folder: &Path) -> Result<Option<Device>> {
        std::fs::create_dir_all(folder)?;
        let script = format!("mount -t tmpfs -o size={DEVICE_MIB}m tmpfs \"$0\" && echo mounted && exec sleep 3600");
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut answer = String::new();
        let output = holder.stdout.take().context("standard output is piped")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut answer)?;
        let device = Device {
            holder,
            folder: folder.to_path_buf(),
        };
        Ok((answer.trim() == "mounted").then_some(device))
    }

    /// A command in the device's name space.
    fn enter(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--target", &self.holder.id().to_string(), "--"])
            .arg(program);
        command
    }

    /// The device as it is seen from here.
    fn outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.folder.strip_prefix("/").unwrap_or(&self.folder))
    }

    /// Takes space until only so much is left.
    fn fill(&self, left: u64) -> Result<()> {
        let mut ballast = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.outside().join("ballast"))?;
        let piece = vec![1; 64 << 10];
        loop {
            let free = self.free()?;
            if free <= left {
                return Ok(());
            }
            for _ in 0..(free - left).div_ceil(piece.len() as u64) {
                match ballast.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn free(&self) -> Result<u64> {
        let output = Command::new("stat")
            .args(["-f", "-c", "%a %S"])
            .arg(self.outside())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(blocks)), Some(Ok(size))) = (numbers.next(), numbers.next()) else {
            bail!("stat -f does not tell the free space: {text}");
        };
        Ok(blocks * size)
    }

    fn empty(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.outside().join("ballast"))?)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The SQLSTATE of an INSERT, empty if it succeeds.
async fn insert(client: &Client, id: &mut i32) -> Result<String> {
    *id += 1;
    let statement = format!("INSERT INTO t VALUES ({id}, repeat('x', 1000))");
    match client.batch_execute(&statement).await {
        Ok(()) => Ok(String::new()),
        Err(error) => {
            *id -= 1;
            let code = error.code().map(|code| code.code().to_owned());
            code.with_context(|| format!("the connection is lost: {error}"))
        }
    }
}

/// Inserts until the answer is the one that is waited for.
async fn until(client: &Client, id: &mut i32, wanted: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let code = insert(client, id).await?;
        if code == wanted {
            return Ok(());
        }
        if !matches!(code.as_str(), "" | "53100") || started.elapsed() > PATIENCE {
            bail!("INSERT gives '{code}' and not '{wanted}'");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn count(client: &Client) -> Result<i64> {
    Ok(client.query_one("SELECT count(*) FROM t", &[]).await?.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_recovers_by_itself() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let Some(device) = Device::mount(&directory.path().join("device"))? else {
        skip("a tmpfs of its own needs root (unshare --mount)");
        return Ok(());
    };
    let data = device.folder.join("data");
    let binary = tests::binary()?;
    let start = || Server::start_by(device.enter(&binary), &data, &["--free-space-reserve-mib", RESERVE_MIB]);
    let server = start()?;
    let client = server.connect().await?;
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, text text)")
        .await?;
    let mut id = 0;
    until(&client, &mut id, "").await?;

    // Below the reserve: writes are refused, reads go on, an open transaction loses its writes and nothing else.
    client.batch_execute("BEGIN; INSERT INTO t VALUES (-1, 'lost')").await?;
    device.fill(48 << 20)?;
    until(&server.connect().await?, &mut id, "53100").await?;
    let refused = client.batch_execute("COMMIT").await;
    let code = refused
        .err()
        .and_then(|error| error.code().map(|code| code.code().to_owned()));
    assert_eq!(code.as_deref(), Some("53100"), "COMMIT below the reserve");
    assert_eq!(count(&client).await?, i64::from(id));
    client
        .batch_execute("SELECT sum(length(text)) FROM t; SHOW server_version")
        .await?;

    // Space returns, and goes altogether: what is still written behind the clients' backs waits.
    device.empty()?;
    until(&client, &mut id, "").await?;
    device.fill(0)?;
    until(&client, &mut id, "53100").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(count(&client).await?, i64::from(id));
    device.empty()?;
    until(&client, &mut id, "").await?;

    // A crash on a device without space: everything acknowledged is there when it has space again.
    device.fill(0)?;
    until(&client, &mut id, "53100").await?;
    server.kill()?;
    device.empty()?;
    let server = start()?;
    let client = server.connect().await?;
    assert_eq!(count(&client).await?, i64::from(id));
    until(&client, &mut id, "").await?;
    assert_eq!(count(&client).await?, i64::from(id));
    server.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_device_stops_the_node() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let Some(library) = tests::shim("eio", directory.path()) else {
        skip("a failing device needs a C compiler (cc)");
        return Ok(());
    };
    let (data, flag) = (directory.path().join("data"), directory.path().join("broken"));
    let mut command = Command::new(tests::binary()?);
    command.env("LD_PRELOAD", &library).env("CAMBIUM_EIO", &flag);
    let server = Server::start_by(command, &data, &[])?;
    let client = server.connect().await?;
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, text text)")
        .await?;
    let mut id = 0;
    for _ in 0..20 {
        assert_eq!(insert(&client, &mut id).await?, "");
    }
    std::fs::write(&flag, "")?;
    // The client is told why, unless the process was faster.
    if let Ok(code) = insert(&client, &mut id).await {
        // Of the commit that was on its way nobody can know whether the log has it.
        assert!(matches!(code.as_str(), "58030" | "40003"), "{code}");
    }
    assert!(!server.wait()?, "the node ends with an error");
    std::fs::remove_file(&flag)?;

    let server = Server::start(&data)?;
    let found = count(&server.connect().await?).await?;
    // The insert that was not acknowledged may have reached the log.
    assert!(
        found == i64::from(id) || found == i64::from(id) + 1,
        "{found} rows of {id}"
    );
    server.stop()?;
    tests::check(&data)?;
    Ok(())
}
