//! Walks over bound trees: children of expressions and relations, the columns they name and produce.

use ahash::AHashSet;

use crate::bound::{
    AggregateCall, ColumnId, ConflictUpdate, Expr, ExprKind, FrameBound, FunctionCall, ModifyKind, Rel, SortKey,
    SubqueryKind, Subscript, WindowCall,
};
use crate::functions::Volatility;

/// Calls `visit` with each direct operand of an expression; of a subquery only with its test.
pub fn for_each_child<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    match &expr.kind {
        ExprKind::Literal(_)
        | ExprKind::Parameter(_)
        | ExprKind::Column(_)
        | ExprKind::Grouping(_)
        | ExprKind::Placeholder => {}
        ExprKind::Call { args, .. }
        | ExprKind::And(args)
        | ExprKind::Or(args)
        | ExprKind::Coalesce(args)
        | ExprKind::Row(args)
        | ExprKind::Array { elements: args, .. }
        | ExprKind::Extreme { args, .. } => args.iter().for_each(visit),
        ExprKind::Not(operand)
        | ExprKind::IsNull(operand)
        | ExprKind::IsNotNull(operand)
        | ExprKind::IsTruth { operand, .. }
        | ExprKind::Field { base: operand, .. }
        | ExprKind::ConvertIo(operand)
        | ExprKind::Coerce { base: operand, .. } => visit(operand),
        ExprKind::IsDistinct { left, right, .. }
        | ExprKind::NullIf { left, right, .. }
        | ExprKind::ArrayCompare { left, array: right, .. }
        | ExprKind::ConvertArray {
            base: left,
            element: right,
        } => {
            visit(left);
            visit(right);
        }
        ExprKind::Case { branches, otherwise } => {
            for (condition, result) in branches {
                visit(condition);
                visit(result);
            }
            if let Some(otherwise) = otherwise {
                visit(otherwise);
            }
        }
        ExprKind::RowCompare { pairs, .. } => {
            for pair in pairs {
                visit(&pair.left);
                visit(&pair.right);
            }
        }
        ExprKind::Subscript { base, subscripts } => {
            visit(base);
            for subscript in subscripts {
                match subscript {
                    Subscript::Index(index) => visit(index),
                    Subscript::Slice(from, to) => from.iter().chain(to).for_each(&mut *visit),
                }
            }
        }
        ExprKind::Subquery(subquery) => {
            if let SubqueryKind::Quantified { test, .. } = &subquery.kind {
                visit(test);
            }
        }
    }
}

/// As [`for_each_child`], mutably.
pub fn for_each_child_mut(expr: &mut Expr, visit: &mut dyn FnMut(&mut Expr)) {
    match &mut expr.kind {
        ExprKind::Literal(_)
        | ExprKind::Parameter(_)
        | ExprKind::Column(_)
        | ExprKind::Grouping(_)
        | ExprKind::Placeholder => {}
        ExprKind::Call { args, .. }
        | ExprKind::And(args)
        | ExprKind::Or(args)
        | ExprKind::Coalesce(args)
        | ExprKind::Row(args)
        | ExprKind::Array { elements: args, .. }
        | ExprKind::Extreme { args, .. } => args.iter_mut().for_each(visit),
        ExprKind::Not(operand)
        | ExprKind::IsNull(operand)
        | ExprKind::IsNotNull(operand)
        | ExprKind::IsTruth { operand, .. }
        | ExprKind::Field { base: operand, .. }
        | ExprKind::ConvertIo(operand)
        | ExprKind::Coerce { base: operand, .. } => visit(operand),
        ExprKind::IsDistinct { left, right, .. }
        | ExprKind::NullIf { left, right, .. }
        | ExprKind::ArrayCompare { left, array: right, .. }
        | ExprKind::ConvertArray {
            base: left,
            element: right,
        } => {
            visit(left);
            visit(right);
        }
        ExprKind::Case { branches, otherwise } => {
            for (condition, result) in branches {
                visit(condition);
                visit(result);
            }
            if let Some(otherwise) = otherwise {
                visit(otherwise);
            }
        }
        ExprKind::RowCompare { pairs, .. } => {
            for pair in pairs {
                visit(&mut pair.left);
                visit(&mut pair.right);
            }
        }
        ExprKind::Subscript { base, subscripts } => {
            visit(base);
            for subscript in subscripts {
                match subscript {
                    Subscript::Index(index) => visit(index),
                    Subscript::Slice(from, to) => from.iter_mut().chain(to).for_each(&mut *visit),
                }
            }
        }
        ExprKind::Subquery(subquery) => {
            if let SubqueryKind::Quantified { test, .. } = &mut subquery.kind {
                visit(test);
            }
        }
    }
}

