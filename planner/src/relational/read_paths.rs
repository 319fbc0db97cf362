//! Read paths: which paths of a table's rows a query looks at, so that SERIALIZABLE locks those and no others.
//!
//! ```text
//!   SELECT doc->>'a' FROM orders WHERE doc->'b'->>'c' = 'x'        orders: doc/a, doc/b/c
//! ```
//! Found from the relation the plan was made of, when a scan first has to lock: other levels of isolation never ask.

use ahash::AHashMap;
use storage::{Datum, Path, Step};

use crate::bound::visit::{for_each_child, for_each_input, for_each_own_expr};
use crate::bound::{ColumnId, Expr, ExprKind, Rel};
use crate::modify::derive;

/// The relation of a planned query, and the columns it gives.
#[derive(Debug)]
pub struct QueryReads {
    /// The relation, rewritten as it was planned.
    pub rel: Rel,
    /// Columns of its rows that are given away as they are.
    pub outputs: Vec<ColumnId>,
}

/// Places inside of columns that are read, by column.
pub type ColumnReads = AHashMap<ColumnId, Vec<Vec<Step>>>;

impl QueryReads {
    /// Everything the query reads, for these parameter values (which may be steps of paths).
    pub fn by_column(&self, parameters: &[Datum]) -> ColumnReads {
        let mut reads = ColumnReads::default();
        let mut note = |column: ColumnId, steps: Vec<Step>| reads.entry(column).or_default().push(steps);
        for column in &self.outputs {
            note(*column, Vec::new());
        }
        for_each_read_of_rel(&self.rel, parameters, &mut note);
        reads
    }
}

/// The paths of a scan's rows that are read. `columns` are the scan's: position and id.
pub fn of_scan(reads: &ColumnReads, columns: &[(u16, ColumnId)]) -> Vec<Path> {
    let paths = columns.iter().flat_map(|(position, id)| {
        let places = reads.get(id).into_iter().flatten();
        places.map(|steps| Path::new(*position, steps.iter().cloned()))
    });
    derive::minimal(paths.collect())
}

/// Calls `visit` with each column an expression reads, and the steps into it.
pub fn for_each_read(expr: &Expr, parameters: &[Datum], visit: &mut dyn FnMut(ColumnId, Vec<Step>)) {
    if let Some((column, steps)) = derive::place_of(expr, parameters) {
        visit(column, steps);
        return;
    }
    if let ExprKind::Subquery(subquery) = &expr.kind {
        // What a subquery gives is used, whichever of its columns that is.
        for column in subquery.rel.output_columns() {
            visit(column, Vec::new());
        }
        for_each_read_of_rel(&subquery.rel, parameters, visit);
    }
    for_each_child(expr, &mut |child| for_each_read(child, parameters, visit));
}

/// As [`for_each_read`], for all of a relation. Columns that are named by position count as read whole.
pub fn for_each_read_of_rel(rel: &Rel, parameters: &[Datum], visit: &mut dyn FnMut(ColumnId, Vec<Step>)) {
    for_each_own_expr(rel, &mut |expr| for_each_read(expr, parameters, visit));
    let mut whole = |columns: &[ColumnId]| columns.iter().for_each(|column| visit(*column, Vec::new()));
    match rel {
        Rel::SetOperation {
            left_columns,
            right_columns,
            ..
        } => {
            whole(left_columns);
            whole(right_columns);
        }
        Rel::Distinct { input, on: None } => whole(&input.output_columns()),
        Rel::With { ctes, .. } => {
            for cte in ctes {
                whole(&cte.rel.output_columns());
                if let Some(recursive) = &cte.recursive {
                    whole(&recursive.columns);
                }
            }
        }
        _ => {}
    }
    for_each_input(rel, &mut |input| for_each_read_of_rel(input, parameters, visit));
}
