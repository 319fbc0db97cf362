//! Machine: what a shard does with its committed commands; and the adapter that openraft drives.
//!
//! ```text
//!   committed entry ─► machine.apply(family, entry, batch) ─► batch + applied log id ─► write ─► machine.applied ─► reply
//! ```
//!
//! - **C1** The applied log id and the membership are in the same batch of the same family as what the command changed, one
//!   batch per entry: after a crash the family is the state after some entry, and says after which.
//! - **C2** Batches are written without WAL. What was not flushed is applied again from the log, in the same order, to the
//!   same effect.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftStateMachine, Snapshot};
use storage::engine::{Batch, Durability, Family};
use storage::{Engine, EngineError};
use tokio::sync::mpsc;

use crate::error::to_io;
use crate::leadership::Shared;
use crate::log::codec;
use crate::snapshot::{SnapshotBuilder, SnapshotData};
use crate::types::{Entry, GroupId, LogId, Payload, Reply, SnapshotMeta, StoredMembership, TypeConfig};

/// Keys of a shard's family that begin with this byte are ours; see `storage/FORMAT.md`.
pub const SPACE_CONSENSUS: u8 = 0;

const APPLIED_KEY: &[u8] = b"\0applied";
const MEMBERSHIP_KEY: &[u8] = b"\0membership";

/// How long applying waits before it tries a full device again.
const FULL_DEVICE_RETRY: Duration = Duration::from_millis(200);

/// A committed command on its way into the machine.
#[derive(Clone, Debug)]
pub struct CommandEntry {
    /// Term of the leader that proposed it.
    pub term: u64,
    /// Its place in the log.
    pub index: u64,
    /// What was proposed.
    pub command: Bytes,
}

/// The state machine of a group. The calls come one after another, never two at a time.
pub trait Machine: Send + Sync + 'static {
    /// The family to read from now on: when the group is opened, and after a snapshot was installed into a new family.
    /// What the machine keeps in memory is to be read back from it.
    ///
    /// # Errors
    /// It cannot be read: the replica stops.
    fn load(&self, family: &Family) -> Result<(), EngineError>;

    /// Applies a command: puts into `batch` what changes in `family`, and returns the reply to its proposer. Must depend
    /// on nothing but these, and leave keys of [`SPACE_CONSENSUS`] alone. A command that cannot be done is a reply.
    ///
    /// May be repeated for an entry after a crash, with the family as it was before the entry.
    ///
    /// # Errors
    /// This replica cannot apply what others may have applied: it stops.
    fn apply(&self, family: &Family, entry: &CommandEntry, batch: &mut Batch) -> Result<Bytes, EngineError>;

    /// The batch of the entry applied last was written: readers see it. The reply is sent next.
    fn applied(&self, entry: &CommandEntry) {
        let _ = entry;
    }
}

/// openraft's state machine around a [`Machine`].
pub struct StateMachine {
    group: GroupId,
    engine: Arc<Engine>,
    machine: Arc<dyn Machine>,
    shared: Arc<Shared>,
    family: Family,
    applied: Option<LogId>,
    membership: StoredMembership,
    /// Whether there is a snapshot: then openraft may have purged what is before it, and a follower needs one.
    has_snapshot: bool,
    _alive: Option<mpsc::Sender<()>>,
}

impl StateMachine {
    /// Loads a group's state machine from its current family. `alive` is dropped with it.
    ///
    /// # Errors
    /// The family cannot be read or decoded.
    pub fn open(
        group: GroupId,
        engine: Arc<Engine>,
        machine: Arc<dyn Machine>,
        shared: Arc<Shared>,
        alive: Option<mpsc::Sender<()>>,
    ) -> Result<StateMachine, EngineError> {
        let family = engine.family(group.0)?;
        let mut state = StateMachine {
            group,
            engine,
            machine,
            shared,
            family: family.clone(),
            applied: None,
            membership: StoredMembership::default(),
            has_snapshot: false,
            _alive: alive,
        };
        state.adopt(family)?;
        Ok(state)
    }

    /// Makes a family the one that is applied to and read from.
    fn adopt(&mut self, family: Family) -> Result<(), EngineError> {
        let view = family.newest();
        self.applied = view
            .get(APPLIED_KEY)?
            .map(|bytes| codec::decode_log_id(&bytes))
            .transpose()?;
        self.membership = match view.get(MEMBERSHIP_KEY)? {
            None => StoredMembership::default(),
            Some(bytes) => postcard::from_bytes(&bytes)
                .map_err(|_| EngineError::Corrupted(format!("membership of group {} cannot be decoded", self.group)))?,
        };
        self.machine.load(&family)?;
        self.shared.set_family(family.clone());
        self.shared.set_applied(self.applied);
        self.family = family;
        Ok(())
    }