/// Calls `visit` with every expression of a tree, the root first; subqueries' relations are not entered.
pub fn for_each_expr<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    visit(expr);
    for_each_child(expr, &mut |child| for_each_expr(child, visit));
}

/// Calls `visit` with every column an expression names, those inside of its subqueries included (a subquery's own columns
/// too: ids are unique in the statement, so they never meet another relation's).
pub fn for_each_column(expr: &Expr, visit: &mut dyn FnMut(ColumnId)) {
    match &expr.kind {
        ExprKind::Column(column) => visit(*column),
        ExprKind::Grouping(columns) => columns.iter().copied().for_each(&mut *visit),
        ExprKind::Subquery(subquery) => for_each_column_of_rel(&subquery.rel, visit),
        _ => {}
    }
    for_each_child(expr, &mut |child| for_each_column(child, visit));
}

/// Calls `visit` with every column that any expression of a relation names.
pub fn for_each_column_of_rel(rel: &Rel, visit: &mut dyn FnMut(ColumnId)) {
    for_each_own_expr(rel, &mut |expr| for_each_column(expr, visit));
    match rel {
        Rel::SetOperation {
            left_columns,
            right_columns,
            ..
        } => {
            left_columns.iter().chain(right_columns).copied().for_each(&mut *visit);
        }
        Rel::LockRows { locks, .. } => locks.iter().for_each(|lock| visit(lock.row_key)),
        Rel::With { ctes, .. } => {
            for cte in ctes {
                if let Some(recursive) = &cte.recursive {
                    recursive.columns.iter().copied().for_each(&mut *visit);
                }
            }
        }
        _ => {}
    }
    for_each_input(rel, &mut |input| for_each_column_of_rel(input, visit));
}

