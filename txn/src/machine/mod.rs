//! Machine: applies a shard's commands to its column family.
//!
//! A pure function of (family, command): no clock, no settings, nothing of other shards (DESIGN C1). Everything it knows
//! is in the family, written in one batch with the applied index; what it keeps in memory is read back from there.
//!
//! ```text
//!   OnePhase            rows at ts                        Decide ABORT      decision record
//!   Prepare             prepared record                   Decide COMMIT     own rows at ts, decision record
//!   Finish COMMIT       prepared record → rows at ts      Finish ABORT      prepared record → tombstone
//!   Stage               staged record                     Unstage           staged records go
//! ```
//!
//! What a step of a commit does given what was logged before is decided by [`crate::commit::record`].
//!
//! Invariants
//!  C8  A commit planned for an older version of a table than the one recorded here is refused.
//!  T4  A command is refused unless its term is its entry's and its sequence follows the last applied one.

mod apply;
pub(crate) mod records;
pub(crate) mod staged;

#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use consensus::CommandEntry;
use parking_lot::{Mutex, RwLock};
use storage::EngineError;
use storage::engine::{Batch, Engine, Family};
use tokio::sync::watch;

use crate::TxnError;
use crate::command::{Body, Command, Epoch, Outcome, encode};
use crate::placement::{META, ShardId};
use crate::shard::{Facts, Shard};
use apply::{Apply, Remembered};
use records::{Position, Record};

/// Reply to a proposer whose command was applied.
pub(crate) const APPLIED: &[u8] = b"+";
/// Reply to a proposer whose command does not follow the last one (T4).
const OUT_OF_ORDER: &[u8] = b"-";

/// State machine of one shard.
pub(crate) struct Machine {
    id: ShardId,
    engine: Arc<Engine>,
    facts: Arc<Facts>,
    /// Moves when a registry row is committed; of the meta group only.
    registry: watch::Sender<u64>,
    position: Mutex<Position>,
    /// The entry applied last, until its batch is written.
    unwritten: Mutex<Option<Applied>>,
    /// The leader to be told what was applied.
    leader: RwLock<Weak<Shard>>,
}

/// What applying a command came to.
struct Applied {
    epoch: Epoch,
    sequence: u64,
    /// Of each body; `None` if the command was refused.
    outcomes: Option<Vec<Outcome>>,
    remembered: Option<Remembered>,
}

impl Machine {
    /// A machine of a family that is loaded when its group opens.
    pub(crate) fn new(id: ShardId, engine: Arc<Engine>, facts: Arc<Facts>, registry: &watch::Sender<u64>) -> Machine {
        let registry = if id == META {
            registry.clone()
        } else {
            watch::Sender::new(0)
        };
        let (position, unwritten) = (Mutex::default(), Mutex::default());
        Machine {
            id,
            engine,
            facts,
            registry,
            position,
            unwritten,
            leader: RwLock::new(Weak::new()),
        }
    }

    /// Tells the leader of this node what is applied from now on.
    pub(crate) fn lead(&self, shard: &Arc<Shard>) {
        *self.leader.write() = Arc::downgrade(shard);
    }

    /// Reads back what is kept in memory, when the family is opened or replaced.
    fn reload(&self, family: &Family) -> Result<(), TxnError> {
        let view = family.newest();
        *self.position.lock() = records::get(&view, &records::single(Record::Position))?.unwrap_or_default();
        for (rest, _) in records::all(&view, Record::Clear)? {
            let (Some(id), Some(timestamp)) = (rest.first_chunk::<4>(), rest.last_chunk::<8>()) else {
                return Err(TxnError::Corrupted(
                    "the record of an emptied table has a short key".into(),
                ));
            };
            self.facts
                .clears
                .add(u32::from_be_bytes(*id), u64::from_be_bytes(*timestamp));
        }
        for (rest, version) in records::all(&view, Record::TableVersion)? {
            let (Ok(table), Ok(version)) = (<[u8; 4]>::try_from(&*rest), <[u8; 8]>::try_from(&*version)) else {
                return Err(TxnError::Corrupted("the record of a table's version is damaged".into()));
            };
            let mut versions = self.facts.table_versions.write();
            versions.insert(u32::from_be_bytes(table), u64::from_be_bytes(version));
        }
        self.facts
            .safe_point
            .store(records::number(&view, Record::SafePoint)?, Ordering::Release);
        self.facts
            .horizon_ms
            .store(records::number(&view, Record::Horizon)?, Ordering::Release);
        self.registry.send_replace(records::number(&view, Record::Registry)?);
        Ok(())
    }

