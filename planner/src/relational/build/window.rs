//! Window functions: calls over the same window are computed together.

use std::sync::Arc;

use super::expressions::Expressions;
use super::{Builder, Built, Needed, internal};
use crate::bound::visit::window_exprs;
use crate::bound::{Expr, Frame, FrameBound, FrameUnits, OutputColumn, Rel, SortKey, WindowCall};
use crate::eval::OuterScope;
use crate::functions::{self, Body};
use crate::relational::operators::frame::{BoundProgram, FrameProgram, RangeArithmetic};
use crate::relational::operators::window::{Window, WindowKind, WindowPlan, WindowProgram};
use crate::{SqlError, SqlResult};

impl Builder<'_> {
    pub(super) fn window(
        &mut self,
        input: &Rel,
        calls: &[(OutputColumn, WindowCall)],
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let mut below = needed.clone();
        for (_, call) in calls {
            window_exprs(call, &mut |expr| below.extend(expr.columns()));
        }
        let input = self.build(input, &below, scope)?;
        let mut layout = input.layout().clone();
        for (column, _) in calls {
            layout.push(column.id);
        }
        let width = input.layout().width();
        let mut specifications: Vec<(&WindowCall, Vec<usize>)> = Vec::new();
        for (position, (_, call)) in calls.iter().enumerate() {
            match specifications.iter_mut().find(|(known, _)| is_same_window(known, call)) {
                Some((_, positions)) => positions.push(position),
                None => specifications.push((call, vec![position])),
            }
        }
        // As PostgreSQL does, the windows sorted by most keys come first, so that rows leave in the order of the last.
        specifications.sort_by_key(|(call, _)| std::cmp::Reverse(call.partition.len() + call.order.len()));
        let mut expressions = self.expressions(input.layout(), scope);
        let mut windows = Vec::with_capacity(specifications.len());
        for (specification, positions) in specifications {
            let partition = specification
                .partition
                .iter()
                .map(|key| expressions.key(key))
                .collect::<SqlResult<Vec<_>>>()?;
            let order = expressions.sort_keys(&specification.order)?;
            let mut programs = Vec::with_capacity(positions.len());
            for position in positions {
                programs.push((width + position, expressions.window_call(&calls[position].1)?));
            }
            windows.push(Window {
                partition,
                order,
                calls: programs,
            });
        }
        let subplans = expressions.finish();
        Ok(Arc::new(WindowPlan {
            input,
            windows,
            subplans,
            layout,
        }))
    }
}

/// Whether two calls share partitions and order. Expressions are compared by what they print as.
fn is_same_window(left: &WindowCall, right: &WindowCall) -> bool {
    let print = |exprs: &[Expr]| format!("{:?}", exprs.iter().map(|expr| &expr.kind).collect::<Vec<_>>());
    let keys = |keys: &[SortKey]| {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| (&key.expr.kind, key.descending, key.nulls_first))
            .collect();
        format!("{keys:?}")
    };
    print(&left.partition) == print(&right.partition) && keys(&left.order) == keys(&right.order)
}

impl Expressions<'_, '_> {
    fn window_call(&mut self, call: &WindowCall) -> SqlResult<WindowProgram> {
        let function = call.call.function;
        let kind = match function.body {
            Body::Aggregate(_) => WindowKind::Aggregate(self.aggregate(&call.call)?),
            _ => WindowKind::by_name(function.name)
                .ok_or_else(|| internal(&format!("{} is not a window function", function.name)))?,
        };
        let args = self.programs(&call.call.args)?;
        Ok(WindowProgram {
            kind,
            args,
            frame: self.frame(&call.frame, &call.order)?,
        })
    }

    fn frame(&mut self, frame: &Frame, order: &[SortKey]) -> SqlResult<FrameProgram> {
        let start = self.bound(&frame.start)?;
        let end = self.bound(&frame.end)?;
        let offset = [&frame.start, &frame.end].into_iter().find_map(|bound| match bound {
            FrameBound::Preceding(offset) | FrameBound::Following(offset) => Some(offset),
            _ => None,
        });
        let arithmetic = match (frame.units, offset, order.first()) {
            (FrameUnits::Range, Some(offset), Some(key)) => Some(range_arithmetic(&key.expr, offset)?),
            _ => None,
        };
        Ok(FrameProgram {
            units: frame.units,
            start,
            end,
            exclude: frame.exclude,
            arithmetic,
        })
    }

    fn bound(&mut self, bound: &FrameBound) -> SqlResult<BoundProgram> {
        Ok(match bound {
            FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => BoundProgram::Unbounded,
            FrameBound::CurrentRow => BoundProgram::CurrentRow,
            FrameBound::Preceding(offset) => BoundProgram::Preceding(self.program(offset)?),
            FrameBound::Following(offset) => BoundProgram::Following(self.program(offset)?),
        })
    }
}

fn range_arithmetic(key: &Expr, offset: &Expr) -> SqlResult<RangeArithmetic> {
    let find = |symbol: &str| {
        functions::operators(symbol)
            .iter()
            .find(|operator| operator.left == key.ty.oid && operator.right == offset.ty.oid)
            .and_then(|operator| functions::by_oid(operator.function))
    };
    match (find("+"), find("-")) {
        (Some(add), Some(subtract)) => Ok(RangeArithmetic {
            add,
            subtract,
            types: [key.ty, offset.ty],
        }),
        _ => Err(SqlError::new(
            crate::SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and offset type {}",
                crate::types::format_type(key.ty),
                crate::types::format_type(offset.ty)
            ),
        )),
    }
}
