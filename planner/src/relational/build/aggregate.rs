//! GROUP BY and aggregates.

use std::sync::Arc;

use super::expressions::Expressions;
use super::{Builder, Built, Needed, internal};
use storage::Datum;

use crate::bound::visit::aggregate_exprs;
use crate::bound::{AggregateCall, Expr, ExprKind, OutputColumn, Rel, SortKey};
use crate::eval::{Layout, OuterScope};
use crate::relational::accumulate::AggregateProgram;
use crate::relational::operators::aggregate::AggregatePlan;
use crate::relational::rewrite::fold::{conjunction, split_conjuncts};
use crate::{SqlResult, Type};

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
        let first = match (groups, aggregates, sets) {
            ([], [(_, call)], [] | [_]) => self.extreme_input(input, call, scope)?,
            _ => None,
        };
        let input = self.build(first.as_ref().unwrap_or(input), &needed, scope)?;
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

impl Builder<'_> {
    /// For `min(x)` and `max(x)` over a table with an index on `x`: the one row that decides, read from the index's end.
    fn extreme_input(&mut self, input: &Rel, call: &AggregateCall, scope: &mut OuterScope) -> SqlResult<Option<Rel>> {
        let descending = match call.function.name {
            "min" => false,
            "max" => true,
            _ => return Ok(None),
        };
        let ([value], None, true) = (call.args.as_slice(), &call.filter, call.order.is_empty()) else {
            return Ok(None);
        };
        let (scan, mut conjuncts) = match input {
            Rel::Scan(scan) => (scan, Vec::new()),
            Rel::Filter { input, predicate } => match &**input {
                Rel::Scan(scan) => (scan, split_conjuncts(predicate.clone())),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let key = |nulls_first| SortKey {
            expr: value.clone(),
            descending,
            nulls_first,
        };
        conjuncts.push(Expr {
            kind: ExprKind::IsNotNull(Box::new(value.clone())),
            ty: Type::BOOL,
            position: None,
        });
        if value.has_subquery() || value.is_volatile() {
            return Ok(None);
        }
        for nulls_first in [descending, !descending] {
            let keys = vec![key(nulls_first)];
            if self.ordered_access(scan, &conjuncts, &keys, true, scope)?.is_none() {
                continue;
            }
            let filtered = Rel::Filter {
                input: Box::new(Rel::Scan(scan.clone())),
                predicate: conjunction(conjuncts).unwrap_or_else(|| value.clone()),
            };
            let sorted = Rel::Sort {
                input: Box::new(filtered),
                keys,
            };
            return Ok(Some(Rel::Limit {
                input: Box::new(sorted),
                limit: Some(Expr {
                    kind: ExprKind::Literal(Datum::Int8(1)),
                    ty: Type::INT8,
                    position: None,
                }),
                offset: None,
                with_ties: false,
            }));
        }
        Ok(None)
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
