//! Comparisons with a form of their own: IS DISTINCT FROM, IN, BETWEEN, LIKE, SIMILAR TO, ANY and ALL over arrays.

use sqlparser::ast as sql;
use sqlparser::ast::BinaryOperator;

use super::operator::{operator_name, spellings};
use crate::bind::Binder;
use crate::bound::{Expr, ExprKind};
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

impl Binder<'_> {
    pub(super) fn bind_distinct(&mut self, left: &sql::Expr, right: &sql::Expr, negated: bool) -> SqlResult<Expr> {
        if let (Some(lefts), Some(rights)) = (super::row_items(left), super::row_items(right)) {
            return self.bind_row_distinct(&lefts, &rights, negated, self.start(left));
        }
        let bound_left = self.bind_expr(left)?;
        let bound_right = self.bind_expr(right)?;
        self.distinct(bound_left, bound_right, negated, self.end(left))
    }

    /// `left IS [NOT] DISTINCT FROM right` of bound operands.
    pub(super) fn distinct(&mut self, left: Expr, right: Expr, negated: bool, after: Option<u32>) -> SqlResult<Expr> {
        let position = left.position;
        let (equal, left, right) = self.equality(left, right, |binder| binder.find_after(after, &["is"]))?;
        let kind = ExprKind::IsDistinct {
            equal,
            left: Box::new(left),
            right: Box::new(right),
            negated,
        };
        Ok(Expr {
            kind,
            ty: Type::BOOL,
            position,
        })
    }

    /// Columns are compared one by one; everything else as one array where all have a common type.
    pub(super) fn bind_in_list(&mut self, left: &sql::Expr, list: &[sql::Expr], negated: bool) -> SqlResult<Expr> {
        let after = self.end(left);
        let place = |binder: &Self| binder.find_after(after, if negated { &["not"] } else { &["in"] });
        let name = if negated { "<>" } else { "=" };
        if super::row_items(left).is_some() {
            let mut comparisons = Vec::with_capacity(list.len());
            for item in list {
                let comparison = match self.bind_row_comparison(left, name, item)? {
                    Some(comparison) => comparison,
                    None => {
                        let (left, item) = (self.bind_expr(left)?, self.bind_expr(item)?);
                        self.binary_operator(name, left, item, place)?
                    }
                };
                comparisons.push(comparison);
            }
            return Ok(combine(comparisons, negated));
        }
        let bound_left = self.bind_expr(left)?;
        let position = bound_left.position;
        let mut constants = Vec::new();
        let mut others = Vec::new();
        for item in list {
            let bound = self.bind_expr(item)?;
            if mentions_column(&bound) {
                others.push(bound)
            } else {
                constants.push(bound)
            }
        }
        let mut comparisons = Vec::new();
        if constants.len() > 1 {
            let mut inputs = vec![(bound_left.ty, bound_left.position)];
            inputs.extend(constants.iter().map(|item| (item.ty, item.position)));
            let common = self.find_common_type(&inputs).ok().map(|ty| Type::new(ty.oid));
            if let Some(common) = common.filter(|ty| ty.oid != oid::RECORD)
                && let Some(array_type) = types::array_of(common.oid)
            {
                let elements = constants
                    .drain(..)
                    .map(|item| self.coerce_common(item, common, "IN"))
                    .collect::<SqlResult<Vec<Expr>>>()?;
                let array = Expr {
                    kind: ExprKind::Array {
                        elements,
                        nested: false,
                    },
                    ty: Type::new(array_type),
                    position: None,
                };
                comparisons.push(self.array_operator(name, negated, bound_left.clone(), array, place)?);
            }
        }
        for item in constants.into_iter().chain(others) {
            comparisons.push(self.binary_operator(name, bound_left.clone(), item, place)?);
        }
        let mut expr = combine(comparisons, negated);
        expr.position = position;
        Ok(expr)
    }

    pub(super) fn bind_between(
        &mut self,
        operand: &sql::Expr,
        low: &sql::Expr,
        high: &sql::Expr,
        negated: bool,
    ) -> SqlResult<Expr> {
        let after = self.end(operand);
        let place = |binder: &Self| binder.find_after(after, if negated { &["not"] } else { &["between"] });
        let (below, above) = if negated { ("<", ">") } else { (">=", "<=") };
        let first = self.between_side(operand, below, low, place)?;
        let second = self.between_side(operand, above, high, place)?;
        let position = first.position;
        let sides = vec![first, second];
        let kind = if negated {
            ExprKind::Or(sides)
        } else {
            ExprKind::And(sides)
        };
        Ok(Expr {
            kind,
            ty: Type::BOOL,
            position,
        })
    }

    /// `BETWEEN SYMMETRIC`: either order of the bounds.
    pub(super) fn bind_between_symmetric(&mut self, args: [&sql::Expr; 3], negated: bool) -> SqlResult<Expr> {
        let [operand, low, high] = args;
        let first = self.bind_between(operand, low, high, negated)?;
        let second = self.bind_between(operand, high, low, negated)?;
        let position = first.position;
        let kind = if negated {
            ExprKind::And(vec![first, second])
        } else {
            ExprKind::Or(vec![first, second])
        };
        Ok(Expr {
            kind,
            ty: Type::BOOL,
            position,
        })
    }

    fn between_side(
        &mut self,
        operand: &sql::Expr,
        name: &str,
        bound: &sql::Expr,
        place: impl Fn(&Self) -> Option<u32>,
    ) -> SqlResult<Expr> {
        if let Some(expr) = self.bind_row_comparison(operand, name, bound)? {
            return Ok(expr);
        }
        let operand = self.bind_expr(operand)?;
        let bound = self.bind_expr(bound)?;
        self.binary_operator(name, operand, bound, place)
    }

    pub(super) fn bind_like(
        &mut self,
        name: &str,
        operand: &sql::Expr,
        pattern: &sql::Expr,
        escape: Option<&sql::Expr>,
    ) -> SqlResult<Expr> {
        let after = self.end(operand);
        let bound = self.bind_expr(operand)?;
        let mut bound_pattern = self.bind_expr(pattern)?;
        if let Some(escape) = escape {
            let escape = self.bind_expr(escape)?;
            let position = bound_pattern.position;
            bound_pattern = self.call_function("like_escape", vec![bound_pattern, escape], position)?;
        }
        let spellings = spellings(name);
        self.binary_operator(name, bound, bound_pattern, |binder| {
            binder.find_after(after, &spellings)
        })
    }

    pub(super) fn bind_similar(
        &mut self,
        operand: &sql::Expr,
        pattern: &sql::Expr,
        escape: Option<&sql::Expr>,
        negated: bool,
    ) -> SqlResult<Expr> {
        let after = self.end(operand);
        let bound = self.bind_expr(operand)?;
        let pattern = self.bind_expr(pattern)?;
        let position = pattern.position;
        let mut args = vec![pattern];
        if let Some(escape) = escape {
            args.push(self.bind_expr(escape)?);
        }
        let pattern = self.call_function("similar_to_escape", args, position)?;
        let name = if negated { "!~" } else { "~" };
        let word = if negated { "not" } else { "similar" };
        self.binary_operator(name, bound, pattern, |binder| binder.find_after(after, &[word]))
    }

    /// `left op ANY (right)` and `ALL`, over an array or a subquery.
    pub(super) fn bind_quantified(
        &mut self,
        left: &sql::Expr,
        op: &BinaryOperator,
        right: &sql::Expr,
        all: bool,
    ) -> SqlResult<Expr> {
        let name = operator_name(op)?;
        self.bind_quantified_named(left, &name, right, all)
    }

    pub(super) fn bind_quantified_named(
        &mut self,
        left: &sql::Expr,
        name: &str,
        right: &sql::Expr,
        all: bool,
    ) -> SqlResult<Expr> {
        let after = self.end(left);
        if let Some(query) = super::as_subquery(right) {
            return self.bind_quantified_subquery(left, name, query, all, after);
        }
        if super::row_items(left).is_some() {
            return Err(SqlError::unsupported("a row on the left side of ANY or ALL of an array").at(self.start(left)));
        }
        let bound_left = self.bind_expr(left)?;
        let array = self.bind_expr(right)?;
        let array = match array.ty.oid {
            // A literal is read as an array of the left side's type.
            oid::UNKNOWN if bound_left.ty.oid == oid::UNKNOWN => {
                self.coerce_implicit(array, Type::new(oid::TEXT_ARRAY))?
            }
            _ => array,
        };
        let spellings = spellings(name);
        self.array_operator(name, all, bound_left, array, |binder| {
            binder.find_after(after, &spellings)
        })
    }
}

/// Whether an expression mentions a column: IN keeps such items out of its array.
fn mentions_column(expr: &Expr) -> bool {
    let mut found = matches!(expr.kind, ExprKind::Column(_) | ExprKind::Subquery(_));
    crate::bound::visit::for_each_child(expr, &mut |child| found |= mentions_column(child));
    found
}

fn combine(mut comparisons: Vec<Expr>, and: bool) -> Expr {
    if comparisons.len() == 1
        && let Some(only) = comparisons.pop()
    {
        return only;
    }
    let position = comparisons.first().and_then(|first| first.position);
    let kind = if and {
        ExprKind::And(comparisons)
    } else {
        ExprKind::Or(comparisons)
    };
    Expr {
        kind,
        ty: Type::BOOL,
        position,
    }
}

impl Binder<'_> {
    /// 42601 for rows of different lengths.
    pub(super) fn unequal_rows(&self, position: Option<u32>) -> SqlError {
        SqlError::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions").at(position)
    }
}