/// Calls `visit` with each direct input of a relation; of WITH the definitions first, then the body.
pub fn for_each_input<'r>(rel: &'r Rel, visit: &mut dyn FnMut(&'r Rel)) {
    match rel {
        Rel::OneRow
        | Rel::Scan(_)
        | Rel::SystemScan(_)
        | Rel::Values { .. }
        | Rel::FunctionScan { .. }
        | Rel::CteRef { .. } => {}
        Rel::Filter { input, .. }
        | Rel::Project { input, .. }
        | Rel::ProjectSet { input, .. }
        | Rel::Aggregate { input, .. }
        | Rel::Window { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::LockRows { input, .. } => visit(input),
        Rel::Join { left, right, .. } | Rel::SetOperation { left, right, .. } => {
            visit(left);
            visit(right);
        }
        Rel::With { ctes, body } => {
            for cte in ctes {
                visit(&cte.rel);
                if let Some(recursive) = &cte.recursive {
                    visit(&recursive.rel);
                }
            }
            visit(body);
        }
        Rel::Modify(modify) => match &modify.kind {
            ModifyKind::Insert { source, .. } => visit(&source.rel),
            ModifyKind::Update { source, .. } | ModifyKind::Delete { source, .. } => visit(source),
        },
    }
}

/// Calls `visit` with each expression that stands directly in a relation (not in its inputs).
pub fn for_each_own_expr<'r>(rel: &'r Rel, visit: &mut dyn FnMut(&'r Expr)) {
    match rel {
        Rel::OneRow
        | Rel::Scan(_)
        | Rel::SystemScan(_)
        | Rel::CteRef { .. }
        | Rel::SetOperation { .. }
        | Rel::With { .. }
        | Rel::LockRows { .. } => {}
        Rel::Values { rows, .. } => rows.iter().flatten().for_each(visit),
        Rel::FunctionScan { calls, .. } => calls.iter().for_each(|(call, _)| call_exprs(call, visit)),
        Rel::Filter { predicate, .. } => visit(predicate),
        Rel::Project { columns, .. } => columns.iter().for_each(|(_, value)| visit(value)),
        Rel::ProjectSet { calls, .. } => calls.iter().for_each(|(call, _)| call_exprs(call, visit)),
        Rel::Join { on, .. } => on.iter().for_each(visit),
        Rel::Aggregate { groups, aggregates, .. } => {
            groups.iter().for_each(|(_, value)| visit(value));
            aggregates.iter().for_each(|(_, call)| aggregate_exprs(call, visit));
        }
        Rel::Window { calls, .. } => calls.iter().for_each(|(_, call)| window_exprs(call, visit)),
        Rel::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr)),
        Rel::Limit { limit, offset, .. } => limit.iter().chain(offset).for_each(visit),
        Rel::Distinct { on, .. } => on.iter().flatten().for_each(visit),
        Rel::Modify(modify) => {
            modify.returning.iter().for_each(|(_, value)| visit(value));
            match &modify.kind {
                ModifyKind::Insert {
                    defaults, on_conflict, ..
                } => {
                    defaults.iter().for_each(|(_, value)| visit(value));
                    if let Some(ConflictUpdate {
                        assignments, predicate, ..
                    }) = on_conflict.as_ref().and_then(|conflict| conflict.update.as_ref())
                    {
                        assignments.iter().for_each(|assignment| visit(&assignment.value));
                        predicate.iter().for_each(visit);
                    }
                }
                ModifyKind::Update {
                    assignments, recheck, ..
                } => {
                    assignments.iter().for_each(|assignment| visit(&assignment.value));
                    recheck.iter().for_each(visit);
                }
                ModifyKind::Delete { recheck, .. } => recheck.iter().for_each(visit),
            }
        }
    }
}

fn call_exprs<'r>(call: &'r FunctionCall, visit: &mut dyn FnMut(&'r Expr)) {
    call.args.iter().for_each(visit);
}

fn sort_exprs<'r>(keys: &'r [SortKey], visit: &mut dyn FnMut(&'r Expr)) {
    keys.iter().for_each(|key| visit(&key.expr));
}

/// Calls `visit` with the expressions of an aggregate call.
pub fn aggregate_exprs<'r>(call: &'r AggregateCall, visit: &mut dyn FnMut(&'r Expr)) {
    call.args.iter().for_each(&mut *visit);
    sort_exprs(&call.order, visit);
    call.filter.iter().for_each(visit);
}

/// Calls `visit` with the expressions of a window function call.
pub fn window_exprs<'r>(call: &'r WindowCall, visit: &mut dyn FnMut(&'r Expr)) {
    aggregate_exprs(&call.call, visit);
    call.partition.iter().for_each(&mut *visit);
    sort_exprs(&call.order, visit);
    for bound in [&call.frame.start, &call.frame.end] {
        if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
            visit(offset);
        }
    }
}

