//! Programs as DataFusion's physical expressions.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use crate::eval::Program;
use crate::relational::columnar::form::{Form, key_array, key_data_type};
use crate::relational::columnar::vector::Vectors;
use crate::relational::runtime::{Frame, Runtime};

/// What the expressions of one run share.
pub(crate) struct RunContext {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) frame: Frame,
}

/// What an expression gives of a program's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Yield {
    /// The values.
    Value,
    /// Arrays that are equal and ordered as PostgreSQL has the values ([`key_array`]).
    Key,
    /// As `Key`, for integers or floats of different widths that are compared with each other.
    Widened,
}

/// A program over batches of known forms.
pub(crate) struct ProgramExpr {
    program: Program,
    /// Forms of the input's columns.
    forms: Arc<[Form]>,
    form: Form,
    gives: Yield,
    context: Arc<RunContext>,
}

impl ProgramExpr {
    #[allow(
        clippy::new_ret_no_self,
        reason = "DataFusion takes expressions as trait objects only"
    )]
    pub(crate) fn new(
        program: &Program,
        form: Form,
        forms: &Arc<[Form]>,
        gives: Yield,
        context: &Arc<RunContext>,
    ) -> Arc<dyn PhysicalExpr> {
        let form = match (gives, form) {
            (Yield::Widened, Form::Int2 | Form::Int4 | Form::Int8) => Form::Int8,
            (Yield::Widened, Form::Float4 | Form::Float8) => Form::Float8,
            _ => form,
        };
        Arc::new(Self {
            program: program.clone(),
            forms: forms.clone(),
            form,
            gives,
            context: context.clone(),
        })
    }

    fn array(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let context = self.context.runtime.eval_context(&self.context.frame);
        let vectors = Vectors {
            columns: batch.columns(),
            forms: &self.forms,
            rows: batch.num_rows(),
            context,
        };
        let array = vectors.array(&self.program, self.form)?;
        Ok(match self.gives {
            Yield::Value => array,
            Yield::Key | Yield::Widened => key_array(&array, self.form),
        })
    }

    fn output(&self) -> DataType {
        match self.gives {
            Yield::Value => self.form.data_type(),
            Yield::Key | Yield::Widened => key_data_type(self.form),
        }
    }
}

impl PhysicalExpr for ProgramExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.output())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::new(Field::new("program", self.output(), true)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.array(batch)?;
        debug_assert_eq!(array.len(), batch.num_rows());
        Ok(ColumnarValue::Array(array))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ProgramExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program@{:p}", self)
    }
}

impl fmt::Debug for ProgramExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.program)
    }
}

// Two expressions are one only if they are the same object: programs are not compared, they may be volatile.
impl PartialEq for ProgramExpr {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for ProgramExpr {}

impl Hash for ProgramExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self, state);
    }
}
