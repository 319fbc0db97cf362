//! Binder: what one statement's binding shares: catalog, session, parameters, column ids, the stack of scopes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bound::{ColumnId, CteId, OutputColumn};
use crate::catalog::Catalog;
use crate::eval::SessionView;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

use super::cte::CteEntry;
use super::position::Source;
use super::scope::Scope;

/// Most columns of a row, as in PostgreSQL.
pub(super) const TARGETS_MAX: usize = 1664;

/// Binds one statement.
pub struct Binder<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) session: &'a dyn SessionView,
    /// The text positions are counted in; another one while a view's query is bound.
    pub(super) source: Source,
    /// Types of parameters: given by the client, or inferred.
    parameters: Vec<Option<Type>>,
    /// Facts about every column id given out.
    columns: Vec<ColumnFacts>,
    next_cte: u32,
    /// Query levels from the outermost to the innermost.
    pub(super) scopes: Vec<Scope>,
    /// WITH items in reach, innermost last.
    pub(super) ctes: Vec<CteEntry>,
    /// References to each WITH item.
    pub(super) cte_references: HashMap<u32, u32>,
    /// Views being expanded, against endless recursion.
    pub(super) views: Vec<u32>,
    /// Schema of the view being expanded: its names are looked up there first.
    pub(super) home_schema: Option<u32>,
    /// Names outside of a view's text are out of its reach: scopes below this one.
    pub(super) scope_floor: usize,
}

/// What is known of a column id.
#[derive(Clone, Debug)]
pub(super) struct ColumnFacts {
    /// Query level that produces it.
    pub level: usize,
    /// Alias of its table, for messages.
    pub table: Option<Arc<str>>,
    /// Name, for messages.
    pub name: Arc<str>,
    /// Table and attnum it is stored in, or zeros.
    pub origin: (u32, i16),
}

impl<'a> Binder<'a> {
    /// A binder for one statement. `parameter_types` are the client's hints: 0 and missing ones are inferred.
    pub fn new(catalog: &'a Catalog, session: &'a dyn SessionView, parameter_types: &[u32]) -> Self {
        let hints = parameter_types.iter().map(|&hint| {
            let known = hint != 0 && hint != oid::UNKNOWN;
            known.then(|| Type::new(hint))
        });
        Self {
            catalog,
            session,
            source: Source::default(),
            parameters: hints.collect(),
            columns: Vec::new(),
            next_cte: 0,
            scopes: Vec::new(),
            ctes: Vec::new(),
            cte_references: HashMap::new(),
            views: Vec::new(),
            home_schema: None,
            scope_floor: 0,
        }
    }

    /// Types of the parameters used so far.
    ///
    /// # Errors
    /// 42P18 if no context told the type of one.
    pub fn parameter_types(&self) -> SqlResult<Vec<Type>> {
        self.parameters
            .iter()
            .enumerate()
            .map(|(i, ty)| {
                ty.ok_or_else(|| {
                    SqlError::new(
                        SqlState::INDETERMINATE_DATATYPE,
                        format!("could not determine data type of parameter ${}", i + 1),
                    )
                })
            })
            .collect()
    }

    /// The type of a parameter as far as it is known.
    pub(super) fn parameter(&mut self, index: usize) -> Option<Type> {
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, None);
        }
        self.parameters[index]
    }

    /// Fixes the type of a parameter that had none.
    pub(super) fn set_parameter(&mut self, index: usize, ty: Type) {
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, None);
        }
        self.parameters[index] = Some(Type::new(ty.oid));
    }

    /// The current query level.
    pub(super) fn level(&self) -> usize {
        self.scopes.len().saturating_sub(1)
    }

    /// A fresh column of the current level.
    pub(super) fn new_column(&mut self, name: &str, ty: Type) -> OutputColumn {
        self.new_column_of(None, name, ty, (0, 0))
    }

    /// A fresh column of a table or alias.
    pub(super) fn new_column_of(
        &mut self,
        table: Option<&Arc<str>>,
        name: &str,
        ty: Type,
        origin: (u32, i16),
    ) -> OutputColumn {
        let id = ColumnId(self.columns.len() as u32);
        let level = self.level();
        self.columns.push(ColumnFacts {
            level,
            table: table.cloned(),
            name: name.into(),
            origin,
        });
        OutputColumn {
            id,
            name: name.to_owned(),
            ty,
        }
    }

    /// Facts about a column id.
    pub(super) fn facts(&self, id: ColumnId) -> &ColumnFacts {
        &self.columns[id.0 as usize]
    }

    /// Remembers where a column's values come from.
    pub(super) fn set_origin(&mut self, id: ColumnId, origin: (u32, i16)) {
        self.columns[id.0 as usize].origin = origin;
    }

    pub(super) fn new_cte(&mut self) -> CteId {
        self.next_cte += 1;
        CteId(self.next_cte)
    }

    /// The innermost scope.
    pub(super) fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    /// Runs `f` one query level deeper, and gives its scope back.
    pub(super) fn with_scope<T>(&mut self, f: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        self.scopes.push(Scope::default());
        let depth = self.scopes.len();
        let result = grow(|| f(self));
        self.scopes.truncate(depth - 1);
        result
    }
}

/// Runs a step of a deep recursion on a stack that grows when it is short.
pub(super) fn grow<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(256 * 1024, 4 * 1024 * 1024, f)
}

impl Binder<'_> {
    /// A fresh column of an outer level.
    pub(super) fn new_column_at(&mut self, level: usize, name: &str, ty: Type) -> OutputColumn {
        let column = self.new_column(name, ty);
        self.columns[column.id.0 as usize].level = level;
        column
    }
}

impl Binder<'_> {
    /// The id the next new column gets.
    pub(super) fn next_column_id(&self) -> u32 {
        self.columns.len() as u32
    }

    /// Names a column for messages.
    pub(super) fn set_names(&mut self, id: ColumnId, table: &Arc<str>, name: &str) {
        let facts = &mut self.columns[id.0 as usize];
        facts.table = Some(table.clone());
        facts.name = name.into();
        // Subqueries produce their columns one level deeper than the FROM that shows them.
        facts.level = self.scopes.len().saturating_sub(1);
    }
}
