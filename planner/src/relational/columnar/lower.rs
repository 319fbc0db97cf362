//! Lowering of compiled row plans to DataFusion plans, for one run.

use std::sync::Arc;

use ahash::AHashMap;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use txn::ShardRows;

use crate::bound::{ColumnId, JoinKind};
use crate::eval::{Layout, Program};
use crate::relational::columnar::adaptive::AdaptivePlan;
use crate::relational::columnar::aggregate::AggregateCall;
use crate::relational::columnar::expression::{ProgramExpr, RunContext, Yield};
use crate::relational::columnar::form::Form;
use crate::relational::columnar::rows::{RowsExec, schema_of};
use crate::relational::columnar::scan::ScanExec;
use crate::relational::operators::aggregate::AggregatePlan;
use crate::relational::operators::filter::FilterPlan;
use crate::relational::operators::hash_join::HashJoinPlan;
use crate::relational::operators::project::ProjectPlan;
use crate::relational::operators::sort::SortPlan;
use crate::relational::plan::{Operator, Plan};
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

/// Types of all columns of a statement.
pub type ColumnTypes = AHashMap<ColumnId, Type>;

/// An error of DataFusion as the client sees it.
pub(crate) fn inward(error: DataFusionError) -> SqlError {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<SqlError>() {
            Some(error) => error.clone(),
            None => SqlError::new(SqlState::INTERNAL_ERROR, inner.to_string()),
        },
        DataFusionError::ResourcesExhausted(detail) => {
            SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory").detail(detail.clone())
        }
        other => SqlError::new(SqlState::INTERNAL_ERROR, other.to_string()),
    }
}

/// Whether a plan is one that DataFusion computes, rather than a leaf of its plans.
pub(crate) fn is_columnar(plan: &dyn Plan) -> bool {
    let any = plan.as_any();
    if let Some(plan) = any.downcast_ref::<AggregatePlan>() {
        let has_one_set = matches!(plan.sets.as_slice(), [set] if set.len() == plan.groups.len());
        return has_one_set && plan.groupings.is_empty() && plan.subplans.is_empty();
    }
    if let Some(plan) = any.downcast_ref::<SortPlan>() {
        return plan.subplans.is_empty();
    }
    if let Some(plan) = any.downcast_ref::<HashJoinPlan>() {
        return plan.subplans.is_empty();
    }
    if let Some(plan) = any.downcast_ref::<FilterPlan>() {
        return plan.subplans.is_empty();
    }
    if let Some(plan) = any.downcast_ref::<ProjectPlan>() {
        return plan.subplans.is_empty() && !plan.values.iter().any(Program::is_volatile);
    }
    false
}

/// The row plan itself, without the choice of an engine around it.
pub(crate) fn row_plan(plan: &Arc<dyn Plan>) -> Arc<dyn Plan> {
    match plan.as_any().downcast_ref::<AdaptivePlan>() {
        Some(adaptive) => adaptive.rows.clone(),
        None => plan.clone(),
    }
}

/// Lowers one run of a plan.
pub(crate) struct Lowering<'a> {
    pub(crate) types: &'a ColumnTypes,
    pub(crate) context: Arc<RunContext>,
    /// Opens a leaf, from its beginning.
    pub(crate) leaf: &'a mut dyn FnMut(&Arc<dyn Plan>) -> SqlResult<Leaf>,
}

/// Where the rows of a leaf come from.
pub(crate) enum Leaf {
    /// A row operator.
    Rows(Box<dyn Operator>),
    /// The shards of a scan.
    Parts(Vec<ShardRows>),
}

type Lowered = SqlResult<(Arc<dyn ExecutionPlan>, Arc<[Form]>)>;

