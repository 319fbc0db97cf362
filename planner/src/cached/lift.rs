//! Lift: whether a statement means the same with parameters in the place of its literals.
//!
//! It is not argued but shown: the statement is bound as written, and bound again with parameters; if the second tree with
//! the literals' values put in is the first one, and every parameter stands where its value decides nothing but a value
//! (an operand of a comparison, a row to insert, …), then any literals of the same kinds in the same places give that tree.
//! A literal that fails the test stays part of the key: positions in ORDER BY, type modifiers, JSON paths, constants that
//! PostgreSQL folds when it plans.

use smallvec::SmallVec;
use storage::Datum;

use super::shape::Shape;
use crate::Type;
use crate::bind::{Binder, BoundStatement};
use crate::bound::visit::for_each_own_expr_mut;
use crate::bound::visit::{for_each_child, for_each_child_mut, for_each_input, for_each_input_mut, for_each_own_expr};
use crate::bound::{Expr, ExprKind, ModifyKind, Rel};
use crate::catalog::Catalog;
use crate::eval::SessionView;
use crate::eval::compile::plain_comparison;
use crate::functions::Function;
use crate::parse;
use crate::statement::Parsed;
use crate::types::{self, oid};

/// Most literals that are tried one by one.
const SINGLE_COUNT_MAX: usize = 16;

/// Positions of literals in their shape.
pub(super) type Positions = SmallVec<[u16; 8]>;

/// A statement with literals lifted.
pub(super) struct Lifted {
    /// Which literals became parameters, in order.
    pub(super) literals: Positions,
    /// The statement with the parameters.
    pub(super) parsed: Parsed,
    pub(super) bound: BoundStatement,
    /// Modifiers that values must fit. One that does not raises its error when PostgreSQL plans, not for the rows it meets.
    pub(super) fits: Vec<Fit>,
}

/// A parameter whose value is to fit a type with a modifier; `explicit` casts cut it.
pub(super) struct Fit {
    pub(super) parameter: usize,
    pub(super) ty: Type,
    pub(super) explicit: bool,
}

/// What lifting looks at.
pub(super) struct Lifter<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) session: &'a dyn SessionView,
    pub(super) text: &'a str,
    pub(super) shape: &'a Shape,
}

impl Lifter<'_> {
    /// Lifts as many literals as can be, which may be none; `None` if the statement cannot be bound.
    pub(super) fn lift(&self) -> Option<Lifted> {
        let count = self.shape.literals.len();
        let written = self.bind(Positions::new())?;
        if count == 0 {
            return Some(written);
        }
        let printed = print(written.bound.clone());
        if let Some(lifted) = self.attempt(&printed, (0..count as u16).collect()) {
            return Some(lifted);
        }
        if count > SINGLE_COUNT_MAX {
            return Some(written);
        }
        let alone: Positions = (0..count as u16)
            .filter(|position| self.attempt(&printed, SmallVec::from_slice(&[*position])).is_some())
            .collect();
        if alone.is_empty() {
            return Some(written);
        }
        self.attempt(&printed, alone).or(Some(written))
    }

    /// Binds the statement with some literals lifted.
    fn bind(&self, literals: Positions) -> Option<Lifted> {
        let lifted = || literals.iter().map(|at| &self.shape.literals[usize::from(*at)]);
        let declared: Vec<u32> = lifted().map(|literal| literal.kind.declared()).collect();
        let places: Vec<(usize, usize)> = lifted().map(|literal| (literal.start, literal.end)).collect();
        let parsed = parse::parse_with_parameters(self.text, &places).ok()?;
        let mut binder = Binder::new(self.catalog, self.session, &declared);
        let bound = binder.bind_statement(&parsed).ok()?;
        (bound.parameters.len() == literals.len()).then_some(Lifted {
            literals,
            parsed,
            bound,
            fits: Vec::new(),
        })
    }

    fn attempt(&self, written: &str, literals: Positions) -> Option<Lifted> {
        let mut lifted = self.bind(literals)?;
        if !rel_is_safe(&lifted.bound.query.rel, &mut lifted.fits) {
            return None;
        }
        let values = lifted.literals.iter().zip(&lifted.bound.parameters).map(|(at, ty)| {
            let literal = &self.shape.literals[usize::from(*at)];
            literal.value(self.text, *ty, self.session)
        });
        let values: Vec<Datum> = values.collect::<Result<_, _>>().ok()?;
        let mut filled = lifted.bound.clone();
        fill_rel(&mut filled.query.rel, &values);
        (print(filled) == *written).then_some(lifted)
    }
}

/// All of a statement as text; where its literals stand is left out.
fn print(mut bound: BoundStatement) -> String {
    fill_rel(&mut bound.query.rel, &[]);
    format!("{:?}", (bound.query, bound.kind, bound.returns_rows, bound.origins))
}

/// Puts values in the place of parameters.
fn fill_rel(rel: &mut Rel, values: &[Datum]) {
    for_each_own_expr_mut(rel, &mut |expr| fill(expr, values));
    for_each_input_mut(rel, &mut |input| fill_rel(input, values));
}