/// As [`for_each_input`], mutably.
pub fn for_each_input_mut(rel: &mut Rel, visit: &mut dyn FnMut(&mut Rel)) {
    match rel {
        Rel::OneRow
        | Rel::Scan(_)
        | Rel::SystemScan(_)
        | Rel::Values { .. }
        | Rel::FunctionScan { .. }
        | Rel::CteRef { .. } => {}
        Rel::Filter { input, .. }
        | Rel::Project { input, .. }
        | Rel::ProjectSet { input, .. }
        | Rel::Aggregate { input, .. }
        | Rel::Window { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::LockRows { input, .. } => visit(input),
        Rel::Join { left, right, .. } | Rel::SetOperation { left, right, .. } => {
            visit(left);
            visit(right);
        }
        Rel::With { ctes, body } => {
            for cte in ctes.iter_mut() {
                visit(&mut cte.rel);
                if let Some(recursive) = &mut cte.recursive {
                    visit(&mut recursive.rel);
                }
            }
            visit(body);
        }
        Rel::Modify(modify) => match &mut modify.kind {
            ModifyKind::Insert { source, .. } => visit(&mut source.rel),
            ModifyKind::Update { source, .. } | ModifyKind::Delete { source, .. } => visit(source),
        },
    }
}

/// As [`for_each_own_expr`], mutably.
pub fn for_each_own_expr_mut(rel: &mut Rel, visit: &mut dyn FnMut(&mut Expr)) {
    match rel {
        Rel::OneRow
        | Rel::Scan(_)
        | Rel::SystemScan(_)
        | Rel::CteRef { .. }
        | Rel::SetOperation { .. }
        | Rel::With { .. }
        | Rel::LockRows { .. } => {}
        Rel::Values { rows, .. } => rows.iter_mut().flatten().for_each(visit),
        Rel::FunctionScan { calls, .. } => calls.iter_mut().flat_map(|(call, _)| &mut call.args).for_each(visit),
        Rel::Filter { predicate, .. } => visit(predicate),
        Rel::Project { columns, .. } => columns.iter_mut().for_each(|(_, value)| visit(value)),
        Rel::ProjectSet { calls, .. } => calls.iter_mut().flat_map(|(call, _)| &mut call.args).for_each(visit),
        Rel::Join { on, .. } => on.iter_mut().for_each(visit),
        Rel::Aggregate { groups, aggregates, .. } => {
            groups.iter_mut().for_each(|(_, value)| visit(value));
            aggregates
                .iter_mut()
                .for_each(|(_, call)| aggregate_exprs_mut(call, visit));
        }
        Rel::Window { calls, .. } => calls.iter_mut().for_each(|(_, call)| window_exprs_mut(call, visit)),
        Rel::Sort { keys, .. } => keys.iter_mut().for_each(|key| visit(&mut key.expr)),
        Rel::Limit { limit, offset, .. } => limit.iter_mut().chain(offset).for_each(visit),
        Rel::Distinct { on, .. } => on.iter_mut().flatten().for_each(visit),
        Rel::Modify(modify) => {
            modify.returning.iter_mut().for_each(|(_, value)| visit(value));
            match &mut modify.kind {
                ModifyKind::Insert {
                    defaults, on_conflict, ..
                } => {
                    defaults.iter_mut().for_each(|(_, value)| visit(value));
                    if let Some(ConflictUpdate {
                        assignments, predicate, ..
                    }) = on_conflict.as_mut().and_then(|conflict| conflict.update.as_mut())
                    {
                        assignments
                            .iter_mut()
                            .for_each(|assignment| visit(&mut assignment.value));
                        predicate.iter_mut().for_each(visit);
                    }
                }
                ModifyKind::Update {
                    assignments, recheck, ..
                } => {
                    assignments
                        .iter_mut()
                        .for_each(|assignment| visit(&mut assignment.value));
                    recheck.iter_mut().for_each(visit);
                }
                ModifyKind::Delete { recheck, .. } => recheck.iter_mut().for_each(visit),
            }
        }
    }
}

fn aggregate_exprs_mut(call: &mut AggregateCall, visit: &mut dyn FnMut(&mut Expr)) {
    call.args.iter_mut().for_each(&mut *visit);
    call.order.iter_mut().for_each(|key| visit(&mut key.expr));
    call.filter.iter_mut().for_each(visit);
}

fn window_exprs_mut(call: &mut WindowCall, visit: &mut dyn FnMut(&mut Expr)) {
    aggregate_exprs_mut(&mut call.call, visit);
    call.partition.iter_mut().for_each(&mut *visit);
    call.order.iter_mut().for_each(|key| visit(&mut key.expr));
    for bound in [&mut call.frame.start, &mut call.frame.end] {
        if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
            visit(offset);
        }
    }
}

