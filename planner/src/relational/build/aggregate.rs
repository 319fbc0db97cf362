//! GROUP BY and aggregates.

use std::sync::Arc;

use super::expressions::Expressions;
use super::{Builder, Built, Needed, internal};
use crate::SqlResult;
use crate::bound::visit::aggregate_exprs;
use crate::bound::{AggregateCall, Expr, OutputColumn, Rel};
use crate::eval::{Layout, OuterScope};
use crate::relational::accumulate::AggregateProgram;
use crate::relational::operators::aggregate::AggregatePlan;

impl Builder<'_> {
    pub(super) fn aggregate(
        &mut self,
        input: &Rel,
        groups: &[(OutputColumn, Expr)],
        sets: &[Vec<usize>],
        aggregates: &[(OutputColumn, AggregateCall)],
        groupings: &[(OutputColumn, Vec<usize>)],
        scope: &mut OuterScope,
    ) -> Built {
        let mut needed = Needed::new();
        groups.iter().for_each(|(_, value)| needed.extend(value.columns()));
        for (_, call) in aggregates {
            aggregate_exprs(call, &mut |expr| needed.extend(expr.columns()));
        }
        let input = self.build(input, &needed, scope)?;
        let mut layout = Layout::default();
        let mut expressions = self.expressions(input.layout(), scope);
        let (mut values, mut keys, mut programs) = (Vec::new(), Vec::new(), Vec::new());
        for (column, value) in groups {
            values.push(expressions.program(value)?);
            keys.push(expressions.key(value)?);
            layout.push(column.id);
        }
        for (column, call) in aggregates {
            programs.push(expressions.aggregate(call)?);
            layout.push(column.id);
        }
        for (column, _) in groupings {
            layout.push(column.id);
        }
        let subplans = expressions.finish();
        // An aggregation without GROUP BY has one group, even over no rows.
        let sets = if sets.is_empty() && groups.is_empty() {
            vec![Vec::new()]
        } else {
            sets.to_vec()
        };
        let groupings = groupings.iter().map(|(_, positions)| positions.clone()).collect();
        let plan = AggregatePlan {
            input,
            groups: values,
            keys,
            sets,
            aggregates: programs,
            groupings,
            subplans,
            layout,
        };
        let measure = self.measure();
        Ok(self.adaptive(Arc::new(plan), measure))
    }
}

impl Expressions<'_, '_> {
    /// Compiles an aggregate call.
    pub(super) fn aggregate(&mut self, call: &AggregateCall) -> SqlResult<AggregateProgram> {
        let make = AggregateProgram::maker(call.function)
            .ok_or_else(|| internal(&format!("function {} is not an aggregate", call.function.name)))?;
        Ok(AggregateProgram {
            function: call.function,
            make,
            args: self.programs(&call.args)?,
            arg_types: call.args.iter().map(|arg| arg.ty).collect(),
            result: call.ty,
            distinct: call.distinct,
            order: self.sort_keys(&call.order)?,
            filter: call.filter.as_ref().map(|filter| self.program(filter)).transpose()?,
            counts: call.function.name == "count",
        })
    }
}
