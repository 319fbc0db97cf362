//! Asker: on whose behalf a shard is asked. The transaction may run on another node, so this is all a shard knows of it.

use crate::command::TransactionId;
use crate::interrupt::Interrupt;
use crate::locks::Owner;

/// On whose behalf a shard is asked.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) owner: Owner,
    /// What ends its waits.
    pub(crate) interrupt: &'a Interrupt,
}

impl Asker<'_> {
    /// Number of the transaction.
    pub(crate) fn id(&self) -> TransactionId {
        self.owner.txn.0
    }
}
