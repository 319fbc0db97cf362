//! Rules: what the protocol rests on, each of which a test switches off to see the checker find what it keeps out.

/// A rule of `txn/PROTOCOL.md` that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// L9: votes, marks and commits in one phase only under locks of this epoch.
    Epoch,
    /// T4: a command is applied only behind the one its leader proposed before it.
    Order,
    /// T2: a transaction is marked before its timestamp is drawn.
    MarkThenDraw,
    /// T3: a snapshot waits for whoever is marked and may get a smaller timestamp.
    SnapshotsWait,
    /// Shards where a SERIALIZABLE transaction only read confirm its locks before the decision.
    Confirm,
    /// T4: a commit waits until what it has seen of others is applied.
    SeenIsApplied,
    /// P5: ABORT is remembered where the Prepare may still come.
    Tombstones,
    /// M2: nothing is consolidated while somebody may still get a smaller timestamp.
    ConsolidationGuard,
    /// Cycles through several shards are looked for and broken.
    Detection,
    /// A new epoch begins with new cores, from what is applied.
    FreshCores,
}