impl Lowering<'_> {
    /// Lowers a plan; gives the forms of its columns.
    pub(crate) fn lower(&mut self, plan: &Arc<dyn Plan>) -> Lowered {
        let plan = row_plan(plan);
        if !is_columnar(&*plan) {
            let forms: Arc<[Form]> = self.forms(plan.layout());
            let exec: Arc<dyn ExecutionPlan> = match (self.leaf)(&plan)? {
                Leaf::Rows(operator) => Arc::new(RowsExec::new(operator, forms.clone())),
                Leaf::Parts(parts) => Arc::new(ScanExec::new(&plan, parts, forms.clone(), &self.context)),
            };
            return Ok((exec, forms));
        }
        let any = plan.as_any();
        if let Some(plan) = any.downcast_ref::<AggregatePlan>() {
            self.aggregate(plan)
        } else if let Some(plan) = any.downcast_ref::<SortPlan>() {
            self.sort(plan)
        } else if let Some(plan) = any.downcast_ref::<HashJoinPlan>() {
            self.hash_join(plan)
        } else if let Some(plan) = any.downcast_ref::<FilterPlan>() {
            self.filter(plan)
        } else if let Some(plan) = any.downcast_ref::<ProjectPlan>() {
            self.project(plan)
        } else {
            Err(SqlError::new(
                SqlState::INTERNAL_ERROR,
                "a plan is columnar that nobody lowers",
            ))
        }
    }

    fn forms(&self, layout: &Layout) -> Arc<[Form]> {
        layout
            .columns()
            .iter()
            .map(|column| Form::of(self.ty(*column)))
            .collect()
    }

    fn ty(&self, column: ColumnId) -> Type {
        self.types.get(&column).copied().unwrap_or(Type::UNKNOWN)
    }

    /// Form of a program's values: a bare slot has the form of its column.
    fn form(&self, program: &Program, forms: &[Form]) -> Form {
        match program.as_slot() {
            Some(slot) => forms[slot],
            None => Form::of(program.ty()),
        }
    }

    fn expr(&self, program: &Program, forms: &Arc<[Form]>, gives: Yield) -> Arc<dyn PhysicalExpr> {
        let form = self.form(program, forms);
        match (program.as_slot(), gives) {
            (Some(slot), Yield::Value) => Arc::new(Column::new(&format!("c{slot}"), slot)),
            (Some(slot), Yield::Key) if form.is_ordered() => Arc::new(Column::new(&format!("c{slot}"), slot)),
            _ => ProgramExpr::new(program, form, forms, gives, &self.context),
        }
    }

    fn filter(&mut self, plan: &FilterPlan) -> Lowered {
        let (mut input, forms) = self.lower(&plan.input)?;
        for condition in &plan.conditions {
            let condition = ProgramExpr::new(condition, Form::Bool, &forms, Yield::Value, &self.context);
            input = Arc::new(FilterExec::try_new(condition, input).map_err(inward)?);
        }
        Ok((input, forms))
    }

    fn project(&mut self, plan: &ProjectPlan) -> Lowered {
        let (input, forms) = self.lower(&plan.input)?;
        let output: Arc<[Form]> = plan
            .values
            .iter()
            .zip(plan.layout.columns())
            .map(|(value, column)| match value.as_slot() {
                Some(slot) => forms[slot],
                None => Form::of(self.ty(*column)),
            })
            .collect();
        let values = plan
            .values
            .iter()
            .zip(&*output)
            .enumerate()
            .map(|(slot, (value, form))| {
                let expr: Arc<dyn PhysicalExpr> = match value.as_slot() {
                    Some(input_slot) => Arc::new(Column::new(&format!("c{input_slot}"), input_slot)),
                    None => ProgramExpr::new(value, *form, &forms, Yield::Value, &self.context),
                };
                (expr, format!("c{slot}"))
            });
        let values: Vec<(Arc<dyn PhysicalExpr>, String)> = values.collect();
        if values.is_empty() {
            // DataFusion's projection of no columns loses the number of rows in places: keep one.
            return Ok((input, forms));
        }
        Ok((
            Arc::new(ProjectionExec::try_new(values, input).map_err(inward)?),
            output,
        ))
    }

    fn sort(&mut self, plan: &SortPlan) -> Lowered {
        let (input, forms) = self.lower(&plan.input)?;
        let keys = plan.keys.iter().map(|key| PhysicalSortExpr {
            expr: self.expr(&key.value, &forms, Yield::Key),
            options: arrow::compute::SortOptions {
                descending: key.descending,
                nulls_first: key.nulls_first,
            },
        });
        let Some(ordering) = LexOrdering::new(keys.collect::<Vec<_>>()) else {
            return Ok((input, forms));
        };
        let fetch = match &plan.top {
            Some((limit, offset)) => self.row_count(limit, offset.as_ref())?,
            None => None,
        };
        let sort = SortExec::new(ordering, input).with_fetch(fetch);
        Ok((Arc::new(sort), forms))
    }

    /// Rows wanted by the LIMIT right above; the limit itself checks and cuts.
    fn row_count(&self, limit: &Program, offset: Option<&Program>) -> SqlResult<Option<usize>> {
        let context = self.context.runtime.eval_context(&self.context.frame);
        let limit = limit.eval(&[], &context)?.as_i64();
        let offset = match offset {
            Some(offset) => offset.eval(&[], &context)?.as_i64().unwrap_or(0),
            None => 0,
        };
        Ok(limit
            .and_then(|limit| limit.checked_add(offset))
            .and_then(|rows| usize::try_from(rows).ok()))
    }

    fn hash_join(&mut self, plan: &HashJoinPlan) -> Lowered {
        let (left, left_forms) = self.lower(&plan.left)?;
        let (right, right_forms) = self.lower(&plan.right)?;
        let on = plan
            .left_keys
            .iter()
            .zip(&plan.right_keys)
            .map(|(left_key, right_key)| {
                let (left_form, right_form) = (self.form(left_key, &left_forms), self.form(right_key, &right_forms));
                let gives = if left_form == right_form {
                    Yield::Key
                } else {
                    Yield::Widened
                };
                (
                    self.expr(left_key, &left_forms, gives),
                    self.expr(right_key, &right_forms, gives),
                )
            });
        // DataFusion builds its table from the left input, the row engine from the right one; the sides stay as they are
        // in the output, so the join is lowered with its sides exchanged and the columns put back in order.
        let on = on.map(|(left, right)| (right, left)).collect();
        let kind = match plan.kind {
            JoinKind::Inner | JoinKind::Cross => JoinType::Inner,
            JoinKind::Left => JoinType::Right,
            JoinKind::Right => JoinType::Left,
            JoinKind::Full => JoinType::Full,
            JoinKind::Semi => JoinType::RightSemi,
            JoinKind::Anti => JoinType::RightAnti,
        };
        let both: Arc<[Form]> = left_forms.iter().chain(&*right_forms).copied().collect();
        let filter = self.join_filter(&plan.on, &both, left_forms.len())?;
        let join = HashJoinExec::try_new(
            right,
            left,
            on,
            filter,
            &kind,
            None,
            PartitionMode::CollectLeft,
            NullEquality::NullEqualsNothing,
            false,
        )
        .map_err(inward)?;
        let join: Arc<dyn ExecutionPlan> = Arc::new(join);
        if matches!(plan.kind, JoinKind::Semi | JoinKind::Anti) {
            return Ok((join, left_forms));
        }
        let order = (right_forms.len()..both.len()).chain(0..right_forms.len());
        let joined = join.schema();
        let columns = order.enumerate().map(|(slot, source)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(joined.field(source).name(), source));
            (column, format!("c{slot}"))
        });
        let columns: Vec<_> = columns.collect();
        if columns.is_empty() {
            return Ok((join, both));
        }
        Ok((Arc::new(ProjectionExec::try_new(columns, join).map_err(inward)?), both))
    }

    /// Conditions beyond the equalities, over the left row followed by the right row.
    fn join_filter(&self, on: &[Program], both: &Arc<[Form]>, left_width: usize) -> SqlResult<Option<JoinFilter>> {
        if on.is_empty() {
            return Ok(None);
        }
        let indices = (0..both.len()).map(|slot| match slot < left_width {
            true => ColumnIndex {
                index: slot,
                side: JoinSide::Right,
            },
            false => ColumnIndex {
                index: slot - left_width,
                side: JoinSide::Left,
            },
        });
        let condition = Program::all(on);
        let expr = ProgramExpr::new(&condition, Form::Bool, both, Yield::Value, &self.context);
        Ok(Some(JoinFilter::new(expr, indices.collect(), schema_of(both))))
    }

    fn aggregate(&mut self, plan: &AggregatePlan) -> Lowered {
        let (input, forms) = self.lower(&plan.input)?;
        let schema = input.schema();
        let (mut keys, mut calls, mut filters, mut output) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // Where each output column is among DataFusion's: the keys, then the aggregates.
        let mut places: Vec<usize> = Vec::new();
        for (position, (value, key)) in plan.groups.iter().zip(&plan.keys).enumerate() {
            let form = self.form(value, &forms);
            let key_form = self.form(key, &forms);
            keys.push((self.expr(key, &forms, Yield::Key), format!("k{position}")));
            output.push(form);
            let is_own_key = form.is_ordered() && key_form == form && value.ty().oid != oid::BPCHAR && !key.trims();
            if is_own_key {
                places.push(position);
                continue;
            }
            // Equal keys may stand for values that print differently: PostgreSQL shows the first one's.
            places.push(plan.groups.len() + calls.len());
            let call = AggregateCall::new(None, vec![form], form, &self.context);
            let value = vec![self.expr(value, &forms, Yield::Value)];
            calls.push(self.call(call, value, &schema, calls.len())?);
            filters.push(None);
        }
        for (position, aggregate) in plan.aggregates.iter().enumerate() {
            let mut arg_forms: Vec<Form> = aggregate.args.iter().map(|arg| self.form(arg, &forms)).collect();
            let mut args: Vec<_> = aggregate
                .args
                .iter()
                .map(|arg| self.expr(arg, &forms, Yield::Value))
                .collect();
            for key in &aggregate.order {
                arg_forms.push(self.form(&key.value, &forms));
                args.push(self.expr(&key.value, &forms, Yield::Value));
            }
            if args.is_empty() {
                args.push(Arc::new(Literal::new(datafusion::common::ScalarValue::Boolean(Some(
                    true,
                )))));
            }
            let result = Form::of(self.ty(plan.layout.columns()[plan.groups.len() + position]));
            output.push(result);
            places.push(plan.groups.len() + calls.len());
            let call = AggregateCall::new(Some(aggregate), arg_forms, result, &self.context);
            calls.push(self.call(call, args, &schema, calls.len())?);
            filters.push(
                aggregate
                    .filter
                    .as_ref()
                    .map(|filter| ProgramExpr::new(filter, Form::Bool, &forms, Yield::Value, &self.context)),
            );
        }
        let group_by = PhysicalGroupBy::new_single(keys);
        let exec =
            AggregateExec::try_new(AggregateMode::Single, group_by, calls, filters, input, schema).map_err(inward)?;
        let grouped = exec.schema();
        let columns = places.into_iter().enumerate().map(|(slot, place)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(grouped.field(place).name(), place));
            (column, format!("c{slot}"))
        });
        let exec = ProjectionExec::try_new(columns.collect::<Vec<_>>(), Arc::new(exec)).map_err(inward)?;
        Ok((Arc::new(exec), output.into()))
    }

    fn call(
        &self,
        call: Arc<datafusion::logical_expr::AggregateUDF>,
        args: Vec<Arc<dyn PhysicalExpr>>,
        schema: &arrow::datatypes::SchemaRef,
        number: usize,
    ) -> SqlResult<Arc<datafusion::physical_expr::aggregate::AggregateFunctionExpr>> {
        let builder = AggregateExprBuilder::new(call, args)
            .schema(schema.clone())
            .alias(format!("a{number}"));
        Ok(Arc::new(builder.build().map_err(inward)?))
    }
}
