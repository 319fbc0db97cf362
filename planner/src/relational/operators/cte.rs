//! WITH: each definition is run at most once, as far as its readers get.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::bound::CteId;
use crate::eval::Layout;
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};
use crate::{SqlError, SqlResult, SqlState};

/// Rows of a CTE, shared by its readers.
pub(crate) struct CteBuffer {
    inner: Mutex<Inner>,
}

struct Inner {
    /// Where more rows come from; `None` at the end.
    producer: Option<Box<dyn Operator>>,
    batches: Vec<Arc<Batch>>,
    /// Kept so that the bytes are given back with the rows.
    reservation: Option<Reservation>,
}

impl CteBuffer {
    /// A buffer filled on demand.
    pub(crate) fn lazy(producer: Box<dyn Operator>, runtime: &Runtime) -> Arc<Self> {
        let reservation = Some(Reservation::new(runtime));
        Arc::new(Self {
            inner: Mutex::new(Inner {
                producer: Some(producer),
                batches: Vec::new(),
                reservation,
            }),
        })
    }

    /// A buffer of rows that are there already (a working table).
    pub(crate) fn full(rows: Batch) -> Arc<Self> {
        let inner = Inner {
            producer: None,
            batches: vec![Arc::new(rows)],
            reservation: None,
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
        })
    }

    /// A batch by position, producing it if it is the next.
    pub(crate) async fn batch(&self, index: usize, rows_max: usize) -> SqlResult<Option<Arc<Batch>>> {
        let mut inner = self.inner.lock().await;
        if let Some(batch) = inner.batches.get(index) {
            return Ok(Some(batch.clone()));
        }
        let Some(producer) = &mut inner.producer else {
            return Ok(None);
        };
        match producer.next(rows_max).await? {
            Some(batch) => {
                if let Some(reservation) = &mut inner.reservation {
                    reservation.grow(batch.size())?;
                }
                let batch = Arc::new(batch);
                inner.batches.push(batch.clone());
                Ok(Some(batch))
            }
            None => {
                inner.producer = None;
                Ok(None)
            }
        }
    }

    /// Runs the producer to its end.
    pub(crate) async fn finish(&self) -> SqlResult<()> {
        let mut index = self.inner.lock().await.batches.len();
        while self.batch(index, BATCH_ROWS).await?.is_some() {
            index += 1;
        }
        Ok(())
    }
}

/// A compiled WITH.
#[derive(Debug)]
pub struct WithPlan {
    /// Definitions in order. Their rows have the definition's columns in order.
    pub ctes: Vec<CteDefinition>,
    /// Body.
    pub body: Arc<dyn Plan>,
}

/// A compiled definition of WITH.
#[derive(Debug)]
pub struct CteDefinition {
    /// Identity.
    pub id: CteId,
    /// Name, for EXPLAIN.
    pub name: String,
    /// Its plan.
    pub plan: Arc<dyn Plan>,
    /// A data-modifying statement: it is run to its end even if nobody reads it.
    pub modifies: bool,
}

impl Plan for WithPlan {
    fn layout(&self) -> &Layout {
        self.body.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let mut frame = frame.clone();
        let mut unfinished = Vec::new();
        for cte in &self.ctes {
            let buffer = CteBuffer::lazy(cte.plan.clone().open(runtime, &frame)?, runtime);
            if cte.modifies {
                unfinished.push(buffer.clone());
            }
            frame.ctes = frame.ctes.with(cte.id, buffer);
        }
        let body = self.body.clone().open(runtime, &frame)?;
        Ok(Box::new(With { body, unfinished }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        self.ctes
            .iter()
            .map(|cte| cte.plan.clone())
            .chain([self.body.clone()])
            .collect()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct With {
    body: Box<dyn Operator>,
    unfinished: Vec<Arc<CteBuffer>>,
}

#[async_trait]
impl Operator for With {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        if let Some(batch) = self.body.next(rows_max).await? {
            return Ok(Some(batch));
        }
        for buffer in self.unfinished.drain(..) {
            buffer.finish().await?;
        }
        Ok(None)
    }
}

/// A compiled reference to a CTE.
#[derive(Debug)]
pub struct CteScanPlan {
    /// Which.
    pub id: CteId,
    /// Output: the reference's columns.
    pub layout: Layout,
}

impl Plan for CteScanPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let Some(buffer) = frame.ctes.find(self.id) else {
            return Err(SqlError::new(
                SqlState::INTERNAL_ERROR,
                format!("CTE {} is not in scope", self.id.0),
            ));
        };
        Ok(Box::new(CteScan {
            buffer: buffer.clone(),
            runtime: runtime.clone(),
            index: 0,
            rest: Batch::default(),
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        Vec::new()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct CteScan {
    buffer: Arc<CteBuffer>,
    runtime: Arc<Runtime>,
    index: usize,
    rest: Batch,
}

#[async_trait]
impl Operator for CteScan {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        self.runtime.check()?;
        while self.rest.is_empty() {
            let Some(batch) = self.buffer.batch(self.index, rows_max).await? else {
                return Ok(None);
            };
            self.index += 1;
            self.rest = Batch::clone(&batch);
        }
        let rest = self.rest.split_off(rows_max);
        Ok(Some(std::mem::replace(&mut self.rest, rest)))
    }
}
