//! What the crate promises, each promise by its name; and the machine and cluster the tests run on.

mod appends;
mod apply;
mod cluster;
mod crash;
mod full_device;
mod network;
mod restart;
mod rpc;
mod services;
mod single;
mod speed;
mod suite;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use storage::engine::{Batch, Family};
use storage::{Engine, EngineError, EngineOptions};

use crate::{
    CommandEntry, Group, GroupId, Groups, GroupsOptions, Leadership, LocalTransport, Machine, Members, NodeId, Role,
};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A machine that counts: a command `key=value` sets a key, and the reply is the number of commands applied so far.
#[derive(Default)]
pub(crate) struct Counting {
    applied: AtomicU64,
    /// Indexes applied since it was created, in order.
    seen: Mutex<Vec<u64>>,
}

impl Machine for Counting {
    fn load(&self, family: &Family) -> Result<(), EngineError> {
        let count = family
            .newest()
            .get(b"count")?
            .map_or(0, |bytes| u64::from_be_bytes(bytes[..8].try_into().unwrap()));
        self.applied.store(count, Ordering::SeqCst);
        Ok(())
    }

    fn apply(&self, family: &Family, entry: &CommandEntry, batch: &mut Batch) -> Result<Bytes, EngineError> {
        let count = self.applied.load(Ordering::SeqCst) + 1;
        batch.put(family, b"count", &count.to_be_bytes());
        let text = std::str::from_utf8(&entry.command).unwrap();
        let (key, value) = text.split_once('=').unwrap();
        batch.put(family, format!("k{key}").as_bytes(), value.as_bytes());
        Ok(Bytes::from(count.to_string()))
    }

    fn applied(&self, entry: &CommandEntry) {
        self.applied.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().push(entry.index);
    }
}

pub(crate) fn value(group: &Group, key: &str) -> Option<String> {
    let view = group.family().newest();
    let value = view.get(format!("k{key}").as_bytes()).unwrap();
    value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

pub(crate) fn set(key: impl std::fmt::Display, value: impl std::fmt::Display) -> Bytes {
    Bytes::from(format!("{key}={value}"))
}

/// Opens a directory, as soon as the last task of a node that had it open has ended (a snapshot may be on its way).
pub(crate) fn engine(path: &Path) -> Arc<Engine> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let options = EngineOptions {
            block_cache_bytes: 8 << 20,
            write_buffers_bytes: 32 << 20,
            ..EngineOptions::default()
        };
        match Engine::open(path, options) {
            Err(EngineError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            result => return result.unwrap(),
        }
    }
}

pub(crate) fn options(node: NodeId) -> GroupsOptions {
    GroupsOptions {
        node,
        ..GroupsOptions::default()
    }
}

/// A node that is alone, with its groups.
pub(crate) struct Alone {
    pub(crate) groups: Arc<Groups>,
    pub(crate) engine: Arc<Engine>,
}

impl Alone {
    pub(crate) fn open(path: &Path) -> Alone {
        Self::open_with(path, options(1))
    }

    pub(crate) fn open_with(path: &Path, options: GroupsOptions) -> Alone {
        let engine = engine(path);
        let groups = Groups::open(engine.clone(), LocalTransport::new().end(1), options).unwrap();
        Alone { groups, engine }
    }

    pub(crate) async fn group(&self, id: u64) -> (Arc<Group>, Arc<Counting>) {
        let machine = Arc::new(Counting::default());
        let group = self
            .groups
            .open_group(GroupId(id), machine.clone(), Members::Alone)
            .await
            .unwrap();
        serving(&group).await;
        (group, machine)
    }

    pub(crate) async fn close(self) {
        self.groups.shutdown(false).await.unwrap();
    }
}

/// Waits until a group is led and served here.
pub(crate) async fn serving(group: &Group) -> Leadership {
    wait_for(group, |now| now.role == Role::Serving).await
}

pub(crate) async fn wait_for(group: &Group, condition: impl FnMut(&Leadership) -> bool) -> Leadership {
    let mut leadership = group.leadership();
    let found = tokio::time::timeout(PATIENCE, leadership.wait_for(condition)).await;
    *found.expect("in time").expect("the group runs")
}

/// The files of a directory as they are now: what a crash would leave, if the device has all that was written.
pub(crate) fn copy_directory(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