impl Expr {
    /// The columns it names, those inside of its subqueries included.
    pub fn columns(&self) -> AHashSet<ColumnId> {
        let mut columns = AHashSet::new();
        for_each_column(self, &mut |column| {
            columns.insert(column);
        });
        columns
    }

    /// Whether it holds a subquery.
    pub fn has_subquery(&self) -> bool {
        let mut found = false;
        for_each_expr(self, &mut |expr| found |= matches!(expr.kind, ExprKind::Subquery(_)));
        found
    }

    /// Whether it calls a volatile function, in a subquery or outside.
    pub fn is_volatile(&self) -> bool {
        let mut found = false;
        for_each_expr(self, &mut |expr| match &expr.kind {
            ExprKind::Call { function, .. } => found |= function.volatility == Volatility::Volatile,
            ExprKind::Subquery(subquery) => found |= subquery.rel.is_volatile(),
            _ => {}
        });
        found
    }
}

impl Rel {
    /// The columns it produces, in order.
    pub fn output_columns(&self) -> Vec<ColumnId> {
        match self {
            Rel::OneRow => Vec::new(),
            Rel::Scan(scan) | Rel::SystemScan(scan) => {
                let columns = scan.columns.iter().map(|(column, _)| column.id);
                columns.chain(scan.row_key).chain(scan.table_oid).collect()
            }
            Rel::Values { columns, .. } | Rel::CteRef { columns, .. } | Rel::SetOperation { columns, .. } => {
                columns.iter().map(|column| column.id).collect()
            }
            Rel::FunctionScan { calls, ordinality } => {
                let columns = calls.iter().flat_map(|(_, columns)| columns).chain(ordinality);
                columns.map(|column| column.id).collect()
            }
            Rel::Filter { input, .. }
            | Rel::Sort { input, .. }
            | Rel::Limit { input, .. }
            | Rel::Distinct { input, .. }
            | Rel::LockRows { input, .. } => input.output_columns(),
            Rel::Project { columns, .. } => columns.iter().map(|(column, _)| column.id).collect(),
            Rel::ProjectSet { input, calls } => {
                let mut columns = input.output_columns();
                columns.extend(calls.iter().map(|(_, column)| column.id));
                columns
            }
            Rel::Join { kind, left, right, .. } => {
                let mut columns = left.output_columns();
                if !matches!(kind, crate::bound::JoinKind::Semi | crate::bound::JoinKind::Anti) {
                    columns.extend(right.output_columns());
                }
                columns
            }
            Rel::Aggregate {
                groups,
                aggregates,
                groupings,
                ..
            } => {
                let groups = groups.iter().map(|(column, _)| column.id);
                let aggregates = aggregates.iter().map(|(column, _)| column.id);
                groups
                    .chain(aggregates)
                    .chain(groupings.iter().map(|(column, _)| column.id))
                    .collect()
            }
            Rel::Window { input, calls } => {
                let mut columns = input.output_columns();
                columns.extend(calls.iter().map(|(column, _)| column.id));
                columns
            }
            Rel::With { body, .. } => body.output_columns(),
            Rel::Modify(modify) => modify.returning.iter().map(|(column, _)| column.id).collect(),
        }
    }

    /// Whether any expression in it calls a volatile function, or it modifies data.
    pub fn is_volatile(&self) -> bool {
        let mut found = matches!(self, Rel::Modify(_) | Rel::LockRows { .. });
        for_each_own_expr(self, &mut |expr| found |= expr.is_volatile());
        let mut call = |call: &FunctionCall| found |= call.function.volatility == Volatility::Volatile;
        match self {
            Rel::FunctionScan { calls, .. } => calls.iter().for_each(|(function, _)| call(function)),
            Rel::ProjectSet { calls, .. } => calls.iter().for_each(|(function, _)| call(function)),
            _ => {}
        }
        for_each_input(self, &mut |input| found |= input.is_volatile());
        found
    }
}
