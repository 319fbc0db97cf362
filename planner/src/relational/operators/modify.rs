//! A data-modifying statement inside of a query: run by the hook, read for its RETURNING rows.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;

use crate::SqlResult;
use crate::bound::Modify;
use crate::eval::Layout;
use crate::relational::QueryScope;
use crate::relational::batch::Batch;
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, RowBatches, Runtime};

/// A data-modifying statement in a plan.
pub struct ModifyPlan {
    /// The statement.
    pub modify: Arc<Modify>,
    /// Output: its RETURNING columns.
    pub layout: Layout,
}

impl fmt::Debug for ModifyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Modify {}", self.modify.table.name)
    }
}

impl Plan for ModifyPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let scope = QueryScope::within(runtime.clone(), frame.clone());
        Ok(Box::new(ModifyOperator {
            plan: self,
            scope,
            rows: None,
            rest: Vec::new().into_iter(),
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        Vec::new()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct ModifyOperator {
    plan: Arc<ModifyPlan>,
    scope: QueryScope,
    rows: Option<RowBatches>,
    rest: std::vec::IntoIter<Vec<storage::Datum>>,
}

#[async_trait]
impl Operator for ModifyOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let rows = match &mut self.rows {
            Some(rows) => rows,
            None => {
                let hook = self.scope.runtime().modify.clone();
                self.rows.insert(hook.execute(&self.plan.modify, &self.scope).await?)
            }
        };
        while self.rest.len() == 0 {
            match rows.next().await.transpose()? {
                Some(batch) => self.rest = batch.into_iter(),
                None => return Ok(None),
            }
        }
        Ok(Some(Batch::from_rows(
            self.plan.layout.width(),
            self.rest.by_ref().take(rows_max),
        )))
    }
}
