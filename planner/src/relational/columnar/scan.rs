//! ScanExec: rows of a table as arrays, straight from the shards.
//!
//! ```text
//!   shard 1 ─ task: visit rows ─► arrays ─► conditions ─┐
//!   shard 2 ─ task: …                                   ├─ in turn ─► batches
//!   shard 3   (waits until one of those is done)        ┘
//! ```
//! A value goes from RocksDB's memory into its array at once, without a row in between. As many shards are read at a time
//! as there are processors; batches are taken from them in turn, so that the order of rows, which nobody above may ask for,
//! is at least the same each time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use arrow::array::{ArrayRef, AsArray, NullArray};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream;
use parking_lot::Mutex;
use storage::mvcc::RowRef;
use storage::version::ValueRef;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use txn::ShardRows;

use crate::eval::Program;
use crate::explain::node::Measure;
use crate::relational::access::Target;
use crate::relational::columnar::expression::RunContext;
use crate::relational::columnar::form::{ArrayBuilder, Form};
use crate::relational::columnar::rows::{ARROW_ROWS, schema_of};
use crate::relational::columnar::vector::{Vectors, outward};
use crate::relational::operators::scan::ScanPlan;
use crate::relational::plan::Plan;
use crate::relational::runtime::{Frame, Runtime};
use crate::{SqlError, SqlResult};

/// Batches of one shard that wait to be taken.
const BATCHES_AHEAD: usize = 2;

/// What of a scan is read by columns: nothing if rows have to come in order, be locked one by one, be merged with own writes,
/// or be found by an index.
pub(crate) async fn parts(
    scan: &Arc<dyn Plan>,
    runtime: &Arc<Runtime>,
    frame: &Frame,
) -> SqlResult<Option<Vec<ShardRows>>> {
    let Some(plan) = scan.as_any().downcast_ref::<ScanPlan>() else {
        return Ok(None);
    };
    let source = &runtime.source;
    let is_plain = plan.subplans.is_empty()
        && !plan.filter.iter().any(Program::is_volatile)
        && !source.reads_under_locks()
        && !source.has_additions(plan.table.id);
    if !is_plain {
        return Ok(None);
    }
    match plan.access.targets(&plan.table, &runtime.eval_context(frame))? {
        Target::Ranges(ranges) => source.parts(plan.table.id, &ranges).await,
        Target::Nothing | Target::Keys(_) | Target::IndexRanges { .. } => Ok(None),
    }
}

/// What a task does with the rows of a shard.
struct Reader {
    /// Slots of the extended stored row that are read, with their forms.
    columns: Vec<(usize, Form)>,
    /// The scan's conditions as one.
    condition: Option<Program>,
    plan: Arc<dyn Plan>,
    forms: Arc<[Form]>,
    schema: SchemaRef,
    context: Arc<RunContext>,
    measure: Option<Arc<Measure>>,
}

/// A leaf of a DataFusion plan that reads the shards of a table, once.
pub(crate) struct ScanExec {
    parts: Mutex<Option<Vec<ShardRows>>>,
    reader: Arc<Reader>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    /// A leaf over what [`parts`] gave for this plan; `forms` are those of the plan's output.
    pub(crate) fn new(
        plan: &Arc<dyn Plan>,
        parts: Vec<ShardRows>,
        forms: Arc<[Form]>,
        context: &Arc<RunContext>,
    ) -> Self {
        let measure = plan.described().map(|node| node.measure.clone());
        if let Some(measure) = &measure {
            // Rows that were read to choose the engine are read again.
            measure.restart();
        }
        let schema = schema_of(&forms);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let mut columns: Vec<(usize, Form)> = Vec::new();
        let mut condition = None;
        if let Some(scan) = plan.as_any().downcast_ref::<ScanPlan>() {
            let mut add = |slot: usize, form: Form| {
                if !columns.iter().any(|(known, _)| *known == slot) {
                    columns.push((slot, form));
                }
            };
            scan.slots
                .iter()
                .zip(&*forms)
                .for_each(|(slot, form)| add(*slot, *form));
            if !scan.filter.is_empty() {
                let all = Program::all(&scan.filter);
                all.root.for_each_slot(&mut |slot| add(slot, stored_form(scan, slot)));
                condition = Some(all);
            }
        }
        let reader = Reader {
            columns,
            condition,
            plan: plan.clone(),
            forms,
            schema,
            context: context.clone(),
            measure,
        };
        Self {
            parts: Mutex::new(Some(parts)),
            reader: Arc::new(reader),
            properties: Arc::new(properties),
        }
    }
}

