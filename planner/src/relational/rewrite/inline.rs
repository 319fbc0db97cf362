//! CTEs that are read once become part of their reader, unless MATERIALIZED forbids it.

use ahash::{AHashMap, AHashSet};

use crate::bound::columns::for_each_column_of_rel;
use crate::bound::visit::{
    for_each_child_mut, for_each_expr, for_each_input, for_each_input_mut, for_each_own_expr, for_each_own_expr_mut,
};
use crate::bound::{ColumnId, Cte, CteId, Expr, ExprKind, OutputColumn, Rel};

/// Inlines what may be inlined.
pub(crate) fn inline_ctes(rel: Rel) -> Rel {
    // A data-modifying statement reads CTEs through a hook of its own, by their identity.
    if !any_rel(&rel, &|rel| matches!(rel, Rel::With { .. })) || any_rel(&rel, &|rel| matches!(rel, Rel::Modify(_))) {
        return rel;
    }
    Inliner::default().rel(rel)
}

/// Whether a relation or one of its inputs (not the subqueries of expressions) is of a kind.
fn any_rel(rel: &Rel, is_kind: &dyn Fn(&Rel) -> bool) -> bool {
    let mut found = is_kind(rel);
    for_each_input(rel, &mut |input| found = found || any_rel(input, is_kind));
    found
}

fn is_inlinable(cte: &Cte) -> bool {
    let produced = cte.rel.output_columns();
    cte.recursive.is_none()
        && cte.materialized != Some(true)
        && cte.reference_count == 1
        && !cte.rel.is_volatile()
        // Then a reference is just a renaming.
        && cte.columns.iter().all(|column| produced.contains(&column.id))
}

#[derive(Default)]
struct Inliner {
    definitions: AHashMap<CteId, (Rel, Vec<OutputColumn>)>,
}

impl Inliner {
    fn rel(&mut self, rel: Rel) -> Rel {
        match rel {
            Rel::With { ctes, body } => {
                let mut kept = Vec::new();
                for mut cte in ctes {
                    self.replace(&mut cte.rel);
                    if let Some(recursive) = &mut cte.recursive {
                        self.replace(&mut recursive.rel);
                    }
                    if is_inlinable(&cte) {
                        self.definitions.insert(cte.id, (cte.rel, cte.columns));
                    } else {
                        kept.push(cte);
                    }
                }
                let body = self.rel(*body);
                if kept.is_empty() {
                    body
                } else {
                    Rel::With {
                        ctes: kept,
                        body: Box::new(body),
                    }
                }
            }
            Rel::CteRef { cte, columns } => match self.definitions.remove(&cte) {
                Some((rel, definition)) => {
                    let columns = columns.into_iter().zip(definition).map(|(output, source)| {
                        let value = Expr {
                            kind: ExprKind::Column(source.id),
                            ty: source.ty,
                            position: None,
                        };
                        (output, value)
                    });
                    Rel::Project {
                        columns: columns.collect(),
                        input: Box::new(rel),
                    }
                }
                None => Rel::CteRef { cte, columns },
            },
            mut other => {
                for_each_input_mut(&mut other, &mut |input| self.replace(input));
                for_each_own_expr_mut(&mut other, &mut |expr| self.expr(expr));
                other
            }
        }
    }

    fn replace(&mut self, rel: &mut Rel) {
        let taken = std::mem::replace(rel, Rel::OneRow);
        *rel = self.rel(taken);
    }

    fn expr(&mut self, expr: &mut Expr) {
        if let ExprKind::Subquery(subquery) = &mut expr.kind {
            self.replace(&mut subquery.rel);
        }
        for_each_child_mut(expr, &mut |child| self.expr(child));
    }
}

/// Calls `visit` with a relation, its inputs, and those of the subqueries in its expressions.
pub(crate) fn for_each_rel(rel: &Rel, visit: &mut dyn FnMut(&Rel)) {
    visit(rel);
    for_each_own_expr(rel, &mut |expr| {
        for_each_expr(expr, &mut |expr| {
            if let ExprKind::Subquery(subquery) = &expr.kind {
                for_each_rel(&subquery.rel, visit);
            }
        });
    });
    for_each_input(rel, &mut |input| for_each_rel(input, visit));
}

/// Whether a relation reads CTEs that are defined outside of it.
pub(crate) fn reads_outer_cte(rel: &Rel) -> bool {
    let (mut read, mut defined) = (AHashSet::new(), AHashSet::new());
    for_each_rel(rel, &mut |rel| match rel {
        Rel::CteRef { cte, .. } => {
            read.insert(*cte);
        }
        Rel::With { ctes, .. } => defined.extend(ctes.iter().map(|cte| cte.id)),
        _ => {}
    });
    !read.is_subset(&defined)
}

/// Columns a relation names but does not produce anywhere inside: what it takes from outside.
pub(crate) fn outer_columns(rel: &Rel) -> Vec<ColumnId> {
    let mut produced = AHashSet::new();
    for_each_rel(rel, &mut |rel| {
        produced.extend(rel.output_columns());
        if let Rel::With { ctes, .. } = rel {
            produced.extend(ctes.iter().flat_map(|cte| &cte.columns).map(|column| column.id));
        }
    });
    let mut outer = Vec::new();
    for_each_column_of_rel(rel, &mut |column| {
        if !produced.contains(&column) && !outer.contains(&column) {
            outer.push(column);
        }
    });
    outer
}
