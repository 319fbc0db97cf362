//! Staging: the writes of a transaction on their way from its buffer to the shards.
//!
//! ```text
//!   buffer ─► row by row ─► shard 1 ▓▓▓▓   more than STAGED_FROM: what there is goes ahead in Stage commands
//!                           shard 2 ▓      the rest travels with OnePhase, Prepare or Decide
//! ```
//!
//! So no entry of a log is much larger than one row has to be, and no more than a few megabytes for each shard are in memory.
//! Nobody sees staged writes before the command that names them; if that never comes they are removed: at once when the
//! commit fails, at the next start or by the horizon when the coordinator dies.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::HashMap;
use bytes::Bytes;
use futures::future::BoxFuture;
use smallvec::SmallVec;
use storage::mvcc;
use storage::version::{Chain, Consolidation, consolidation};

use crate::buffer::{Buffer, Clear, FinalEntry, FinalRow};
use crate::command::{Epoch, Staged, TableVersions, TransactionId, Write, Writes};
use crate::commit::Attempt;
use crate::locks::TxnId;
use crate::machine::staged::size_of;
use crate::node::NodeInner;
use crate::oracle::clock_ms;
use crate::placement::ShardId;
use crate::state::ShardUse;
use crate::transaction::Inner;
use crate::{Key, TableId, TxnError};

/// What each shard is to write, in shard order.
pub(crate) type Parts = Vec<(ShardId, Writes)>;

/// Writes of one shard that may travel with the commit itself. Less is not staged: it would be written three times.
const STAGED_FROM: usize = 4 << 20;
/// Bytes of one Stage command, unless a single row is larger.
const STAGE_BYTES_MAX: usize = 1 << 20;
/// Stage commands of one shard on their way at a time.
const STAGES_IN_FLIGHT: usize = 4;
/// Largest encoded version; a larger row is refused before anything is proposed.
const VERSION_BYTES_MAX: usize = 1 << 30;

/// The writes of a transaction, sorted to their shards.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) parts: Parts,
    /// Forgets what was staged, unless the commit has taken it over.
    pub(crate) guard: Option<Guard>,
}

/// What a transaction has staged, until its commit takes it over.
pub(crate) struct Guard {
    node: Arc<NodeInner>,
    attempt: Attempt,
    shards: Vec<ShardId>,
    is_taken_over: bool,
}

impl Guard {
    fn new(inner: &Inner) -> Guard {
        let attempt = Attempt::begin(&inner.node, inner.id);
        // The horizon stays behind this attempt until it ends. Nobody answers it yet.
        drop(inner.node.live.coordinate(attempt));
        Guard {
            node: inner.node.clone(),
            attempt,
            shards: Vec::new(),
            is_taken_over: false,
        }
    }

    /// The attempt that staged.
    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// From here on the fate of what was staged is that of the commit.
    pub(crate) fn take_over(&mut self) {
        self.is_taken_over = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.node.live.coordinated(self.attempt.txn);
        if !self.is_taken_over {
            for id in &self.shards {
                self.node.leader(*id).unstage(self.attempt.txn.0);
            }
        }
    }
}

impl Attempt {
    /// An attempt of this node to commit a transaction, beginning now.
    pub(crate) fn begin(node: &NodeInner, id: TransactionId) -> Attempt {
        Attempt {
            txn: TxnId(id),
            coordinator: node.incarnation,
            started_ms: clock_ms().max(crate::outcome::began_ms(id)),
        }
    }
}

/// What is gathered for one shard.
#[derive(Default)]
struct Part {
    writes: Writes,
    bytes: usize,
    in_flight: VecDeque<BoxFuture<'static, Result<(), TxnError>>>,
}

struct Gathering<'a> {
    inner: &'a Inner,
    shards: SmallVec<[ShardUse; 2]>,
    chains: HashMap<(TableId, Key), Chain>,
    parts: BTreeMap<ShardId, Part>,
    guard: Option<Guard>,
}

/// Sorts what a transaction writes to its shards, sending ahead what is too much for one command.
///
/// # Errors
/// A row is too large, a shard refuses (53100, lost locks), or the statement was cancelled; nothing is left then.
pub(crate) async fn gather(
    inner: &Inner,
    buffer: Buffer,
    chains: HashMap<(TableId, Key), Chain>,
) -> Result<Gathered, TxnError> {
    let mut gathering = Gathering {
        inner,
        shards: inner.state.lock().shards.clone(),
        chains,
        parts: BTreeMap::new(),
        guard: None,
    };
    let mut drain = buffer.drain()?;
    for clear in drain.clears() {
        gathering.clear(clear);
    }
    let (expects, changes) = {
        let mut state = inner.state.lock();
        (std::mem::take(&mut state.expects), std::mem::take(&mut state.changes))
    };
    for (table, version) in changes {
        gathering.change(table, version);
    }
    while let Some(row) = drain.next_row()? {
        let shard = inner.node.placement.row(row.table, &row.key);
        let write = gathering.row(row)?;
        gathering.push(shard, write).await?;
    }
    while let Some(entry) = drain.next_entry()? {
        let (shard, write) = gathering.entry(&entry);
        gathering.push(shard, write).await?;
    }
    gathering.finish(expects).await
}

