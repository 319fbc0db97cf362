//! TableProgram: what a table demands of its rows, compiled once per table version.

use std::sync::Arc;

use storage::{Datum, Path};

use crate::bind::Purpose;
use crate::bound::{ColumnId, Expr};
use crate::catalog::{Catalog, ConstraintKind, Index, IndexSource, Relation};
use crate::eval::{Compiler, EvalContext, Layout, OuterScope, Program, SessionView};
use crate::modify::derive;
use crate::modify::documents::{self, DocumentColumn};
use crate::partition::Routing;
use crate::{SqlError, SqlResult, SqlState, Type, stored, types};

/// Compiled defaults, generated columns, checks and index keys of a table. Programs run over a full row: slot = attnum - 1.
pub struct TableProgram {
    /// The table.
    pub table: Arc<Relation>,
    /// Positions of the primary key's columns; empty if rows have a hidden row id.
    pub primary_key: Vec<u16>,
    /// Generated columns in order: position, expression.
    pub generated: Vec<(u16, RowProgram)>,
    /// CHECK constraints: name, expression.
    pub checks: Vec<(String, RowProgram)>,
    /// Indexes other than the primary key.
    pub indexes: Vec<IndexProgram>,
    /// Columns of type jsonb.
    pub(super) documents: Vec<DocumentColumn>,
    /// Where the rows of a partitioned table belong.
    pub routing: Option<Routing>,
    /// Values of rows written before a column was added.
    missing: Vec<(u16, Datum)>,
}

/// A program over the row, and what it reads of it.
pub struct RowProgram {
    /// The program.
    pub program: Program,
    /// Paths of the row it reads.
    pub reads: Vec<Path>,
}

/// Keys of an index as programs.
pub struct IndexProgram {
    /// The index.
    pub index: Index,
    /// Keys in order.
    pub keys: Vec<RowProgram>,
    /// Predicate of a partial index.
    pub predicate: Option<RowProgram>,
}

impl IndexProgram {
    /// Paths of the row that decide about the entry.
    pub fn reads(&self) -> impl Iterator<Item = &Path> {
        self.keys
            .iter()
            .chain(&self.predicate)
            .flat_map(|program| &program.reads)
    }
}

impl TableProgram {
    /// Compiles a table's programs.
    ///
    /// # Errors
    /// What binding the stored expressions reports, which means that the registry and this build disagree.
    pub fn new(catalog: &Catalog, session: &dyn SessionView, table: &Arc<Relation>) -> SqlResult<Self> {
        let row = |text: &str, purpose, target| row_program(catalog, session, table, text, purpose, target);
        let mut program = TableProgram {
            table: table.clone(),
            primary_key: Vec::new(),
            generated: Vec::new(),
            checks: Vec::new(),
            indexes: Vec::new(),
            documents: documents::columns_of(table),
            routing: Routing::new(catalog, session, table)?,
            missing: Vec::new(),
        };
        for (at, column) in table.live_columns() {
            if let (true, Some(text)) = (column.generated, &column.default) {
                program
                    .generated
                    .push((at, row(text, Purpose::Generated, Some(column.ty))?));
            }
            if let Some(text) = &column.missing {
                program.missing.push((at, types::input(column.ty, text, session)?));
            }
        }
        for constraint in &table.constraints {
            if let ConstraintKind::Check { expression } = &constraint.kind {
                program
                    .checks
                    .push((constraint.name.clone(), row(expression, Purpose::Check, None)?));
            }
        }
        // PostgreSQL evaluates checks in the order of their names.
        program.checks.sort_by(|a, b| a.0.cmp(&b.0));
        for index in &table.indexes {
            let mut keys = Vec::with_capacity(index.keys.len());
            for key in &index.keys {
                keys.push(match &key.source {
                    IndexSource::Column(at) => RowProgram {
                        program: Program::slot(*at as usize, key.ty),
                        reads: vec![Path {
                            column: *at,
                            steps: Vec::new(),
                        }],
                    },
                    IndexSource::Expression(text) => row(text, Purpose::Index, None)?,
                });
            }
            if index.primary {
                program.primary_key = keys
                    .iter()
                    .filter_map(|key| key.program.as_slot())
                    .map(|slot| slot as u16)
                    .collect();
                continue;
            }
            let predicate = index
                .predicate
                .as_deref()
                .map(|text| row(text, Purpose::IndexPredicate, None))
                .transpose()?;
            program.indexes.push(IndexProgram {
                index: index.clone(),
                keys,
                predicate,
            });
        }
        Ok(program)
    }

    /// Completes a stored row: columns added since it was written get their missing values.
    pub fn complete(&self, row: &mut Vec<Datum>) {
        let stored = row.len();
        if stored >= self.table.columns.len() {
            return;
        }
        row.resize(self.table.columns.len(), Datum::Null);
        for (at, value) in self.missing.iter().filter(|(at, _)| *at as usize >= stored) {
            row[*at as usize] = value.clone();
        }
    }

    /// Computes the generated columns of a row.
    ///
    /// # Errors
    /// What the expressions raise.
    pub fn generate(&self, row: &mut [Datum], context: &EvalContext<'_>) -> SqlResult<()> {
        for (at, generated) in &self.generated {
            row[*at as usize] = generated.program.eval(row, context)?;
        }
        Ok(())
    }

    /// Checks NOT NULL and CHECK.
    ///
    /// # Errors
    /// 23502, 23514, and what the expressions raise.
    pub fn check(&self, row: &[Datum], context: &EvalContext<'_>) -> SqlResult<()> {
        for (at, column) in self.table.live_columns() {
            if let Some(domain) = column.domain {
                crate::domain::check(context.session, domain, &row[at as usize])?;
            }
            if column.not_null && row[at as usize].is_null() {
                return Err(super::violation::not_null(&self.table, at, row, context));
            }
        }
        for (name, check) in &self.checks {
            // NULL passes: a check must not be false.
            if let Datum::Bool(false) = check.program.eval(row, context)? {
                return Err(super::violation::check(&self.table, name, row, context));
            }
        }
        Ok(())
    }
}

/// Compiles an expression over a table's row.
///
/// # Errors
/// What binding reports.
pub fn row_program(
    catalog: &Catalog,
    session: &dyn SessionView,
    table: &Relation,
    text: &str,
    purpose: Purpose,
    target: Option<Type>,
) -> SqlResult<RowProgram> {
    let bound = stored::expression_over(catalog, session, table, text, purpose, target)?;
    let reads = derive::reads(&bound.expr, &bound.columns);
    Ok(RowProgram {
        program: compile(&bound.expr, &row_layout(table, &bound.columns))?,
        reads,
    })
}

/// A layout whose slots are attribute positions.
pub fn row_layout(table: &Relation, columns: &[(u16, ColumnId)]) -> Layout {
    let unnamed = |at: usize| ColumnId(u32::MAX - at as u32);
    Layout::new((0..table.columns.len()).map(|at| {
        columns
            .iter()
            .find(|(position, _)| *position as usize == at)
            .map_or_else(|| unnamed(at), |(_, id)| *id)
    }))
}

/// Compiles an expression that has no subqueries.
///
/// # Errors
/// XX000 if it refers to a column that is not in the layout.
pub fn compile(expr: &Expr, layout: &Layout) -> SqlResult<Program> {
    let mut outer = OuterScope::default();
    let program = Compiler::new(layout, &mut outer, None).compile(expr)?;
    if !outer.columns().is_empty() {
        return Err(SqlError::new(
            SqlState::INTERNAL_ERROR,
            "an expression names a column that is not in its row",
        ));
    }
    Ok(program)
}
