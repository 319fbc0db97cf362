//! EXPLAIN: what a statement would do. `EXPLAIN (LOCKS)` prints the locks it would take, before it runs.

mod locks;

use std::sync::Arc;

use sqlparser::ast::{self, Statement, UtilityOption};
use storage::Datum;

use crate::catalog::Catalog;
use crate::eval::SessionView;
use crate::statement::{Parsed, Planner, Prepared, ResultColumn, StatementContext};
use crate::{SqlError, SqlResult, SqlState, Type};

/// A bound EXPLAIN.
pub(crate) struct Explain {
    statement: Prepared,
    locks: bool,
    json: bool,
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
        statement: &Parsed,
        _catalog: &Catalog,
        _session: &dyn SessionView,
        inner: Prepared,
    ) -> SqlResult<Explain> {
        let mut explain = Explain {
            statement: inner,
            locks: false,
            json: false,
        };
        let Statement::Explain { options, .. } = &*statement.ast else {
            return Ok(explain);
        };
        for option in options.iter().flatten() {
            match option.name.value.to_lowercase().as_str() {
                "locks" => explain.locks = is_on(option)?,
                "format" => explain.json = argument(option).is_some_and(|format| format.eq_ignore_ascii_case("json")),
                _ => {}
            }
        }
        Ok(explain)
    }

    /// The one column of the result.
    pub(crate) fn columns(&self) -> Vec<ResultColumn> {
        vec![ResultColumn {
            name: "QUERY PLAN".into(),
            ty: if self.json { Type::JSON } else { Type::TEXT },
            table: 0,
            attribute: 0,
        }]
    }

    /// The lines.
    pub(crate) async fn run(&self, planner: &Arc<Planner>, context: &StatementContext) -> SqlResult<Vec<Vec<Datum>>> {
        if !self.locks {
            return Err(SqlError::unsupported("EXPLAIN"));
        }
        let report = locks::LockReport::of(planner, context, &self.statement).await?;
        if self.json {
            let members: serde_json::Map<String, serde_json::Value> = report
                .json()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            let text = serde_json::to_string_pretty(&vec![members]).unwrap_or_default();
            return Ok(vec![vec![Datum::text(text)]]);
        }
        Ok(report.text().into_iter().map(|line| vec![Datum::text(line)]).collect())
    }
}

fn argument(option: &UtilityOption) -> Option<String> {
    match option.arg.as_ref()? {
        ast::Expr::Identifier(name) => Some(name.value.clone()),
        other => Some(other.to_string().trim_matches('\'').to_owned()),
    }
}

/// A boolean option; alone it is on.
fn is_on(option: &UtilityOption) -> SqlResult<bool> {
    match argument(option).as_deref().map(str::to_lowercase).as_deref() {
        None | Some("true" | "on" | "1") => Ok(true),
        Some("false" | "off" | "0") => Ok(false),
        Some(_) => Err(SqlError::new(
            SqlState::SYNTAX_ERROR,
            format!("{} requires a Boolean value", option.name.value.to_lowercase()),
        )),
    }
}