/// Form of a column of the extended stored row: behind the table's columns stand the row's key and the table's oid.
fn stored_form(scan: &ScanPlan, slot: usize) -> Form {
    match scan.table.columns.get(slot) {
        Some(column) => Form::of(column.ty),
        None if slot == scan.missing.len() => Form::Bytea,
        None => Form::Oid,
    }
}

impl Reader {
    fn scan(&self) -> SqlResult<&ScanPlan> {
        let scan = self.plan.as_any().downcast_ref::<ScanPlan>();
        scan.ok_or_else(|| SqlError::new(crate::SqlState::INTERNAL_ERROR, "not a scan"))
    }

    /// Reads the next rows of a part; says whether there may be more.
    fn read(&self, part: &mut ShardRows) -> SqlResult<(Option<RecordBatch>, bool)> {
        let scan = self.scan()?;
        let mut builders: Vec<ArrayBuilder> = self
            .columns
            .iter()
            .map(|(_, form)| ArrayBuilder::new(*form, ARROW_ROWS))
            .collect();
        let mut rows = 0;
        let mut visit = |key: &[u8], row: RowRef<'_>| -> SqlResult<()> {
            rows += 1;
            for ((slot, _), builder) in self.columns.iter().zip(&mut builders) {
                match row_value(scan, *slot, key, &row)? {
                    Some(value) => builder.push_value(value)?,
                    None => builder.push(&scan.missing[*slot])?,
                }
            }
            Ok(())
        };
        let is_more = part.visit(ARROW_ROWS, &mut visit)?;
        let batch = self.batch(scan, rows, builders)?;
        Ok((batch, is_more))
    }

    /// Drops the rows that fail the conditions.
    fn batch(&self, scan: &ScanPlan, rows: usize, builders: Vec<ArrayBuilder>) -> SqlResult<Option<RecordBatch>> {
        if rows == 0 {
            return Ok(None);
        }
        let mut arrays: Vec<ArrayRef> = builders.into_iter().map(ArrayBuilder::finish).collect();
        let mut kept = rows;
        if let Some(condition) = &self.condition {
            let mask = self.mask(scan, condition, rows, &arrays)?;
            let mask = mask.as_boolean();
            kept = mask.iter().filter(|passes| *passes == Some(true)).count();
            if let (Some(measure), true) = (&scan.measure, kept < rows) {
                measure.remove((rows - kept) as u64);
            }
            if kept == 0 {
                return Ok(None);
            }
            if kept < rows {
                let wanted = scan.slots.len();
                arrays.truncate(self.output_count(wanted));
                for array in &mut arrays {
                    *array = arrow::compute::filter(array, mask).map_err(arrow_error)?;
                }
            }
        }
        let output = scan.slots.iter().map(|slot| {
            let place = self.columns.iter().position(|(known, _)| known == slot);
            arrays[place.unwrap_or_default()].clone()
        });
        let options = RecordBatchOptions::new().with_row_count(Some(kept));
        RecordBatch::try_new_with_options(self.schema.clone(), output.collect(), &options)
            .map(Some)
            .map_err(arrow_error)
    }

    /// How many of the columns read are for output: those come first.
    fn output_count(&self, wanted: usize) -> usize {
        wanted.min(self.columns.len())
    }

    fn mask(&self, scan: &ScanPlan, condition: &Program, rows: usize, arrays: &[ArrayRef]) -> SqlResult<ArrayRef> {
        static UNREAD: LazyLock<ArrayRef> = LazyLock::new(|| Arc::new(NullArray::new(0)));
        let width = scan.missing.len() + 2;
        let mut columns = vec![UNREAD.clone(); width];
        let mut forms = vec![Form::Stored; width];
        for ((slot, form), array) in self.columns.iter().zip(arrays) {
            columns[*slot] = array.clone();
            forms[*slot] = *form;
        }
        let vectors = Vectors {
            columns: &columns,
            forms: &forms,
            rows,
            context: self.context.runtime.eval_context(&self.context.frame),
        };
        vectors
            .array(condition, Form::Bool)
            .map_err(crate::relational::columnar::lower::inward)
    }
}

