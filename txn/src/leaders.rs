//! Leaders: the groups this node leads and serves, for whoever runs a transaction.
//!
//! A [`Shard`] is the leader of one group in one term. It is in this table from when its locks are rebuilt until leadership
//! is lost; who still has it after that is refused by it. Asking costs a load and a count: no lock, no allocation.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::placement::ShardId;
use crate::shard::Shard;

/// The groups this node leads, by number.
#[derive(Default)]
pub(crate) struct Leaders {
    table: ArcSwap<Vec<Option<Arc<Shard>>>>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Leaders {
    /// The leader of a group, if it is here.
    pub(crate) fn get(&self, id: ShardId) -> Option<Arc<Shard>> {
        self.table.load().get(id as usize)?.clone()
    }

    /// All leaders of this node, the meta group's first.
    pub(crate) fn all(&self) -> Vec<Arc<Shard>> {
        self.table.load().iter().flatten().cloned().collect()
    }

    /// A leadership begins.
    pub(super) fn begin(&self, shard: Arc<Shard>) {
        let _changing = self.changing.lock();
        let mut table = Vec::clone(&self.table.load());
        let place = shard.id as usize;
        if table.len() <= place {
            table.resize(place + 1, None);
        }
        table[place] = Some(shard);
        self.table.store(Arc::new(table));
    }

    /// A leadership has ended.
    pub(super) fn end(&self, shard: &Arc<Shard>) {
        let _changing = self.changing.lock();
        let mut table = Vec::clone(&self.table.load());
        if let Some(place) = table.get_mut(shard.id as usize)
            && place.as_ref().is_some_and(|leader| Arc::ptr_eq(leader, shard))
        {
            *place = None;
            self.table.store(Arc::new(table));
        }
    }
}