impl Gathering<'_> {
    fn clear(&mut self, clear: Clear) {
        let (table, id) = match clear {
            Clear::Table(table) => (table, table),
            Clear::Index(table, index) => (table, index),
        };
        for shard in self.inner.node.placement.table(table) {
            let clears = &mut self.parts.entry(shard).or_default().writes.clears;
            if !clears.contains(&id) {
                clears.push(id);
            }
        }
    }

    /// A changed table has its new version on every shard that holds part of it.
    fn change(&mut self, table: TableId, version: u64) {
        for shard in self.inner.node.placement.table(table) {
            self.parts
                .entry(shard)
                .or_default()
                .writes
                .changes
                .push((table, version));
        }
    }

    fn row(&self, row: FinalRow) -> Result<Write, TxnError> {
        let FinalRow {
            table,
            key,
            version,
            is_delta,
        } = row;
        if version.len() > VERSION_BYTES_MAX {
            return Err(TxnError::Limit(format!(
                "a row of {} bytes is larger than a row may be",
                version.len()
            )));
        }
        let row_key = mvcc::row_key(table, &key).into();
        let chain = self.chains.get(&(table, key)).filter(|_| is_delta);
        let fold = chain.is_some_and(|chain| consolidation(longer(*chain, version.len())) == Consolidation::Now);
        Ok(Write {
            key: row_key,
            version,
            fold,
        })
    }

    fn entry(&self, entry: &FinalEntry) -> (ShardId, Write) {
        let placement = &self.inner.node.placement;
        let shard = placement.entry(entry.table, entry.index, entry.global, &entry.value, &entry.row);
        let write = Write {
            key: Bytes::from(mvcc::entry_key(entry.index, &entry.value, &entry.row)),
            version: Bytes::from_static(mvcc::encode_entry(entry.present)),
            fold: false,
        };
        (shard, write)
    }

    async fn push(&mut self, shard: ShardId, write: Write) -> Result<(), TxnError> {
        let part = self.parts.entry(shard).or_default();
        let bytes = size_of(&write.key, &write.version);
        let is_full = part.bytes + bytes > STAGED_FROM && !part.writes.versions.is_empty();
        if is_full {
            self.stage(shard).await?;
        }
        let part = self.parts.entry(shard).or_default();
        part.bytes += bytes;
        part.writes.versions.push(write);
        Ok(())
    }

    /// Sends ahead what is gathered for a shard.
    async fn stage(&mut self, shard: ShardId) -> Result<(), TxnError> {
        self.inner.interrupt.check()?;
        let guard = self.guard.get_or_insert_with(|| Guard::new(self.inner));
        if !guard.shards.contains(&shard) {
            guard.shards.push(shard);
        }
        let (id, started_ms): (TransactionId, u64) = (self.inner.id, guard.attempt.started_ms);
        let epoch: Option<Epoch> = self
            .shards
            .iter()
            .find(|used| used.shard == shard)
            .map(|used| used.epoch);
        let leader = self.inner.node.leader(shard);
        let part = self.parts.entry(shard).or_default();
        let versions = std::mem::take(&mut part.writes.versions);
        part.bytes = 0;
        let staged = part.writes.staged.get_or_insert_with(|| Staged {
            transaction: id,
            started_ms,
            parts: 0,
            ids: Vec::new(),
        });
        for write in &versions {
            let of_key = mvcc::id_of(&write.key);
            staged.ids.extend(of_key.filter(|id| !staged.ids.contains(id)));
        }
        for mut chunk in chunks(versions) {
            // A consolidation would look for the delta where it is not yet; the next change makes it.
            chunk.iter_mut().for_each(|write| write.fold = false);
            while part.in_flight.len() >= STAGES_IN_FLIGHT {
                if let Some(awaited) = part.in_flight.pop_front() {
                    awaited.await?;
                }
            }
            let awaited = leader.stage((id, started_ms, staged.parts), epoch, chunk)?;
            staged.parts += 1;
            part.in_flight.push_back(awaited);
        }
        Ok(())
    }

    /// Waits for what was sent ahead.
    async fn finish(mut self, expects: TableVersions) -> Result<Gathered, TxnError> {
        for part in self.parts.values_mut() {
            for awaited in part.in_flight.drain(..) {
                awaited.await?;
            }
        }
        if self.guard.is_some() {
            self.inner.node.crash_point("staged").await;
        }
        let parts = self.parts.into_iter().map(|(shard, part)| {
            let expects = expects.clone();
            (shard, Writes { expects, ..part.writes })
        });
        Ok(Gathered {
            parts: parts.filter(|(_, writes)| !writes.is_empty()).collect(),
            guard: self.guard,
        })
    }
}

/// Cuts writes into pieces of at most [`STAGE_BYTES_MAX`], or one row.
fn chunks(versions: Vec<Write>) -> Vec<Vec<Write>> {
    let mut chunks: Vec<Vec<Write>> = Vec::new();
    let mut bytes = usize::MAX;
    for write in versions {
        let size = size_of(&write.key, &write.version);
        match chunks
            .last_mut()
            .filter(|_| bytes.saturating_add(size) <= STAGE_BYTES_MAX)
        {
            Some(chunk) => {
                bytes += size;
                chunk.push(write);
            }
            None => {
                bytes = size;
                chunks.push(vec![write]);
            }
        }
    }
    chunks
}

/// A chain with one more delta.
fn longer(chain: Chain, delta_size: usize) -> Chain {
    Chain {
        deltas: chain.deltas + 1,
        delta_bytes: chain.delta_bytes + delta_size as u64,
        ..chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(size: usize) -> Write {
        Write {
            key: Bytes::from_static(b"key"),
            version: Bytes::from(vec![0; size]),
            fold: false,
        }
    }

    #[test]
    fn pieces_are_as_large_as_they_may_be_and_a_large_row_has_its_own() {
        let sizes = [400 << 10, 500 << 10, 300 << 10, 3 << 20, 10];
        let cut: Vec<usize> = chunks(sizes.map(write).into()).iter().map(Vec::len).collect();
        assert_eq!(cut, [2, 1, 1, 1]);
        assert!(chunks(Vec::new()).is_empty());
    }
}
