//! Temporary objects: what COMMIT, DISCARD and the end of a session do to them.

use planner::SqlResult;
use txn::TransactionOptions;

use super::Session;

impl Session {
    /// ON COMMIT DELETE ROWS and ON COMMIT DROP, as part of the transaction that commits.
    pub(super) async fn on_commit_temporary(&mut self) -> SqlResult<()> {
        if self.transaction.is_none() {
            return Ok(());
        }
        let catalog = self.catalog().await?;
        if catalog.temporary_schema(&*self.shared).is_none() {
            self.may_have_temporary = self.has_catalog_changes;
            return Ok(());
        }
        if !catalog.has_on_commit(&*self.shared) {
            return Ok(());
        }
        let context = self.context([].into()).await?;
        let dropped = self.services.planner.on_commit_temporary(&context).await?;
        self.has_catalog_changes |= dropped;
        Ok(())
    }

    /// DISCARD TEMP
    pub(super) async fn discard_temporary(&mut self) -> SqlResult<()> {
        if self.may_have_temporary {
            let context = self.context([].into()).await?;
            self.services.planner.discard_temporary(&context).await?;
            self.has_catalog_changes = true;
        }
        Ok(())
    }

    /// The session ends, and its temporary objects with it. What cannot be removed now is removed when the server starts.
    pub(super) async fn drop_temporary(&mut self) {
        if !self.may_have_temporary {
            return;
        }
        let session = self.shared.identity.id as i32;
        let transaction = self.services.planner.node.begin(TransactionOptions {
            session: self.shared.identity.id,
            ..TransactionOptions::default()
        });
        if let Err(error) = self.services.planner.drop_temporary(transaction, Some(session)).await {
            tracing::warn!(session, %error, "temporary objects stay until the server restarts");
        }
    }
}
