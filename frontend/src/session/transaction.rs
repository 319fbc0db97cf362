//! Transaction blocks: BEGIN, COMMIT, ROLLBACK, savepoints, and the implicit blocks around statements.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use planner::modify::DeferredMark;
use planner::{SqlError, SqlResult, SqlState};
use txn::{SavepointMark, Transaction, TransactionOptions};

use super::Session;
use super::block::{self, Block};
use super::command::Modes;
use super::rows::{Answer, Complete};
use super::settings::isolation;
use super::shared::Characteristics;

/// A savepoint of the open block.
pub struct Savepoint {
    name: String,
    mark: SavepointMark,
    pending_count: usize,
    advisory_count: usize,
    has_catalog_changes: bool,
    deferred: DeferredMark,
}

impl Session {
    /// BEGIN, START TRANSACTION
    pub(super) async fn begin_block(&mut self, modes: &Modes, tag: &'static str) -> SqlResult<Answer> {
        match self.block {
            Block::Open | Block::Failed => {
                self.shared.warn(
                    SqlState::ACTIVE_SQL_TRANSACTION,
                    "there is already a transaction in progress",
                );
            }
            // What the text did before BEGIN belongs to the block.
            Block::Implicit if self.transaction.is_some() => {
                self.block = Block::Open;
                self.shared.settings.lock().begin_once();
                let current = self.characteristics();
                *self.shared.characteristics.lock() = Some(current);
                self.apply_modes(modes)?;
            }
            Block::Idle | Block::Implicit => {
                self.open_block();
                self.apply_modes(modes)?;
            }
        }
        Ok(Answer::Done(Complete::Fixed(tag)))
    }

    /// COMMIT, END
    pub(super) async fn commit_block(&mut self, chain: bool) -> SqlResult<Answer> {
        match self.block {
            Block::Idle | Block::Implicit => {
                if chain {
                    return Err(block::needs_block("COMMIT AND CHAIN"));
                }
                self.shared.warn(
                    SqlState::NO_ACTIVE_SQL_TRANSACTION,
                    "there is no transaction in progress",
                );
                self.commit().await?;
                Ok(Answer::Done(Complete::Fixed("COMMIT")))
            }
            Block::Open => {
                let modes = self.chained(chain);
                self.commit().await?;
                self.chain(modes);
                Ok(Answer::Done(Complete::Fixed("COMMIT")))
            }
            Block::Failed => {
                let modes = self.chained(chain);
                self.abort().await;
                self.chain(modes);
                Ok(Answer::Done(Complete::Fixed("ROLLBACK")))
            }
        }
    }

