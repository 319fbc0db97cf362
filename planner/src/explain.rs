//! EXPLAIN: what a statement would do. `EXPLAIN (LOCKS)` prints the locks it would take, before it runs.

use std::sync::Arc;

use sqlparser::ast::Statement;
use storage::Datum;

use crate::catalog::Catalog;
use crate::eval::SessionView;
use crate::statement::{Parsed, Planner, Prepared, ResultColumn, StatementContext};
use crate::{SqlError, SqlResult, Type};

/// A bound EXPLAIN.
pub(crate) struct Explain {
    statement: Prepared,
}

impl Explain {
    /// The statement inside of an EXPLAIN, `None` for other statements.
    pub(crate) fn inner(statement: &Parsed) -> Option<Parsed> {
        match &*statement.ast {
            Statement::Explain { statement: inner, .. } => Some(Parsed {
                ast: Arc::new(Statement::clone(inner)),
                text: statement.text.clone(),
                offset: statement.offset,
            }),
            _ => None,
        }
    }

    /// Binds the options.
    pub(crate) fn new(
        _statement: &Parsed,
        _catalog: &Catalog,
        _session: &dyn SessionView,
        inner: Prepared,
    ) -> SqlResult<Explain> {
        Ok(Explain { statement: inner })
    }

    /// The one column of the result.
    pub(crate) fn columns(&self) -> Vec<ResultColumn> {
        vec![ResultColumn {
            name: "QUERY PLAN".into(),
            ty: Type::TEXT,
            table: 0,
            attribute: 0,
        }]
    }

    /// The lines.
    pub(crate) async fn run(&self, _planner: &Arc<Planner>, _context: &StatementContext) -> SqlResult<Vec<Vec<Datum>>> {
        let _ = &self.statement;
        Err(SqlError::unsupported("EXPLAIN"))
    }
}
