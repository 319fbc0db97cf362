//! Expressions of one operator, with the subqueries in them planned.

use ahash::AHashMap;

use super::{Builder, Needed, missing_column};
use crate::bound::{ColumnId, Expr, OutputColumn, Rel, SortKey, Subquery};
use crate::eval::{Compiler, Layout, OuterScope, Program, SubqueryHost, SubqueryPlan};
use crate::relational::evaluator::{SubPlan, SubPlans, next_plan_number};
use crate::relational::operators::sort::KeyProgram;
use crate::relational::rewrite::inline::{for_each_rel, outer_columns};
use crate::{SqlResult, Type};

/// Compiles the expressions of one operator over one layout.
pub(crate) struct Expressions<'e, 'a> {
    layout: &'e Layout,
    scope: &'e mut OuterScope,
    host: Host<'e, 'a>,
}

struct Host<'e, 'a> {
    builder: &'e mut Builder<'a>,
    subplans: Vec<SubPlan>,
}

impl<'a> Builder<'a> {
    /// Begins the expressions of an operator.
    pub(crate) fn expressions<'e>(&'e mut self, layout: &'e Layout, scope: &'e mut OuterScope) -> Expressions<'e, 'a> {
        Expressions {
            layout,
            scope,
            host: Host {
                builder: self,
                subplans: Vec::new(),
            },
        }
    }

    /// Goes on with the expressions of an operator over another layout.
    pub(crate) fn expressions_after<'e>(
        &'e mut self,
        layout: &'e Layout,
        scope: &'e mut OuterScope,
        before: Vec<SubPlan>,
    ) -> Expressions<'e, 'a> {
        Expressions {
            layout,
            scope,
            host: Host {
                builder: self,
                subplans: before,
            },
        }
    }
}

impl Expressions<'_, '_> {
    /// Compiles one.
    pub(crate) fn program(&mut self, expr: &Expr) -> SqlResult<Program> {
        Compiler::new(self.layout, self.scope, Some(&mut self.host)).compile(expr)
    }

    /// Compiles several.
    pub(crate) fn programs(&mut self, exprs: &[Expr]) -> SqlResult<Vec<Program>> {
        exprs.iter().map(|expr| self.program(expr)).collect()
    }

    /// Compiles one that is only compared and hashed.
    pub(crate) fn key(&mut self, expr: &Expr) -> SqlResult<Program> {
        Compiler::new(self.layout, self.scope, Some(&mut self.host)).compile_key(expr)
    }

    /// Compiles sort keys.
    pub(crate) fn sort_keys(&mut self, keys: &[SortKey]) -> SqlResult<Vec<KeyProgram>> {
        keys.iter()
            .map(|key| {
                let value = self.key(&key.expr)?;
                Ok(KeyProgram {
                    value,
                    descending: key.descending,
                    nulls_first: key.nulls_first,
                })
            })
            .collect()
    }

    /// Ends; gives the subqueries found.
    pub(crate) fn finish(self) -> SubPlans {
        self.host.subplans.into()
    }

    /// Ends; the operator has more expressions, over another layout.
    pub(crate) fn pause(self) -> Vec<SubPlan> {
        self.host.subplans
    }
}

impl SubqueryHost for Host<'_, '_> {
    fn add_subquery(&mut self, subquery: &Subquery) -> SqlResult<SubqueryPlan> {
        let mut scope = OuterScope::default();
        let needed: Needed = subquery.columns.iter().copied().collect();
        let is_correlated = !outer_columns(&subquery.rel).is_empty();
        self.builder.depth += usize::from(is_correlated);
        let plan = self.builder.build(&subquery.rel, &needed, &mut scope);
        self.builder.depth -= usize::from(is_correlated);
        let plan = plan?;
        let slots = subquery
            .columns
            .iter()
            .map(|column| plan.layout().slot(*column).ok_or_else(|| missing_column(*column)));
        let slots = slots.collect::<SqlResult<_>>()?;
        let is_free = scope.columns().is_empty();
        self.builder.note_subquery(subquery, &plan, is_free);
        // A volatile subquery without outer columns runs once all the same, as PostgreSQL's InitPlans do.
        let keep = is_free || Builder::is_repeatable(&subquery.rel);
        let once = (is_free && Builder::is_statement_wide(&subquery.rel)).then(next_plan_number);
        self.subplans.push(SubPlan {
            plan,
            slots,
            keep,
            once,
        });
        Ok(SubqueryPlan {
            index: self.subplans.len() - 1,
            outer: scope.columns().to_vec(),
        })
    }
}

/// Types of all columns produced anywhere in a relation, subqueries included.
pub(crate) fn column_types(rel: &Rel) -> AHashMap<ColumnId, Type> {
    let mut types = AHashMap::new();
    for_each_rel(rel, &mut |rel| collect_types(rel, &mut types));
    types
}

fn collect_types(rel: &Rel, types: &mut AHashMap<ColumnId, Type>) {
    let mut add = |column: &OutputColumn| {
        types.insert(column.id, column.ty);
    };
    match rel {
        Rel::Scan(scan) | Rel::SystemScan(scan) => {
            scan.columns.iter().for_each(|(column, _)| add(column));
            types.extend(scan.row_key.map(|column| (column, Type::BYTEA)));
            types.extend(scan.table_oid.map(|column| (column, Type::OID)));
        }
        Rel::Values { columns, .. } | Rel::CteRef { columns, .. } | Rel::SetOperation { columns, .. } => {
            columns.iter().for_each(add);
        }
        Rel::FunctionScan { calls, ordinality } => {
            calls
                .iter()
                .flat_map(|(_, columns)| columns)
                .chain(ordinality)
                .for_each(add);
        }
        Rel::Project { columns, .. } => columns.iter().for_each(|(column, _)| add(column)),
        Rel::ProjectSet { calls, .. } => calls.iter().for_each(|(_, column)| add(column)),
        Rel::Aggregate {
            groups,
            aggregates,
            groupings,
            ..
        } => {
            groups.iter().for_each(|(column, _)| add(column));
            aggregates.iter().for_each(|(column, _)| add(column));
            groupings.iter().for_each(|(column, _)| add(column));
        }
        Rel::Window { calls, .. } => calls.iter().for_each(|(column, _)| add(column)),
        Rel::Modify(modify) => modify.returned().iter().for_each(|(column, _)| add(column)),
        Rel::With { ctes, .. } => ctes.iter().flat_map(|cte| &cte.columns).for_each(add),
        Rel::OneRow
        | Rel::Filter { .. }
        | Rel::Join { .. }
        | Rel::Sort { .. }
        | Rel::Limit { .. }
        | Rel::Distinct { .. }
        | Rel::LockRows { .. } => {}
    }
}