fn fill(expr: &mut Expr, values: &[Datum]) {
    match &mut expr.kind {
        ExprKind::Parameter(index) => {
            if let Some(value) = values.get(*index) {
                expr.kind = ExprKind::Literal(value.clone());
                expr.position = None;
            }
        }
        ExprKind::Literal(_) => expr.position = None,
        // As the binder does with a literal.
        ExprKind::Coerce { base, explicit } => {
            if let ExprKind::Parameter(index) = base.kind
                && let Some(value) = values.get(index)
                && let Ok(fitted) = types::apply_modifier(value.clone(), expr.ty, *explicit)
            {
                expr.kind = ExprKind::Literal(fitted);
                expr.position = None;
            }
        }
        ExprKind::Subquery(subquery) => fill_rel(&mut subquery.rel, values),
        _ => {}
    }
    for_each_child_mut(expr, &mut |child| fill(child, values));
}

/// Whether all parameters of a relation stand where only their values matter.
fn rel_is_safe(rel: &Rel, fits: &mut Vec<Fit>) -> bool {
    // Where a parameter may stand by itself.
    let may_be_whole = match rel {
        Rel::Project { .. } | Rel::Limit { .. } | Rel::Values { .. } => true,
        Rel::Modify(modify) => !matches!(modify.kind, ModifyKind::Insert { .. } | ModifyKind::Merge { .. }),
        _ => false,
    };
    let mut is_safe = true;
    for_each_own_expr(rel, &mut |expr| {
        is_safe = is_safe && expr_is_safe(expr, may_be_whole, fits)
    });
    for_each_input(rel, &mut |input| is_safe = is_safe && rel_is_safe(input, fits));
    is_safe
}

fn expr_is_safe(expr: &Expr, is_allowed: bool, fits: &mut Vec<Fit>) -> bool {
    match &expr.kind {
        ExprKind::Parameter(_) => is_allowed,
        ExprKind::Subquery(subquery) => {
            let mut is_safe = rel_is_safe(&subquery.rel, fits);
            for_each_child(expr, &mut |child| is_safe = is_safe && expr_is_safe(child, false, fits));
            is_safe
        }
        ExprKind::Coerce { base, explicit } => match base.kind {
            ExprKind::Parameter(parameter) => {
                fits.push(Fit {
                    parameter,
                    ty: expr.ty,
                    explicit: *explicit,
                });
                is_allowed
            }
            _ => expr_is_safe(base, false, fits),
        },
        ExprKind::Array { elements, .. } => elements.iter().all(|element| expr_is_safe(element, is_allowed, fits)),
        ExprKind::ArrayCompare { left, array, .. } => {
            expr_is_safe(left, false, fits) && expr_is_safe(array, true, fits)
        }
        ExprKind::RowCompare { pairs, .. } => pairs
            .iter()
            .all(|pair| expr_is_safe(&pair.left, true, fits) && expr_is_safe(&pair.right, true, fits)),
        ExprKind::Coalesce(args) => {
            let last = args.len().saturating_sub(1);
            args.iter()
                .enumerate()
                .all(|(at, arg)| expr_is_safe(arg, at == last && last > 0, fits))
        }
        ExprKind::Call { function, args } if is_harmless_cast(function, args) => {
            args.iter().all(|arg| expr_is_safe(arg, is_allowed, fits))
        }
        ExprKind::Call { function, args } => args.iter().enumerate().all(|(at, arg)| {
            // What is constant as a whole PostgreSQL computes when it plans, and raises its errors then.
            let is_operand = is_operator(function) && args.iter().any(|other| !is_constant(other));
            let is_value = matches!((function.name, at), ("jsonb_set" | "jsonb_subscript_set", 2));
            expr_is_safe(arg, is_operand || is_value, fits)
        }),
        _ => {
            let mut is_safe = true;
            for_each_child(expr, &mut |child| is_safe = is_safe && expr_is_safe(child, false, fits));
            is_safe
        }
    }
}

/// Comparisons, and arithmetic that PostgreSQL would not fold with a column beside it.
fn is_operator(function: &Function) -> bool {
    const ARITHMETIC: [&str; 24] = [
        "int2pl",
        "int2mi",
        "int4pl",
        "int4mi",
        "int4mul",
        "int8pl",
        "int8mi",
        "int8mul",
        "int24pl",
        "int24mi",
        "int42pl",
        "int42mi",
        "int48pl",
        "int48mi",
        "int84pl",
        "int84mi",
        "int84mul",
        "numeric_add",
        "numeric_sub",
        "numeric_mul",
        "float8pl",
        "float8mi",
        "float8mul",
        "textcat",
    ];
    plain_comparison(function).is_some() || function.name.starts_with("bpchar") || ARITHMETIC.contains(&function.name)
}

/// Conversions of numbers that succeed for every value.
fn is_harmless_cast(function: &Function, args: &[Expr]) -> bool {
    let [arg] = args else { return false };
    matches!(
        (function.name, arg.ty.oid),
        ("int8" | "numeric" | "float8", oid::INT4) | ("numeric" | "float8", oid::INT8)
    )
}

/// Whether an expression names nothing that changes from row to row or run to run.
fn is_constant(expr: &Expr) -> bool {
    let is_leaf_constant = !matches!(
        expr.kind,
        ExprKind::Column(_) | ExprKind::Subquery(_) | ExprKind::Grouping(_)
    );
    let mut result = is_leaf_constant;
    for_each_child(expr, &mut |child| result = result && is_constant(child));
    result
}
