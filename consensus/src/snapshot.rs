//! Snapshots: a RocksDB snapshot as the handle, files when a follower needs them, a new family when they arrive (C5).
//!
//! ```text
//!   leader: view of the family ──export──► files ──chunks──► follower: files ──ingest──► staged family ──switch──► current
//! ```
//!
//! Building one costs a flush and copies nothing. The flush is the point (**C2**): after it the family holds on the device
//! what the log entries up to the snapshot did, and only then may openraft purge them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::storage::{RaftSnapshotBuilder, Snapshot};
use storage::engine::{Family, View};
use storage::{Engine, EngineError};

use crate::error::to_io;
use crate::types::{CommittedLeaderId, GroupId, NodeId, SnapshotMeta, TypeConfig};

/// Bytes of keys and values per file of an exported snapshot.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// How long a snapshot waits before it tries a full device again.
const FULL_DEVICE_RETRY: Duration = Duration::from_millis(500);

/// A snapshot's data.
pub enum SnapshotData {
    /// A view of a family of this process.
    Here(View),
    /// Files received from the leader.
    Received(SnapshotFiles),
}

/// Files of a snapshot in a directory of their own, which is removed with them.
pub struct SnapshotFiles {
    directory: PathBuf,
    /// In key order.
    pub files: Vec<PathBuf>,
}

impl Drop for SnapshotFiles {
    fn drop(&mut self) {
        // What is left is removed when the data directory is opened.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl SnapshotFiles {
    /// A new directory without files.
    pub(crate) fn create(engine: &Engine, group: GroupId) -> Result<SnapshotFiles, EngineError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = engine.tmp().join(format!("snapshot-{group}-{number}"));
        std::fs::create_dir_all(&directory)
            .map_err(|error| EngineError::Io(format!("{}: {error}", directory.display())))?;
        Ok(SnapshotFiles {
            directory,
            files: Vec::new(),
        })
    }

    /// Path of the next file, which is the caller's to write.
    pub(crate) fn push(&mut self) -> PathBuf {
        let path = self.directory.join(format!("{:06}.sst", self.files.len()));
        self.files.push(path.clone());
        path
    }

    /// Writes a view into files.
    pub(crate) fn export(engine: &Engine, group: GroupId, view: &View) -> Result<SnapshotFiles, EngineError> {
        let mut files = SnapshotFiles::create(engine, group)?;
        files.files = engine.export(view, &files.directory, FILE_BYTES_MAX)?;
        Ok(files)
    }
}

impl SnapshotData {
    /// Fills a new family and makes it current. A full device is waited for.
    pub(crate) fn install(self, engine: &Engine, group: GroupId) -> Result<Family, EngineError> {
        let received = match self {
            SnapshotData::Received(files) => files,
            SnapshotData::Here(view) => patiently(group, || SnapshotFiles::export(engine, group, &view))?,
        };
        patiently(group, || {
            let staged = engine.stage_family(group.0)?;
            engine.ingest(&staged, received.files.clone())?;
            engine.switch_family(&staged)?;
            Ok(staged)
        })
    }
}

/// Tries again while the device is full: an error here would stop the group, and lose nothing less.
fn patiently<T>(group: GroupId, mut attempt: impl FnMut() -> Result<T, EngineError>) -> Result<T, EngineError> {
    loop {
        match attempt() {
            Err(error) if error.is_retryable() => {
                tracing::error!(%group, %error, "a snapshot waits for space on the device");
                std::thread::sleep(FULL_DEVICE_RETRY);
            }
            result => return result,
        }
    }
}

/// Builds a snapshot of the state at its creation.
pub struct SnapshotBuilder {
    engine: Arc<Engine>,
    meta: SnapshotMeta,
    view: View,
}

impl SnapshotBuilder {
    pub(crate) fn new(engine: Arc<Engine>, meta: SnapshotMeta, view: View) -> Self {
        Self { engine, meta, view }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(
        &mut self,
    ) -> Result<Snapshot<CommittedLeaderId, NodeId, openraft::EmptyNode, SnapshotData>, io::Error> {
        let (engine, family) = (self.engine.clone(), self.view.family().clone());
        let group = GroupId(family.shard().map_or(0, |(shard, _)| shard));
        // C2: before openraft learns of the snapshot, and purges.
        let flushed = tokio::task::spawn_blocking(move || patiently(group, || engine.flush(&family))).await;
        flushed.map_err(io::Error::other)?.map_err(to_io)?;
        Ok(Snapshot {
            meta: self.meta.clone(),
            snapshot: SnapshotData::Here(self.view.clone()),
        })
    }
}
