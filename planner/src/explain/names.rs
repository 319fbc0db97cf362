//! Names: what the columns and subqueries of a statement are called when its plan is printed.

use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::{AHashMap, AHashSet};
use parking_lot::Mutex;

use crate::bound::{AggregateCall, ColumnId, CteId, Expr, OutputColumn, Rel, Subquery, WindowCall};
use crate::relational::rewrite::inline::for_each_rel;

/// What a column is called.
pub(crate) enum Name {
    /// A column of a relation in FROM.
    Column { table: String, column: String },
    /// A computed column: its expression.
    Value(Expr),
    /// An aggregate.
    Aggregate(AggregateCall),
    /// A window function.
    Window(WindowCall),
    /// Anything else.
    Text(String),
}

/// A subquery of an expression, as the plan numbers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubplanName {
    /// Its number in the statement.
    pub(crate) number: usize,
    /// Parameter that holds the value of a subquery run once (`InitPlan`).
    pub(crate) initial: Option<usize>,
    /// Uses no outer columns.
    pub(crate) is_free: bool,
}

impl SubplanName {
    /// `InitPlan 1 (returns $0)`
    pub(crate) fn title(&self, parameter: usize) -> String {
        format!("InitPlan {} (returns ${parameter})", self.number)
    }
}

/// Names of one statement.
#[derive(Default)]
pub(crate) struct Names {
    columns: AHashMap<ColumnId, Name>,
    /// Columns are printed with their table: the statement reads more than one.
    pub(crate) qualify: bool,
    /// VERBOSE: with their table always.
    pub(crate) verbose: bool,
    /// First columns of the references to a CTE inside of its own definition.
    working: AHashSet<ColumnId>,
    /// Names of CTEs.
    ctes: AHashMap<CteId, String>,
    subplans: Mutex<AHashMap<ColumnId, SubplanName>>,
    numbers: AtomicUsize,
    parameters: AtomicUsize,
    /// Names given while the plan is built (values that an index is looked up by).
    late: Mutex<AHashMap<ColumnId, String>>,
}

impl Names {
    /// Names of a rewritten query.
    pub(crate) fn of_query(rel: &Rel, verbose: bool) -> Names {
        let mut names = Names::default();
        let mut relations = 0;
        for_each_rel(rel, &mut |rel| relations += names.add(rel));
        names.qualify = verbose || relations > 1;
        names.verbose = verbose;
        names
    }

    /// Names of one table's columns, for an expression over its row.
    pub(crate) fn of_row(columns: impl IntoIterator<Item = (ColumnId, String)>) -> Names {
        let mut names = Names::default();
        for (id, column) in columns {
            let table = String::new();
            names.columns.insert(id, Name::Column { table, column });
        }
        names
    }