    /// Applies one entry in one batch (C1).
    fn apply_entry(&mut self, entry: &Entry) -> Result<Bytes, EngineError> {
        match &entry.payload {
            Payload::Normal(command) => {
                let (term, index) = (entry.log_id.leader_id.term, entry.log_id.index);
                let command = CommandEntry {
                    term,
                    index,
                    command: command.0.clone(),
                };
                let reply = self.write(entry, |state, batch| {
                    state.machine.apply(&state.family, &command, batch)
                })?;
                self.machine.applied(&command);
                self.shared.set_applied(self.applied);
                Ok(reply)
            }
            Payload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership.clone());
                let encoded = postcard::to_stdvec(&stored)
                    .map_err(|error| EngineError::Corrupted(format!("membership cannot be encoded: {error}")))?;
                let reply = self.write(entry, |state, batch| {
                    batch.put(&state.family, MEMBERSHIP_KEY, &encoded);
                    Ok(Bytes::new())
                })?;
                self.membership = stored;
                self.shared.set_applied(self.applied);
                Ok(reply)
            }
            Payload::Blank => {
                let reply = self.write(entry, |_, _| Ok(Bytes::new()))?;
                self.shared.set_applied(self.applied);
                Ok(reply)
            }
        }
    }

    /// Writes the batch of an entry, with its id in it. A full device is waited for: to fail would stop the group, and
    /// what waits here is already promised.
    fn write(
        &mut self,
        entry: &Entry,
        fill: impl FnOnce(&Self, &mut Batch) -> Result<Bytes, EngineError>,
    ) -> Result<Bytes, EngineError> {
        let mut batch = Batch::with_capacity(codec::size_of_command(entry));
        let reply = fill(self, &mut batch)?;
        batch.put(&self.family, APPLIED_KEY, &codec::encode_log_id(&entry.log_id));
        // The machine is asked once: it may remember that it was.
        let data = batch.data();
        let mut result = self.engine.write(batch, Durability::Replayed);
        let mut is_reported = false;
        while let Err(error) = &result {
            if !error.is_retryable() {
                return Err(error.clone());
            }
            if !std::mem::replace(&mut is_reported, true) {
                tracing::error!(group = %self.group, %error, "applying waits for space on the device");
            }
            std::thread::sleep(FULL_DEVICE_RETRY);
            result = self.engine.write(Batch::from_data(&data), Durability::Replayed);
        }
        self.applied = Some(entry.log_id);
        Ok(reply)
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let reply = self.apply_entry(&entry).map_err(|error| {
                tracing::error!(group = %self.group, index = entry.log_id.index, %error, "applying failed");
                self.shared.fail(error.clone());
                to_io(error)
            })?;
            if let Some(responder) = responder {
                responder.send(Reply(reply));
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        // The view is taken here, between two entries; what is applied while it is built is not in it.
        self.has_snapshot = true;
        let view = self.family.at(&self.engine.snapshot());
        SnapshotBuilder::new(self.engine.clone(), self.meta(), view)
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> Result<(), io::Error> {
        let (engine, group) = (self.engine.clone(), self.group);
        let installed = tokio::task::spawn_blocking(move || snapshot.install(&engine, group)).await;
        let family = installed.map_err(io::Error::other)?.map_err(to_io)?;
        self.adopt(family).map_err(to_io)?;
        if self.applied != meta.last_log_id {
            return Err(to_io(EngineError::Corrupted(format!(
                "a snapshot of group {group} ends at {:?} and not at {:?}",
                self.applied, meta.last_log_id
            ))));
        }
        self.has_snapshot = true;
        Ok(())
    }

    /// The state as it is now: a snapshot that was kept since it was built would keep RocksDB from compacting what has been
    /// overwritten since, and the follower would need more log.
    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<crate::types::CommittedLeaderId, u64, openraft::EmptyNode, SnapshotData>>, io::Error>
    {
        if !self.has_snapshot {
            return Ok(None);
        }
        let view = self.family.at(&self.engine.snapshot());
        Ok(Some(Snapshot {
            meta: self.meta(),
            snapshot: SnapshotData::Here(view),
        }))
    }
}