fn arrow_error(error: arrow::error::ArrowError) -> SqlError {
    crate::relational::columnar::lower::inward(error.into())
}

/// A value of the extended stored row; `None` if the row is shorter.
fn row_value<'a>(scan: &ScanPlan, slot: usize, key: &'a [u8], row: &'a RowRef<'_>) -> SqlResult<Option<ValueRef<'a>>> {
    let width = scan.missing.len();
    Ok(match slot {
        _ if slot < width => row.column(slot).map_err(txn::TxnError::from)?,
        _ if slot == width => Some(ValueRef::Bytea(key)),
        _ => Some(ValueRef::Oid(scan.table.id)),
    })
}

/// A shard being read.
struct Running {
    batches: mpsc::Receiver<SqlResult<RecordBatch>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn run(reader: &Arc<Reader>, mut part: ShardRows) -> Running {
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    let reader = reader.clone();
    let task = tokio::spawn(async move {
        loop {
            if let Err(error) = reader.context.runtime.check() {
                // The receiver may be gone.
                let _ = sender.send(Err(error)).await;
                return;
            }
            let (batch, is_more) = match reader.read(&mut part) {
                Ok(read) => read,
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            if let Some(batch) = batch
                && sender.send(Ok(batch)).await.is_err()
            {
                return;
            }
            if !is_more {
                return;
            }
            // A batch takes milliseconds: other tasks of this thread must have their turn.
            tokio::task::yield_now().await;
        }
    });
    Running { batches, task }
}

/// The shards of a scan, taken in turn.
struct Turns {
    reader: Arc<Reader>,
    waiting: VecDeque<ShardRows>,
    running: VecDeque<Running>,
    rows: u64,
    started: Instant,
}

impl Turns {
    async fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        static PROCESSORS: LazyLock<usize> =
            LazyLock::new(|| std::thread::available_parallelism().map_or(1, |count| count.get()));
        loop {
            while self.running.len() < *PROCESSORS {
                let Some(part) = self.waiting.pop_front() else { break };
                self.running.push_back(run(&self.reader, part));
            }
            let Some(mut first) = self.running.pop_front() else {
                if let Some(measure) = &self.reader.measure {
                    let elapsed = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    measure.add_run(self.rows, elapsed);
                }
                return Ok(None);
            };
            if let Some(batch) = first.batches.recv().await {
                self.running.push_back(first);
                let batch = batch?;
                self.rows += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
        }
    }
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanExec({:?})", self.reader.forms)
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanExec")
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(parts) = self.parts.lock().take() else {
            return Err(DataFusionError::Internal("rows are read once".to_owned()));
        };
        let turns = Turns {
            reader: self.reader.clone(),
            waiting: parts.into(),
            running: VecDeque::new(),
            rows: 0,
            started: Instant::now(),
        };
        let batches = stream::try_unfold(turns, |mut turns| async move {
            let batch = turns.next().await.map_err(outward)?;
            Ok(batch.map(|batch| (batch, turns)))
        });
        let schema = self.reader.schema.clone();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, Box::pin(batches))))
    }
}