    /// Applies one command of an entry of this term into a batch.
    fn apply_command(
        &self,
        family: &Family,
        batch: &mut Batch,
        term: u64,
        command: Command,
    ) -> Result<Applied, TxnError> {
        let Command {
            epoch,
            sequence,
            bodies,
        } = command;
        let mut position = self.position.lock();
        let follows = epoch.term == term && position.is_followed_by(epoch, sequence);
        if !follows || self.refuses(family, &bodies)? {
            tracing::warn!(
                shard = self.id,
                ?epoch,
                sequence,
                ?position,
                follows,
                "a command is refused"
            );
            return Ok(Applied {
                epoch,
                sequence,
                outcomes: None,
                remembered: None,
            });
        }
        *position = Position { epoch, sequence };
        batch.put(family, &records::single(Record::Position), &encode(&*position)?);
        drop(position);
        let company = (bodies.len(), *self.registry.borrow());
        let mut apply = Apply::new(self.id, (&self.engine, &self.facts), family, batch, company);
        let outcomes = bodies
            .into_iter()
            .map(|body| apply.body(body))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Applied {
            epoch,
            sequence,
            outcomes: Some(outcomes),
            remembered: Some(apply.finish()),
        })
    }

    /// Whether the command holds a commit in one phase that cannot be made. Then it is refused whole, as if it had been lost
    /// (T4): who has seen its effects is told so.
    fn refuses(&self, family: &Family, bodies: &[Body]) -> Result<bool, TxnError> {
        for body in bodies {
            if let Body::OnePhase {
                transaction,
                started_ms,
                writes,
                ..
            } = body
                && !apply::may_commit(&self.facts, family, (*transaction, *started_ms), writes)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// After the batch was written: readers and the leader learn of it.
    fn publish(&self, applied: Applied) {
        if let Some(remembered) = applied.remembered {
            for (id, timestamp) in remembered.clears {
                self.facts.clears.add(id, timestamp);
            }
            if !remembered.changes.is_empty() {
                self.facts.table_versions.write().extend(remembered.changes);
            }
            if let Some(timestamp) = remembered.registry {
                self.registry.send_if_modified(|version| {
                    let is_newer = timestamp > *version;
                    *version = timestamp.max(*version);
                    is_newer
                });
            }
        }
        let leader = self.leader.read().upgrade();
        if let Some(leader) = leader {
            leader.on_applied(applied.epoch, applied.sequence, applied.outcomes);
        }
    }
}

impl consensus::Machine for Machine {
    fn load(&self, family: &Family) -> Result<(), EngineError> {
        self.reload(family).map_err(stop)
    }

    fn apply(&self, family: &Family, entry: &CommandEntry, batch: &mut Batch) -> Result<Bytes, EngineError> {
        let command = Command::decode(&entry.command).map_err(stop)?;
        let applied = self.apply_command(family, batch, entry.term, command).map_err(stop)?;
        let reply = if applied.outcomes.is_some() {
            APPLIED
        } else {
            OUT_OF_ORDER
        };
        *self.unwritten.lock() = Some(applied);
        Ok(Bytes::from_static(reply))
    }

    fn applied(&self, _: &CommandEntry) {
        let applied = self.unwritten.lock().take();
        self.publish(applied.expect("apply came before"));
    }
}

/// An error that other replicas may not have: this one stops.
fn stop(error: TxnError) -> EngineError {
    match error {
        TxnError::Corrupted(text) => EngineError::Corrupted(text),
        TxnError::DiskFull => EngineError::NoSpace("while a command was applied".into()),
        other => EngineError::Io(other.to_string()),
    }
}
