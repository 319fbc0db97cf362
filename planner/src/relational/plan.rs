//! Plan and Operator: a compiled relation, and one run of it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::SqlResult;
use crate::eval::Layout;
use crate::explain::node::Node;
use crate::relational::batch::Batch;
use crate::relational::runtime::{Frame, Runtime};

/// A compiled relation: immutable, shared between runs and sessions.
pub trait Plan: Send + Sync + fmt::Debug {
    /// Which column is where in the rows it gives.
    fn layout(&self) -> &Layout;
    /// Starts a run.
    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>>;
    /// Its inputs, in EXPLAIN's order.
    fn inputs(&self) -> Vec<Arc<dyn Plan>>;
    /// The plan itself, for who looks at its kind (EXPLAIN, the keyed path, the columnar engine).
    fn as_any(&self) -> &dyn Any;
    /// What EXPLAIN knows of the step, if the plan was compiled for it.
    fn described(&self) -> Option<&Arc<Node>> {
        None
    }
}

/// One run of a plan.
#[async_trait]
pub trait Operator: Send {
    /// The next rows, between one and `rows_max` of them; `None` after the last.
    ///
    /// No expression is evaluated for rows beyond those returned: a LIMIT above asks for as many rows as it wants, and what
    /// the next row would have raised is never seen (as in PostgreSQL, which works row by row).
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>>;
}

/// All rows of a run.
pub(crate) async fn collect(operator: &mut dyn Operator, runtime: &Runtime, width: usize) -> SqlResult<Batch> {
    let mut all = Batch::new(width);
    while let Some(batch) = operator.next(super::batch::BATCH_ROWS).await? {
        all.append(batch);
        runtime.breathe().await?;
    }
    Ok(all)
}
