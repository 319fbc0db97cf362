//! Spool: rows of a part of a correlated plan that does not depend on the outer row, read once per statement.

use std::sync::Arc;

use async_trait::async_trait;
use storage::Datum;

use crate::SqlResult;
use crate::eval::{Layout, SubqueryRows};
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// Rows beyond which the input is read again instead of kept.
const SPOOLED_ROWS_MAX: usize = 100_000;

/// A compiled spool.
#[derive(Debug)]
pub struct SpoolPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Number under which the statement keeps the rows.
    pub number: usize,
}

impl Plan for SpoolPlan {
    fn layout(&self) -> &Layout {
        self.input.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        if frame.replaced.is_some() {
            return self.input.clone().open(runtime, frame);
        }
        if let Some(rows) = runtime.once.lock().get(&self.number) {
            let rows = rows.rows.clone();
            return Ok(Box::new(Reader {
                rows,
                at: 0,
                width: self.layout().width(),
            }));
        }
        let input = self.input.clone().open(runtime, frame)?;
        let reservation = Reservation::new(runtime);
        Ok(Box::new(Writer {
            plan: self,
            runtime: runtime.clone(),
            input,
            rows: Some(Vec::new()),
            reservation,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.input.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Reader {
    rows: Arc<Vec<Vec<Datum>>>,
    at: usize,
    width: usize,
}

#[async_trait]
impl Operator for Reader {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let end = self.rows.len().min(self.at.saturating_add(rows_max.min(BATCH_ROWS)));
        if self.at == end {
            return Ok(None);
        }
        let mut batch = Batch::with_capacity(self.width, end - self.at);
        for row in &self.rows[self.at..end] {
            batch.push_slice(row);
        }
        self.at = end;
        Ok(Some(batch))
    }
}

/// Passes the input on and keeps a copy; the copy counts only if the input was read to its end.
struct Writer {
    plan: Arc<SpoolPlan>,
    runtime: Arc<Runtime>,
    input: Box<dyn Operator>,
    rows: Option<Vec<Vec<Datum>>>,
    reservation: Reservation,
}

#[async_trait]
impl Operator for Writer {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        match self.input.next(rows_max).await? {
            Some(batch) => {
                if let Some(rows) = &mut self.rows {
                    if rows.len() + batch.len() > SPOOLED_ROWS_MAX || self.reservation.grow(batch.size()).is_err() {
                        self.rows = None;
                        self.reservation.release();
                    } else {
                        rows.extend(batch.rows().map(<[Datum]>::to_vec));
                    }
                }
                Ok(Some(batch))
            }
            None => {
                if let Some(rows) = self.rows.take() {
                    self.runtime
                        .once
                        .lock()
                        .insert(self.plan.number, SubqueryRows::new(rows, true));
                }
                Ok(None)
            }
        }
    }
}
