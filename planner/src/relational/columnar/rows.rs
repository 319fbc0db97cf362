//! RowsExec: rows of a row operator as Arrow batches, and arrays as rows again.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema, SchemaRef};
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
use storage::Datum;

use crate::SqlResult;
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::columnar::form::{ArrayBuilder, Form, Reader};
use crate::relational::columnar::vector::outward;
use crate::relational::plan::Operator;

/// Schema of columns of these forms. Columns go by position; names only have to differ.
pub(crate) fn schema_of(forms: &[Form]) -> SchemaRef {
    let fields = forms
        .iter()
        .enumerate()
        .map(|(slot, form)| Field::new(format!("c{slot}"), form.data_type(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Turns rows into arrays.
pub(crate) fn to_arrow(batch: &Batch, forms: &[Form], schema: &SchemaRef) -> SqlResult<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(forms.len());
    for (slot, form) in forms.iter().enumerate() {
        let mut builder = ArrayBuilder::new(*form, batch.len());
        for row in batch.rows() {
            builder.push(&row[slot])?;
        }
        columns.push(builder.finish());
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.len()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| crate::relational::columnar::lower::inward(error.into()))
}

/// Turns arrays into rows.
pub(crate) fn to_rows(batch: &RecordBatch, forms: &[Form]) -> Batch {
    let readers: Vec<Reader<'_>> = batch
        .columns()
        .iter()
        .zip(forms)
        .map(|(array, form)| Reader::new(array, *form))
        .collect();
    let mut values: Vec<Datum> = Vec::with_capacity(batch.num_rows() * forms.len());
    for row in 0..batch.num_rows() {
        values.extend(readers.iter().map(|reader| reader.get(row)));
    }
    Batch::from_values(forms.len(), batch.num_rows(), values)
}

/// A leaf of a DataFusion plan that reads a row operator, once.
pub(crate) struct RowsExec {
    operator: Mutex<Option<Box<dyn Operator>>>,
    forms: Arc<[Form]>,
    properties: Arc<PlanProperties>,
}

impl RowsExec {
    pub(crate) fn new(operator: Box<dyn Operator>, forms: Arc<[Form]>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema_of(&forms)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            operator: Mutex::new(Some(operator)),
            forms,
            properties: Arc::new(properties),
        }
    }
}

impl fmt::Debug for RowsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowsExec({:?})", self.forms)
    }
}

impl DisplayAs for RowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowsExec")
    }
}

impl ExecutionPlan for RowsExec {
    fn name(&self) -> &str {
        "RowsExec"
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
        let Some(operator) = self.operator.lock().take() else {
            return Err(DataFusionError::Internal("rows are read once".to_owned()));
        };
        let schema = self.properties.equivalence_properties().schema().clone();
        let state = (operator, self.forms.clone(), schema.clone());
        let batches = stream::try_unfold(state, |(mut operator, forms, schema)| async move {
            // Larger batches make up for what each costs in every operator above.
            let mut rows: Option<Batch> = None;
            while rows.as_ref().is_none_or(|rows| rows.len() < ARROW_ROWS - BATCH_ROWS) {
                match (operator.next(BATCH_ROWS).await.map_err(outward)?, &mut rows) {
                    (Some(batch), Some(rows)) => rows.append(batch),
                    (Some(batch), None) => rows = Some(batch),
                    (None, _) => break,
                }
            }
            match rows {
                Some(rows) => {
                    let batch = to_arrow(&rows, &forms, &schema).map_err(outward)?;
                    Ok(Some((batch, (operator, forms, schema))))
                }
                None => Ok(None),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, Box::pin(batches))))
    }
}

/// Rows of an Arrow batch.
pub(crate) const ARROW_ROWS: usize = 8192;