    /// ROLLBACK, ABORT
    pub(super) async fn rollback_block(&mut self, chain: bool) -> SqlResult<Answer> {
        if !self.block.is_explicit() {
            if chain {
                return Err(block::needs_block("ROLLBACK AND CHAIN"));
            }
            self.shared.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "there is no transaction in progress",
            );
        }
        let modes = self.chained(chain);
        self.abort().await;
        self.chain(modes);
        Ok(Answer::Done(Complete::Fixed("ROLLBACK")))
    }

    /// SAVEPOINT
    pub(super) fn savepoint(&mut self, name: &str) -> SqlResult<Answer> {
        self.need_open("SAVEPOINT")?;
        let mark = self.ensure_transaction().savepoint();
        self.shared.settings.lock().mark();
        self.savepoints.push(Savepoint {
            name: name.to_owned(),
            mark,
            pending_count: self.shared.pending.lock().len(),
            advisory_count: self.services.registry.advisory.mark(self.shared.identity.id),
            has_catalog_changes: self.has_catalog_changes,
            deferred: self.shared.deferred.lock().mark(),
        });
        Ok(Answer::Done(Complete::Fixed("SAVEPOINT")))
    }

    /// RELEASE
    pub(super) fn release(&mut self, name: &str) -> SqlResult<Answer> {
        self.need_open("RELEASE SAVEPOINT")?;
        let depth = self.find_savepoint(name)?;
        self.savepoints.truncate(depth);
        self.shared.settings.lock().release(depth);
        self.portals
            .values_mut()
            .for_each(|portal| portal.depth = portal.depth.min(depth));
        Ok(Answer::Done(Complete::Fixed("RELEASE")))
    }

    /// ROLLBACK TO
    pub(super) async fn rollback_to(&mut self, name: &str) -> SqlResult<Answer> {
        self.need_open("ROLLBACK TO SAVEPOINT")?;
        let depth = self.find_savepoint(name)?;
        self.savepoints.truncate(depth + 1);
        self.restore_last_savepoint().await?;
        self.block = Block::Open;
        Ok(Answer::Done(Complete::Fixed("ROLLBACK")))
    }

    /// SET TRANSACTION
    pub(super) fn set_transaction(&mut self, modes: &Modes) -> SqlResult<Answer> {
        if self.block == Block::Idle {
            self.shared.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            );
        } else {
            self.apply_modes(modes)?;
        }
        Ok(Answer::Done(Complete::Fixed("SET")))
    }

    /// Changes the characteristics of the open transaction.
    ///
    /// # Errors
    /// 25001 once it is too late.
    pub(super) fn apply_modes(&mut self, modes: &Modes) -> SqlResult<()> {
        let mut current = self.characteristics();
        let late = |what: &str| Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, what));
        if let Some(isolation) = modes.isolation_name()
            && isolation != current.isolation
        {
            if self.has_queried {
                return late("SET TRANSACTION ISOLATION LEVEL must be called before any query");
            }
            if !self.savepoints.is_empty() {
                return late("SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction");
            }
            current.isolation = isolation.to_owned();
        }
        if let Some(read_only) = modes.read_only {
            if !read_only && current.is_read_only && self.has_queried {
                return late("transaction read-write mode must be set before any query");
            }
            current.is_read_only = read_only;
        }
        if let Some(deferrable) = modes.deferrable {
            if self.has_queried {
                return late("SET TRANSACTION [NOT] DEFERRABLE must be called before any query");
            }
            current.is_deferrable = deferrable;
        }
        // A transaction opened only for a savepoint has read nothing yet; it is opened anew with the new modes.
        if !self.has_queried && self.savepoints.is_empty() {
            self.transaction = None;
        }
        *self.shared.characteristics.lock() = Some(current);
        Ok(())
    }

    /// The characteristics of the present transaction: those of the block, or the session's defaults.
    pub(super) fn characteristics(&self) -> Characteristics {
        if let Some(current) = self.shared.characteristics.lock().as_ref() {
            return current.clone();
        }
        let settings = self.shared.settings.lock();
        let show = |name: &str| settings.show(name).unwrap_or_default();
        Characteristics {
            isolation: show("default_transaction_isolation"),
            is_read_only: show("default_transaction_read_only") == "on",
            is_deferrable: show("default_transaction_deferrable") == "on",
        }
    }

    /// Whether the present transaction is READ ONLY.
    pub fn is_read_only(&self) -> bool {
        match &*self.shared.characteristics.lock() {
            Some(current) => current.is_read_only,
            None => self.shared.settings.lock().current().defaults.is_read_only,
        }
    }

    /// The block's transaction, begun now if this is its first use.
    pub fn ensure_transaction(&mut self) -> Arc<Transaction> {
        if let Some(transaction) = &self.transaction {
            return transaction.clone();
        }
        let (isolation, read_only) = match &*self.shared.characteristics.lock() {
            Some(current) => (isolation(&current.isolation), current.is_read_only),
            None => {
                let defaults = self.shared.settings.lock().current().defaults;
                (defaults.isolation, defaults.is_read_only)
            }
        };
        if !self.block.is_explicit() {
            self.shared.start_transaction();
        }
        let transaction = Arc::new(self.services.planner.node.begin(TransactionOptions {
            isolation,
            read_only,
            session: self.shared.identity.id,
            priority: None,
        }));
        self.shared.transaction_id.store(transaction.id(), Ordering::Relaxed);
        self.transaction = Some(transaction.clone());
        transaction
    }

    /// Puts the statements of one text, or everything up to Sync, into one implicit block.
    pub fn begin_implicit(&mut self) {
        if self.block == Block::Idle {
            self.block = Block::Implicit;
        }
    }

    /// Ends what a statement outside a block, or an implicit block, has begun.
    ///
    /// # Errors
    /// What COMMIT raises; nothing was committed then.
    pub async fn end_implicit(&mut self) -> SqlResult<()> {
        match self.block {
            Block::Idle | Block::Implicit => self.commit().await,
            Block::Open | Block::Failed => Ok(()),
        }
    }

    /// A statement failed: undo it.
    pub async fn fail(&mut self) {
        match self.block {
            Block::Idle | Block::Implicit => self.abort().await,
            Block::Open => {
                self.block = Block::Failed;
                // Locks taken since the last savepoint go at once; the others are still needed for ROLLBACK TO.
                if self.savepoints.is_empty() {
                    self.portals.retain(|_, portal| portal.survives_abort());
                    if let Some(transaction) = self.transaction.take() {
                        transaction.rollback().await;
                    }
                } else if let Err(error) = self.restore_last_savepoint().await {
                    tracing::debug!(session = self.shared.identity.id, %error, "savepoint lost with its transaction");
                }
            }
            Block::Failed => {}
        }
    }

    /// Waits until nothing the open transaction was shown can be lost: before its rows, its tags and its errors leave the
    /// server (DESIGN T4). COMMIT includes it.
    ///
    /// # Errors
    /// 40001 if something was lost.
    pub async fn settle(&mut self) -> SqlResult<()> {
        match &self.transaction {
            Some(transaction) => Ok(transaction.settle().await?),
            None => Ok(()),
        }
    }

    /// The open transaction, for whoever sends its rows.
    pub fn transaction(&self) -> Option<Arc<Transaction>> {
        self.transaction.clone()
    }

    /// Commits whatever is open and leaves the block.
    async fn commit(&mut self) -> SqlResult<()> {
        let mut ended = self.check_deferred().await;
        if ended.is_ok() {
            ended = self.hold_cursors().await;
        }
        if ended.is_ok() && self.may_have_temporary {
            ended = self.on_commit_temporary().await;
        }
        if let Err(error) = ended {
            let settled = self.settle().await;
            self.abort().await;
            return Err(settled.err().unwrap_or(error));
        }
        let transaction = self.transaction.take();
        let result = match &transaction {
            Some(transaction) => transaction.commit().await.map(|_| ()),
            None => Ok(()),
        };
        if let Err(error) = result {
            if let Some(transaction) = transaction {
                transaction.rollback().await;
            }
            self.leave_block(false);
            return Err(error.into());
        }
        self.leave_block(true);
        let pending = std::mem::take(&mut *self.shared.pending.lock());
        if !pending.is_empty() {
            let identity = &self.shared.identity;
            self.services
                .notifier
                .commit(identity.id, &identity.database, &self.queue, pending);
        }
        Ok(())
    }

    /// Looks at the constraints that were put off until now.
    async fn check_deferred(&mut self) -> SqlResult<()> {
        if !self.shared.deferred.lock().has_waiting() {
            return Ok(());
        }
        let context = self.context([].into()).await?;
        self.services.planner.check_deferred(&context).await
    }

    /// SET CONSTRAINTS
    pub(super) async fn set_constraints(
        &mut self,
        names: Option<&[(Option<String>, String)]>,
        is_deferred: bool,
    ) -> SqlResult<Answer> {
        if !self.block.is_explicit() {
            self.shared.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            );
        }
        let context = self.context([].into()).await?;
        self.services
            .planner
            .set_constraints(&context, names, is_deferred)
            .await?;
        Ok(Answer::Done(Complete::Fixed("SET CONSTRAINTS")))
    }

    /// Rolls back whatever is open and leaves the block.
    pub(super) async fn abort(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            transaction.rollback().await;
        }
        self.leave_block(false);
    }

    fn open_block(&mut self) {
        self.block = Block::Open;
        self.has_queried = false;
        let modes = self.characteristics();
        *self.shared.characteristics.lock() = Some(modes);
        self.shared.settings.lock().begin();
        self.shared.start_transaction();
    }

    fn leave_block(&mut self, is_committed: bool) {
        self.shared.settings.lock().end(is_committed);
        self.services.registry.advisory.roll_back_to(self.shared.identity.id, 0);
        self.shared.transaction_id.store(0, Ordering::Relaxed);
        self.shared.deferred.lock().clear();
        self.block = Block::Idle;
        self.has_queried = false;
        self.has_catalog_changes = false;
        self.savepoints.clear();
        *self.shared.characteristics.lock() = None;
        if is_committed {
            self.portals.retain(|_, portal| portal.survives_commit());
        } else {
            self.portals.retain(|_, portal| portal.survives_abort());
            self.shared.pending.lock().clear();
        }
    }

    /// Settings changed from here on are undone if what they are part of fails.
    pub(super) fn begin_settings(&mut self) {
        self.shared.settings.lock().begin_once();
    }

    async fn restore_last_savepoint(&mut self) -> SqlResult<()> {
        let Some(savepoint) = self.savepoints.last() else {
            return Ok(());
        };
        let depth = self.savepoints.len();
        self.has_catalog_changes = savepoint.has_catalog_changes;
        self.shared.pending.lock().truncate(savepoint.pending_count);
        self.shared.deferred.lock().roll_back_to(&savepoint.deferred);
        let advisory = &self.services.registry.advisory;
        advisory.roll_back_to(self.shared.identity.id, savepoint.advisory_count);
        self.shared.settings.lock().rollback_to(depth - 1);
        self.portals.retain(|_, portal| portal.depth < depth);
        match &self.transaction {
            Some(transaction) => transaction.rollback_to(savepoint.mark).await.map_err(SqlError::from),
            None => Ok(()),
        }
    }

    fn need_open(&self, what: &str) -> SqlResult<()> {
        if self.block.is_explicit() {
            Ok(())
        } else {
            Err(block::needs_block(what))
        }
    }

    fn find_savepoint(&self, name: &str) -> SqlResult<usize> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint.name == name)
            .ok_or_else(|| {
                SqlError::new(
                    SqlState::INVALID_SAVEPOINT_SPECIFICATION,
                    format!("savepoint \"{name}\" does not exist"),
                )
            })
    }

    fn chained(&self, chain: bool) -> Option<Characteristics> {
        chain.then(|| self.characteristics())
    }

    fn chain(&mut self, modes: Option<Characteristics>) {
        if let Some(modes) = modes {
            self.open_block();
            *self.shared.characteristics.lock() = Some(modes);
        }
    }
}