    /// Adds the names that a relation gives; returns how many relations of FROM it is.
    fn add(&mut self, rel: &Rel) -> usize {
        match rel {
            Rel::Scan(scan) | Rel::SystemScan(scan) => {
                for (column, _) in &scan.columns {
                    self.add_column(column, &scan.alias);
                }
                let hidden = [(scan.row_key, "ctid"), (scan.table_oid, "tableoid")];
                for (column, name) in hidden {
                    if let Some(column) = column {
                        let name = Name::Column {
                            table: scan.alias.clone(),
                            column: name.into(),
                        };
                        self.columns.insert(column, name);
                    }
                }
                1
            }
            Rel::Values { columns, .. } => {
                columns.iter().for_each(|column| self.add_column(column, "*VALUES*"));
                1
            }
            Rel::FunctionScan { calls, ordinality } => {
                let table = calls.first().map_or("", |(call, _)| call.function.name);
                let columns = calls.iter().flat_map(|(_, columns)| columns).chain(ordinality);
                columns.for_each(|column| self.add_column(column, table));
                1
            }
            Rel::CteRef { cte, columns } => {
                let table = self.ctes.get(cte).cloned().unwrap_or_default();
                columns.iter().for_each(|column| self.add_column(column, &table));
                1
            }
            Rel::Project { columns, .. } => {
                for (column, value) in columns {
                    if !matches!(value.kind, crate::bound::ExprKind::Column(same) if same == column.id) {
                        self.columns.insert(column.id, Name::Value(value.clone()));
                    }
                }
                0
            }
            Rel::ProjectSet { calls, .. } => {
                for (call, column) in calls {
                    self.columns
                        .insert(column.id, Name::Text(format!("({}(…))", call.function.name)));
                }
                0
            }
            Rel::Aggregate {
                groups,
                aggregates,
                groupings,
                ..
            } => {
                for (column, value) in groups {
                    self.columns.insert(column.id, Name::Value(value.clone()));
                }
                for (column, call) in aggregates {
                    self.columns.insert(column.id, Name::Aggregate(call.clone()));
                }
                for (column, _) in groupings {
                    self.columns.insert(column.id, Name::Text("GROUPING(…)".into()));
                }
                0
            }
            Rel::Window { calls, .. } => {
                for (column, call) in calls {
                    self.columns.insert(column.id, Name::Window(call.clone()));
                }
                0
            }
            Rel::SetOperation {
                columns, left_columns, ..
            } => {
                for (column, left) in columns.iter().zip(left_columns) {
                    let value = Expr {
                        kind: crate::bound::ExprKind::Column(*left),
                        ty: column.ty,
                        position: None,
                    };
                    self.columns.insert(column.id, Name::Value(value));
                }
                1
            }
            Rel::With { ctes, .. } => {
                for cte in ctes {
                    self.ctes.insert(cte.id, cte.name.clone());
                    if let Some(recursive) = &cte.recursive {
                        for_each_rel(&recursive.rel, &mut |rel| {
                            if let Rel::CteRef { cte: read, columns } = rel
                                && *read == cte.id
                            {
                                self.working.extend(columns.first().map(|column| column.id));
                            }
                        });
                    }
                    cte.columns.iter().for_each(|column| self.add_column(column, &cte.name));
                }
                0
            }
            Rel::Modify(modify) => {
                for (position, column) in &modify.row_columns {
                    let name = Name::Column {
                        table: modify.alias.clone(),
                        column: modify.table.columns[*position as usize].name.clone(),
                    };
                    self.columns.insert(*column, name);
                }
                for (column, value) in &modify.returning {
                    self.columns.insert(column.id, Name::Value(value.clone()));
                }
                1
            }
            Rel::OneRow
            | Rel::Filter { .. }
            | Rel::Join { .. }
            | Rel::Sort { .. }
            | Rel::Limit { .. }
            | Rel::Distinct { .. }
            | Rel::LockRows { .. } => 0,
        }
    }

    fn add_column(&mut self, column: &OutputColumn, table: &str) {
        // A definition may give its columns on under the same ids: the first name is the one of their origin.
        self.columns.entry(column.id).or_insert_with(|| Name::Column {
            table: table.to_string(),
            column: column.name.clone(),
        });
    }

    /// The name of a column.
    pub(crate) fn of(&self, column: ColumnId) -> Option<&Name> {
        self.columns.get(&column)
    }

    /// The name of a column that came up while the plan was built.
    pub(crate) fn late(&self, column: ColumnId) -> Option<String> {
        self.late.lock().get(&column).cloned()
    }

    /// Names a column that came up while the plan was built.
    pub(crate) fn set_late(&self, column: ColumnId, text: String) {
        self.late.lock().insert(column, text);
    }

    /// The name of a CTE.
    pub(crate) fn cte(&self, cte: CteId) -> &str {
        self.ctes.get(&cte).map_or("", String::as_str)
    }

    /// Whether a reference reads the working table of the recursion around it.
    pub(crate) fn is_working(&self, columns: &[OutputColumn]) -> bool {
        columns.first().is_some_and(|column| self.working.contains(&column.id))
    }

    /// Numbers a subquery; the same number for the same one. `initial`: run once, and its value is a parameter.
    pub(crate) fn number(&self, subquery: &Subquery, is_free: bool, initial: bool) -> SubplanName {
        let key = key_of(subquery);
        if let Some(known) = self.subplans.lock().get(&key) {
            return *known;
        }
        let name = SubplanName {
            number: self.numbers.fetch_add(1, Ordering::Relaxed) + 1,
            initial: initial.then(|| self.parameters.fetch_add(1, Ordering::Relaxed)),
            is_free,
        };
        self.subplans.lock().insert(key, name);
        name
    }

    /// The name of a subquery that was numbered.
    pub(crate) fn subplan(&self, subquery: &Subquery) -> Option<SubplanName> {
        self.subplans.lock().get(&key_of(subquery)).copied()
    }
}

/// What tells subqueries apart: a column that only this one produces.
fn key_of(subquery: &Subquery) -> ColumnId {
    let first = subquery.columns.first().copied();
    first
        .or_else(|| subquery.rel.output_columns().first().copied())
        .unwrap_or(ColumnId(u32::MAX))
}
