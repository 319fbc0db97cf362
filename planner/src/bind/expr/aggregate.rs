//! Aggregates and window functions: calls that a relation below the expression computes.
//!
//! The call is registered with the query level it belongs to, and the expression holds the column that stands for it. An
//! aggregate belongs to the innermost level whose columns its arguments use, so one over outer columns only is the outer
//! query's.

use sqlparser::ast as sql;
use sqlparser::ast::{DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments};

use super::function::{CallArgs, FunctionChoice};
use crate::bind::Binder;
use crate::bind::context::Context;
use crate::bind::same::same_call;
use crate::bound::visit;
use crate::bound::{AggregateCall, Expr, ExprKind, SortKey};
use crate::functions::{self, FunctionKind};
use crate::{SqlError, SqlResult, SqlState, Type};

impl Binder<'_> {
    /// An aggregate call without OVER.
    pub(super) fn bind_aggregate(
        &mut self,
        name: &str,
        function: &sql::Function,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let before = (self.scope().in_aggregate, self.scope().no_sets);
        let marks = (self.scope().aggregates.len(), self.scope().windows.len());
        self.scope().in_aggregate = true;
        self.scope().no_sets = Some("aggregate");
        let call = self.bind_aggregate_call(name, function, position);
        self.scope().in_aggregate = before.0;
        self.scope().no_sets = before.1;
        let call = call?;
        let level = self.level_of(&call);
        self.check_nesting(&call, level, marks, position)?;
        self.check_aggregate_place(level, position)?;
        let ty = call.ty;
        let id = self.register_aggregate(level, name, call);
        Ok(Expr {
            kind: ExprKind::Column(id),
            ty,
            position,
        })
    }

    /// Binds the call itself: arguments, DISTINCT, ORDER BY, FILTER, WITHIN GROUP.
    fn bind_aggregate_call(
        &mut self,
        name: &str,
        function: &sql::Function,
        position: Option<u32>,
    ) -> SqlResult<AggregateCall> {
        let mut distinct = false;
        let mut order_by: &[sql::OrderByExpr] = &[];
        let mut star = false;
        if let FunctionArguments::List(list) = &function.args {
            distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
            star = list
                .args
                .iter()
                .any(|arg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Wildcard)));
            for clause in &list.clauses {
                match clause {
                    FunctionArgumentClause::OrderBy(keys) => order_by = keys,
                    other => {
                        return Err(SqlError::unsupported(format_args!("{other} in an aggregate")).at(position));
                    }
                }
            }
        }
        let mut call = self.bind_call_args(function)?;
        if call.args.is_empty() && !star && function.within_group.is_empty() {
            let takes_none = functions::by_name(name).iter().any(|f| f.args.is_empty());
            if takes_none && name == "count" {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("{name}(*) must be used to call a parameterless aggregate function"),
                )
                .at(position));
            }
        }
        let mut within: Vec<Expr> = Vec::new();
        if !function.within_group.is_empty() {
            if distinct {
                return Err(
                    SqlError::new(SqlState::SYNTAX_ERROR, "cannot use DISTINCT with WITHIN GROUP").at(position),
                );
            }
            if !order_by.is_empty() {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "cannot use multiple ORDER BY clauses with WITHIN GROUP",
                )
                .at(position));
            }
            for key in &function.within_group {
                within.push(self.bind_expr(&key.expr)?);
            }
            call.args.extend(within);
        }
        let direct = call.args.len() - function.within_group.len();
        let choice = self.resolve_function(name, call, position, |candidate| {
            candidate.kind == FunctionKind::Aggregate
        })?;
        let FunctionChoice::Function {
            function: chosen,
            args,
            ty,
        } = choice
        else {
            return Err(
                SqlError::new(SqlState::UNDEFINED_FUNCTION, format!("function {name} does not exist")).at(position),
            );
        };
        let order = if function.within_group.is_empty() {
            self.bind_aggregate_order(order_by, &args, distinct)?
        } else {
            let mut keys = Vec::with_capacity(function.within_group.len());
            for (key, expr) in function.within_group.iter().zip(&args[direct..]) {
                keys.push(self.sort_key(expr.clone(), &key.options)?);
            }
            keys
        };
        if distinct {
            if args.is_empty() {
                return Err(SqlError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "DISTINCT is not allowed here: the aggregate has no argument",
                )
                .at(position));
            }
            for arg in &args {
                if functions::equality(arg.ty.oid).is_none() {
                    return Err(SqlError::new(
                        SqlState::UNDEFINED_FUNCTION,
                        format!(
                            "could not identify an equality operator for type {}",
                            self.type_name(arg.ty)
                        ),
                    )
                    .at(arg.position));
                }
            }
        }
        let filter = match &function.filter {
            None => None,
            Some(filter) => Some(self.bind_condition(Context::Filter, filter, "FILTER")?),
        };
        Ok(AggregateCall {
            function: chosen,
            args,
            distinct,
            order,
            filter,
            ty,
        })
    }

    fn bind_aggregate_order(
        &mut self,
        keys: &[sql::OrderByExpr],
        args: &[Expr],
        distinct: bool,
    ) -> SqlResult<Vec<SortKey>> {
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            let expr = self.bind_expr(&key.expr)?;
            let expr = self.unknown_to_text(expr)?;
            if distinct && !args.iter().any(|arg| crate::bind::same::same(arg, &expr)) {
                return Err(SqlError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                )
                .at(expr.position));
            }
            order.push(self.sort_key(expr, &key.options)?);
        }
        Ok(order)
    }

    /// The innermost query level whose columns a call uses; the current one if it uses none.
    fn level_of(&self, call: &AggregateCall) -> usize {
        let current = self.level();
        let mut level: Option<usize> = None;
        let mut look = |expr: &Expr| {
            if let ExprKind::Column(id) = expr.kind {
                let of = self.facts(id).level;
                if of <= current {
                    level = Some(level.map_or(of, |known| known.max(of)));
                }
            }
        };
        for expr in call
            .args
            .iter()
            .chain(&call.filter)
            .chain(call.order.iter().map(|key| &key.expr))
        {
            visit::walk_expr(expr, &mut look);
        }
        level.unwrap_or(current)
    }

    /// 42803 for an aggregate inside an aggregate of the same level.
    fn check_nesting(
        &self,
        call: &AggregateCall,
        level: usize,
        marks: (usize, usize),
        position: Option<u32>,
    ) -> SqlResult<()> {
        let scope = &self.scopes[level];
        let (mut nested, mut window) = (None, None);
        let mut look = |expr: &Expr| {
            if let ExprKind::Column(id) = expr.kind {
                let place = Some(expr.position.or(position));
                if scope.aggregates.iter().any(|(column, _)| column.id == id) {
                    nested = nested.or(place);
                }
                if scope.windows.iter().any(|(column, _)| column.id == id) {
                    window = window.or(place);
                }
            }
        };
        for expr in call
            .args
            .iter()
            .chain(&call.filter)
            .chain(call.order.iter().map(|key| &key.expr))
        {
            visit::walk_expr(expr, &mut look);
        }
        let _ = marks;
        if let Some(place) = nested {
            return Err(SqlError::new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested").at(place));
        }
        if let Some(place) = window {
            return Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                "aggregate function calls cannot contain window function calls",
            )
            .at(place));
        }
        Ok(())
    }

    /// 42803 for an aggregate in a clause of its level that takes none.
    fn check_aggregate_place(&self, level: usize, position: Option<u32>) -> SqlResult<()> {
        let Some(scope) = self.scopes.get(level) else {
            return Ok(());
        };
        if scope.context.allows_aggregates() && !(level != self.level() && scope.in_aggregate) {
            return Ok(());
        }
        if scope.in_aggregate && level != self.level() {
            return Err(
                SqlError::new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested").at(position),
            );
        }
        let message = match scope.context {
            Context::FromSubselect => {
                "aggregate functions are not allowed in FROM clause of their own query level".into()
            }
            Context::JoinOn => "aggregate functions are not allowed in JOIN conditions".into(),
            context => format!("aggregate functions are not allowed in {}", context.clause()),
        };
        Err(SqlError::new(SqlState::GROUPING_ERROR, message).at(position))
    }

    fn register_aggregate(&mut self, level: usize, name: &str, call: AggregateCall) -> crate::bound::ColumnId {
        if let Some((column, _)) = self.scopes[level]
            .aggregates
            .iter()
            .find(|(_, known)| same_call(known, &call))
        {
            return column.id;
        }
        let column = self.new_column_at(level, name, call.ty);
        let id = column.id;
        self.scopes[level].aggregates.push((column, call));
        id
    }

    /// `f(…) OVER …`: the call of a window function or of an aggregate used as one.
    pub(in crate::bind) fn bind_window_function(
        &mut self,
        name: &str,
        function: &sql::Function,
        position: Option<u32>,
    ) -> SqlResult<AggregateCall> {
        let kinds = functions::by_name(name);
        let usable = |kind: FunctionKind| matches!(kind, FunctionKind::Window | FunctionKind::Aggregate);
        if !kinds.is_empty() && !kinds.iter().any(|candidate| usable(candidate.kind)) {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("OVER specified, but {name} is not a window function nor an aggregate function"),
            )
            .at(position));
        }
        let FunctionArguments::List(list) = &function.args else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"OVER\"").at(position));
        };
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "DISTINCT is not implemented for window functions",
            )
            .at(position));
        }
        if list
            .clauses
            .iter()
            .any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
        {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "aggregate ORDER BY is not implemented for window functions",
            )
            .at(position));
        }
        if function.null_treatment.is_some() {
            return Err(SqlError::unsupported("RESPECT NULLS or IGNORE NULLS").at(position));
        }
        let call: CallArgs = self.bind_call_args(function)?;
        let choice = self.resolve_function(name, call, position, |candidate| usable(candidate.kind))?;
        let FunctionChoice::Function {
            function: chosen,
            args,
            ty,
        } = choice
        else {
            return Err(
                SqlError::new(SqlState::UNDEFINED_FUNCTION, format!("function {name} does not exist")).at(position),
            );
        };
        let filter = match &function.filter {
            None => None,
            Some(_) if chosen.kind == FunctionKind::Window => {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "FILTER is not implemented for non-aggregate window functions",
                )
                .at(position));
            }
            Some(filter) => Some(self.bind_condition(Context::Filter, filter, "FILTER")?),
        };
        Ok(AggregateCall {
            function: chosen,
            args,
            distinct: false,
            order: vec![],
            filter,
            ty,
        })
    }

    /// `GROUPING(a, b)`
    pub(super) fn bind_grouping(&mut self, function: &sql::Function, position: Option<u32>) -> SqlResult<Expr> {
        let mut args = Vec::new();
        for arg in super::call::plain_args(function)? {
            args.push(self.bind_expr(arg)?);
        }
        if args.len() > 31 {
            return Err(SqlError::new(
                SqlState::TOO_MANY_ARGUMENTS,
                "GROUPING must have fewer than 32 arguments",
            )
            .at(position));
        }
        let scope = self.scope();
        if !scope.context.allows_aggregates() {
            let clause = scope.context.clause();
            return Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                format!("grouping operations are not allowed in {clause}"),
            )
            .at(position));
        }
        let column = self.new_column("grouping", Type::INT4);
        let id = column.id;
        self.scope().groupings.push((column, args, position));
        Ok(Expr {
            kind: ExprKind::Column(id),
            ty: Type::INT4,
            position,
        })
    }
}
