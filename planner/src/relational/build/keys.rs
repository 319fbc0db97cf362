//! Index keys in the terms of a scan: columns, and expressions bound over the scan's columns.

use ahash::AHashMap;

use crate::bind::Purpose;
use crate::bind::same::{same, same_value};
use crate::bound::{ColumnId, Expr, ExprKind, Scan};
use crate::catalog::{Index, IndexSource};
use crate::eval::SessionView;
use crate::relational::rewrite::fold::{split_conjuncts, substitute};
use crate::stored;
use crate::types::oid;

/// An index as a scan sees it.
pub(super) struct IndexView<'s> {
    pub(super) index: &'s Index,
    scan: &'s Scan,
    /// Expressions of the keys that are expressions.
    expressions: Vec<Option<Expr>>,
    /// Conditions of a partial index.
    predicate: Vec<Expr>,
}

impl<'s> IndexView<'s> {
    /// The indexes of a scan's table; those with expressions that cannot be bound here are left out.
    pub(super) fn all(scan: &'s Scan, session: &dyn SessionView) -> Vec<IndexView<'s>> {
        let indexes = scan.table.indexes.iter();
        indexes.filter_map(|index| Self::of(index, scan, session)).collect()
    }

    fn of(index: &'s Index, scan: &'s Scan, session: &dyn SessionView) -> Option<Self> {
        let mut expressions = Vec::with_capacity(index.keys.len());
        for key in &index.keys {
            expressions.push(match &key.source {
                IndexSource::Column(_) => None,
                IndexSource::Expression(text) => Some(bound(text, scan, session)?),
            });
        }
        let predicate = match &index.predicate {
            None => Vec::new(),
            Some(text) => split_conjuncts(bound(text, scan, session)?),
        };
        Some(Self {
            index,
            scan,
            expressions,
            predicate,
        })
    }

    /// Whether an expression is the key at a position.
    pub(super) fn is_key(&self, position: usize, expr: &Expr) -> bool {
        match (&self.index.keys[position].source, &self.expressions[position]) {
            (IndexSource::Column(column), _) => self.column(expr) == Some(*column),
            (IndexSource::Expression(_), Some(key)) => same_value(key, expr),
            (IndexSource::Expression(_), None) => false,
        }
    }

    /// Position of a column of the scan, looking through casts that do not change the value.
    fn column(&self, expr: &Expr) -> Option<u16> {
        let column: ColumnId = match &expr.kind {
            ExprKind::Column(column) => *column,
            ExprKind::ConvertIo(base) if expr.ty.oid == oid::TEXT && base.ty.oid == oid::VARCHAR => match &base.kind {
                ExprKind::Column(column) => *column,
                _ => return None,
            },
            _ => return None,
        };
        let columns = self.scan.columns.iter();
        columns
            .clone()
            .find(|(output, _)| output.id == column)
            .map(|(_, position)| *position)
    }

    /// Whether a partial index has every row that conditions leave.
    pub(super) fn covers(&self, conjuncts: &[Expr]) -> bool {
        let implied = |condition: &Expr| conjuncts.iter().any(|conjunct| implies(conjunct, condition));
        self.predicate.iter().all(implied)
    }

    /// How many conditions are the index's own predicate.
    pub(super) fn implied(&self, conjuncts: &[Expr]) -> usize {
        let is_own = |conjunct: &&Expr| self.predicate.iter().any(|condition| same(conjunct, condition));
        conjuncts.iter().filter(is_own).count()
    }

    /// Whether the key at a position is never NULL.
    pub(super) fn is_not_null(&self, position: usize) -> bool {
        match self.index.keys[position].source {
            IndexSource::Column(column) => self.scan.table.columns[column as usize].not_null,
            IndexSource::Expression(_) => false,
        }
    }

    /// Whether no key is ever NULL.
    pub(super) fn has_no_nulls(&self) -> bool {
        (0..self.index.keys.len()).all(|position| self.is_not_null(position))
    }
}

/// A stored expression over the scan's columns.
fn bound(text: &str, scan: &Scan, session: &dyn SessionView) -> Option<Expr> {
    let catalog = session.catalog()?;
    let over = stored::expression_over(&catalog, session, &scan.table, text, Purpose::Index, None).ok()?;
    let mut columns = AHashMap::new();
    for (position, id) in &over.columns {
        // A column that the query does not read stays unknown, and so does not match anything in it.
        if let Some((output, _)) = scan.columns.iter().find(|(_, at)| at == position) {
            let column = Expr {
                kind: ExprKind::Column(output.id),
                ty: output.ty,
                position: None,
            };
            columns.insert(*id, column);
        } else {
            let unknown = Expr {
                kind: ExprKind::Column(ColumnId(u32::MAX - 1_000)),
                ty: crate::Type::UNKNOWN,
                position: None,
            };
            columns.insert(*id, unknown);
        }
    }
    let mut expr = over.expr;
    substitute(&mut expr, &columns);
    // Conditions of the query were folded, so the keys must be as well.
    crate::relational::rewrite::constants::fold(&mut expr, session).ok()?;
    Some(expr)
}

/// Whether every row for which a condition of a query holds satisfies a condition of an index.
fn implies(conjunct: &Expr, condition: &Expr) -> bool {
    if same(conjunct, condition) {
        return true;
    }
    match (&condition.kind, &conjunct.kind) {
        // A strict comparison that is true has no NULL on either side.
        (ExprKind::IsNotNull(value), ExprKind::Call { function, args }) => {
            function.strict && args.iter().any(|arg| same_value(arg, value))
        }
        (ExprKind::IsNotNull(value), ExprKind::ArrayCompare { operator, left, .. }) => {
            operator.strict && same_value(left, value)
        }
        _ => false,
    }
}
