//! MERGE: the source joined with the target's scan, and what each WHEN clause does.
//!
//! ON and WHEN MATCHED see both; USING and WHEN NOT MATCHED see the source alone.

use sqlparser::ast as sql;

use super::{Target, modify, named_table};
use crate::bind::Binder;
use crate::bind::context::Context;
use crate::bound::{ColumnId, Expr, JoinKind, MergeAction, MergeActionKind, Modify, ModifyKind, Rel};
use crate::catalog::{Relation, RelationKind};
use crate::parse::forms;
use crate::{SqlError, SqlResult, SqlState};

use super::insert::Overriding;

/// 0A000 for what MERGE cannot change.
pub(super) fn check_kind(relation: &Relation) -> SqlResult<()> {
    let plural = match relation.kind {
        RelationKind::Table | RelationKind::System => return Ok(()),
        RelationKind::View => "views",
        RelationKind::Sequence => "sequences",
        RelationKind::Composite => "composite types",
    };
    Err(SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("cannot execute MERGE on relation \"{}\"", relation.name),
    )
    .detail(format!("This operation is not supported for {plural}.")))
}

impl Binder<'_> {
    pub(super) fn bind_merge(&mut self, merge: &sql::Merge) -> SqlResult<Modify> {
        check_reachable(&merge.clauses)?;
        let (name, alias) = named_table(&merge.table)?;
        let target = self.modify_target(name, alias.map(|alias| &alias.name), "MERGE")?;
        if source_name(&merge.source) == Some(&*target.alias) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_ALIAS,
                format!("name \"{}\" specified more than once", target.alias),
            )
            .detail("The name is used both as MERGE target table and data source."));
        }
        let (mut scan, item) = self.make_scan(&target.table, &target.alias, target.aliased);
        scan.members = self.members_of(&target.table, target.is_only)?;
        let source_oid = scan.table_oid.filter(|_| scan.members.is_some());
        let row_key = scan.row_key.unwrap_or(ColumnId(0));
        let old_columns: Vec<(u16, ColumnId)> = scan
            .columns
            .iter()
            .map(|(column, position)| (*position, column.id))
            .collect();
        let mut hidden = item.clone();
        hidden.hide();
        self.scope().items.push(hidden.clone());
        let using = self.bind_from(&[sql::TableWithJoins {
            relation: merge.source.clone(),
            joins: vec![],
        }])?;
        self.scope().items[0] = item.clone();
        let on = self.bind_condition(Context::JoinOn, &merge.on, "JOIN/ON")?;
        let mut actions = Vec::with_capacity(merge.clauses.len());
        for clause in &merge.clauses {
            let matched = clause.clause_kind == sql::MergeClauseKind::Matched;
            self.scope().items[0] = if matched { item.clone() } else { hidden.clone() };
            let condition = match &clause.predicate {
                None => None,
                Some(condition) => Some(self.bind_condition(Context::MergeWhen, condition, "WHEN")?),
            };
            let kind = self.merge_action(&target, &clause.action, &old_columns)?;
            actions.push(MergeAction {
                matched,
                condition,
                kind,
            });
        }
        let inserts = |action: &MergeAction| matches!(action.kind, MergeActionKind::Insert { .. });
        let source = Rel::Join {
            kind: if actions.iter().any(inserts) {
                JoinKind::Left
            } else {
                JoinKind::Inner
            },
            left: Box::new(using),
            right: Box::new(Rel::Scan(scan)),
            on: Some(on.clone()),
            lateral: false,
        };
        let super::RowItem {
            ids: row_columns,
            table_oid,
            ..
        } = self.row_item(&target, &target.alias.clone())?;
        let kind = ModifyKind::Merge {
            source,
            row_key,
            old_columns,
            on,
            actions,
        };
        let mut modify = modify(&target, kind, row_columns, table_oid);
        modify.source_oid = source_oid;
        Ok(modify)
    }

    fn merge_action(
        &mut self,
        target: &Target,
        action: &sql::MergeAction,
        old: &[(u16, ColumnId)],
    ) -> SqlResult<MergeActionKind> {
        match action {
            sql::MergeAction::DoNothing { .. } => Ok(MergeActionKind::Nothing),
            sql::MergeAction::Delete { .. } => Ok(MergeActionKind::Delete),
            sql::MergeAction::Update(sql::MergeUpdateExpr {
                kind: sql::MergeUpdateKind::Set(assignments),
                ..
            }) => Ok(MergeActionKind::Update(self.bind_assignments(
                target,
                assignments,
                old,
            )?)),
            sql::MergeAction::Insert(insert) => self.merge_insert(target, insert),
            sql::MergeAction::Update(_) => Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error in MERGE")),
        }
    }

    fn merge_insert(&mut self, target: &Target, insert: &sql::MergeInsertExpr) -> SqlResult<MergeActionKind> {
        let sql::MergeInsertKind::Values(given) = &insert.kind else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error in MERGE"));
        };
        // The parser keeps OVERRIDING and DEFAULT VALUES as names nobody can write (see `parse::merge`).
        let (overriding, names) = match insert.columns.split_first() {
            Some((mark, rest)) if is_mark(mark, forms::OVERRIDING_SYSTEM) => (Overriding::System, rest),
            Some((mark, rest)) if is_mark(mark, forms::OVERRIDING_USER) => (Overriding::User, rest),
            _ => (Overriding::Nothing, insert.columns.as_slice()),
        };
        let mut columns = self.insert_columns(target, names)?;
        let values: Vec<Expr> = if is_default_values(given) {
            columns.clear();
            vec![]
        } else {
            let query = self.insert_values(target, given, &mut columns, !names.is_empty(), overriding)?;
            match query.rel {
                Rel::Values { mut rows, .. } => rows.pop().unwrap_or_default(),
                _ => vec![],
            }
        };
        let positions: Vec<u16> = columns.iter().map(|column| column.position).collect();
        let defaults = self.missing_defaults(&target.table, &positions)?;
        Ok(MergeActionKind::Insert {
            values: positions.into_iter().zip(values).collect(),
            defaults,
        })
    }
}

/// 42601 for a clause behind one of its kind that has no condition.
fn check_reachable(clauses: &[sql::MergeClause]) -> SqlResult<()> {
    let mut ended = [false; 2];
    for clause in clauses {
        let ended = &mut ended[usize::from(clause.clause_kind == sql::MergeClauseKind::Matched)];
        if *ended {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "unreachable WHEN clause specified after unconditional WHEN clause",
            ));
        }
        *ended = clause.predicate.is_none();
    }
    Ok(())
}

/// The name the source is seen by, if it has one.
fn source_name(source: &sql::TableFactor) -> Option<&str> {
    match source {
        sql::TableFactor::Table { alias: Some(alias), .. }
        | sql::TableFactor::Derived { alias: Some(alias), .. }
        | sql::TableFactor::Function { alias: Some(alias), .. }
        | sql::TableFactor::NestedJoin { alias: Some(alias), .. } => Some(&alias.name.value),
        sql::TableFactor::Table { name, .. } => {
            let last = name.0.last()?.as_ident()?;
            Some(&last.value)
        }
        _ => None,
    }
}

fn is_mark(name: &sql::ObjectName, mark: &str) -> bool {
    matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident| ident.value == mark))
}

fn is_default_values(values: &sql::Values) -> bool {
    let [row] = values.rows.as_slice() else { return false };
    matches!(row.content.as_slice(), [sql::Expr::Identifier(ident)] if ident.value == forms::DEFAULT_VALUES)
}
