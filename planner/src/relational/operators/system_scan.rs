//! Scan of a relation whose rows the server computes.

use std::sync::Arc;

use async_trait::async_trait;
use storage::{Datum, Row};

use crate::SqlResult;
use crate::bound::RelationRef;
use crate::eval::{Layout, Program};
use crate::relational::batch::Batch;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};

/// A compiled scan of a system relation.
#[derive(Debug)]
pub struct SystemScanPlan {
    /// The relation.
    pub relation: RelationRef,
    /// Name in the query, for EXPLAIN.
    pub alias: String,
    /// Output.
    pub layout: Layout,
    /// Where each output column is in the computed row, behind whose columns stand a row key (NULL) and tableoid.
    pub slots: Vec<usize>,
    /// Conditions over the computed row.
    pub filter: Vec<Program>,
    /// Subqueries of the conditions.
    pub subplans: SubPlans,
}

impl Plan for SystemScanPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(SystemScanOperator {
            plan: self,
            evaluator,
            rows: None,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        Vec::new()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct SystemScanOperator {
    plan: Arc<SystemScanPlan>,
    evaluator: Evaluator,
    rows: Option<std::vec::IntoIter<Row>>,
}

#[async_trait]
impl Operator for SystemScanOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        if self.rows.is_none() {
            let rows = self.evaluator.runtime.source.system_rows(&plan.relation).await?;
            self.rows = Some(rows.into_iter());
        }
        self.evaluator.runtime.breathe().await?;
        let mut batch = Batch::new(plan.layout.width());
        let width = plan.relation.columns.len();
        'rows: while let Some(mut row) = self.rows.as_mut().and_then(Iterator::next) {
            row.resize(width, Datum::Null);
            row.push(Datum::Null);
            row.push(Datum::Oid(plan.relation.id));
            for condition in &plan.filter {
                if !self.evaluator.is_true(condition, &row).await? {
                    continue 'rows;
                }
            }
            batch.push(plan.slots.iter().map(|slot| row[*slot].clone()));
            if batch.len() == rows_max {
                break;
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}
