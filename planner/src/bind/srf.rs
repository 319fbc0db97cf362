//! Set-returning functions in the select list: columns of a ProjectSet below the projection.

use std::collections::BTreeMap;

use crate::bound::{Expr, ExprKind, FunctionCall, OutputColumn, Rel, visit};
use crate::functions::Function;
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;

impl Binder<'_> {
    /// Registers a call with the current query level and gives the column that stands for its rows.
    pub(super) fn register_set(
        &mut self,
        function: &'static Function,
        args: Vec<Expr>,
        ty: Type,
        position: Option<u32>,
    ) -> SqlResult<OutputColumn> {
        self.check_set_place(position)?;
        // A call over another one's rows comes after it.
        let mut depth = 0;
        let sets = &self.scope().sets;
        let mut look = |expr: &Expr| {
            if let ExprKind::Column(id) = expr.kind
                && let Some((inner, ..)) = sets.iter().find(|(_, _, column)| column.id == id)
            {
                depth = depth.max(inner + 1);
            }
        };
        args.iter().for_each(|arg| visit::walk_expr(arg, &mut look));
        let column = self.new_column(function.name, ty);
        let call = FunctionCall { function, args, ty };
        self.scope().sets.push((depth, call, column.clone()));
        Ok(column)
    }

    fn check_set_place(&mut self, position: Option<u32>) -> SqlResult<()> {
        let hint = "You might be able to move the set-returning function into a LATERAL FROM item.";
        let scope = self.scope();
        let message = match scope.no_sets {
            Some("aggregate") => "aggregate function calls cannot contain set-returning function calls".to_owned(),
            Some("window") => "window function calls cannot contain set-returning function calls".to_owned(),
            Some(construct) => format!("set-returning functions are not allowed in {construct}"),
            None if !scope.context.allows_sets() => {
                let clause = scope.context.clause();
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("set-returning functions are not allowed in {clause}"),
                )
                .at(position));
            }
            None => return Ok(()),
        };
        Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .hint(hint)
            .at(position))
    }
}

/// Puts the set-returning calls of a select list below it, one layer per depth of nesting.
pub(super) fn project_sets(mut rel: Rel, sets: Vec<(usize, FunctionCall, OutputColumn)>) -> Rel {
    let mut layers: BTreeMap<usize, Vec<(FunctionCall, OutputColumn)>> = BTreeMap::new();
    for (depth, call, column) in sets {
        layers.entry(depth).or_default().push((call, column));
    }
    for calls in layers.into_values() {
        rel = Rel::ProjectSet {
            input: Box::new(rel),
            calls,
        };
    }
    rel
}
