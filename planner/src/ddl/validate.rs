//! What DDL does to rows that exist: checking them against new constraints, filling new indexes, rewriting columns.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use storage::{Datum, Row};
use txn::{Key, KeyRange, RowWrite};

use super::Ddl;
use super::alter_table::value_at;
use super::known_paths::forget_column;
use crate::bind::Purpose;
use crate::breath::Breath;
use crate::catalog::{ConstraintKind, Index, Relation};
use crate::eval::EvalContext;
use crate::modify::program::{TableProgram, row_program};
use crate::modify::violation::{describe_values, name_table};
use crate::modify::{derive, index};
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type, stored, types};

impl Ddl<'_> {
    fn eval_context(&self) -> EvalContext<'_> {
        EvalContext {
            session: &*self.context.session,
            parameters: &[],
            outer: &[],
        }
    }

    fn program_of(&self, table: &Relation) -> SqlResult<TableProgram> {
        TableProgram::new(self.catalog(), &*self.context.session, &Arc::new(table.clone()))
    }

    /// Binds every stored expression of a table, so that a wrong one is refused now.
    pub(super) fn check_expressions(&self, table: &Relation) -> SqlResult<()> {
        let program = self.program_of(table)?;
        for (at, generated) in &program.generated {
            let is_generated = |path: &storage::Path| table.columns[path.column as usize].generated;
            if generated.reads.iter().any(is_generated) {
                let name = &table.columns[*at as usize].name;
                return Err(SqlError::new(
                    SqlState::INVALID_OBJECT_DEFINITION,
                    format!("cannot use generated column \"{name}\" in column generation expression"),
                )
                .detail("A generated column cannot reference another generated column."));
            }
        }
        for (_, column) in table.live_columns().filter(|(_, column)| !column.generated) {
            if let Some(text) = &column.default {
                stored::default(self.catalog(), &*self.context.session, text, column)?;
            }
        }
        Ok(())
    }

    /// Whether an expression stored with a table reads a column of it.
    pub(super) fn expression_uses(&self, table: &Relation, text: &str, column: u16) -> bool {
        self.expression_over(table, text, Purpose::Using).is_ok_and(|bound| {
            derive::reads(&bound.expr, &bound.columns)
                .iter()
                .any(|path| path.column == column)
        })
    }

    /// Runs a check over every row of a table.
    pub(super) async fn for_each_row(
        &self,
        table: &Relation,
        mut visit: impl FnMut(&Key, Row) -> SqlResult<()> + Send,
    ) -> SqlResult<()> {
        let program = self.program_of(&Relation {
            constraints: Vec::new(),
            indexes: Vec::new(),
            ..table.clone()
        })?;
        let mut rows = self.context.transaction.scan(table.id, KeyRange::default(), false);
        let mut breath = Breath::new(&self.context.cancel);
        while let Some(batch) = rows.next().await {
            for (key, mut row) in batch? {
                program.complete(&mut row);
                visit(&key, row)?;
                breath.after_row().await?;
            }
        }
        Ok(())
    }

    /// Writes the entries of a new index for the rows that exist, and checks uniqueness.
    pub(super) async fn fill_index(&self, table: &Relation, index: &Index) -> SqlResult<()> {
        let program = self.program_of(table)?;
        let Some(target) = program.indexes.iter().find(|candidate| candidate.index.id == index.id) else {
            return Ok(());
        };
        let context = self.eval_context();
        let mut seen: HashMap<Bytes, ()> = HashMap::new();
        self.for_each_row(table, |key, row| {
            let Some(entry) = index::entry(target, &row, &context)? else {
                return Ok(());
            };
            if index.unique && !entry.is_distinct && seen.insert(entry.value.clone(), ()).is_some() {
                let columns: Vec<String> = index.keys.iter().map(|key| key.describe(table)).collect();
                let values = describe_values(entry.values.iter().zip(index.keys.iter().map(|key| key.ty)), &context);
                return Err(SqlError::new(
                    SqlState::UNIQUE_VIOLATION,
                    format!("could not create unique index \"{}\"", index.name),
                )
                .detail(format!("Key ({})=({values}) is duplicated.", columns.join(", ")))
                .object(|object| {
                    name_table(object, table, &*self.context.session);
                    object.constraint = Some(index.name.clone());
                }));
            }
            Ok(self
                .context
                .transaction
                .write_index(table.id, index.id, index.unique, &entry.value, key, true)?)
        })
        .await
    }

    /// Checks the rows that exist against the constraints from position `from` on, and fills their indexes.
    pub(super) async fn validate_added(&self, table: &mut Relation, from: usize) -> SqlResult<()> {
        for at in from..table.constraints.len() {
            self.validate_constraint(table, at).await?;
        }
        Ok(())
    }

    pub(super) async fn validate_constraint(&self, table: &mut Relation, at: usize) -> SqlResult<()> {
        let constraint = table.constraints[at].clone();
        match &constraint.kind {
            ConstraintKind::PrimaryKey { index } => {
                let columns: Vec<u16> = table
                    .live_columns()
                    .filter(|(_, column)| column.not_null)
                    .map(|(at, _)| at)
                    .collect();
                for column in columns {
                    self.validate_not_null(table, column).await?;
                }
                let index = table.indexes.iter().find(|candidate| candidate.id == *index).cloned();
                if let Some(index) = index.filter(|index| index.deferrable) {
                    return self.fill_index(table, &index).await;
                }
                let with_key = table.clone();
                self.rekey_rows(&with_key, Some(&constraint.name)).await
            }
            ConstraintKind::Unique { index } => {
                let index = table.indexes.iter().find(|candidate| candidate.id == *index).cloned();
                match index {
                    Some(index) => self.fill_index(table, &index).await,
                    None => Ok(()),
                }
            }
            ConstraintKind::Check { expression } => {
                let check = row_program(
                    self.catalog(),
                    &*self.context.session,
                    table,
                    expression,
                    Purpose::Check,
                    None,
                )?;
                let context = self.eval_context();
                self.for_each_row(table, |_, row| match check.program.eval(&row, &context)? {
                    Datum::Bool(false) => Err(SqlError::new(
                        SqlState::CHECK_VIOLATION,
                        format!(
                            "check constraint \"{}\" of relation \"{}\" is violated by some row",
                            constraint.name, table.name
                        ),
                    )
                    .object(|object| {
                        name_table(object, table, &*self.context.session);
                        object.constraint = Some(constraint.name.clone());
                    })),
                    _ => Ok(()),
                })
                .await
            }
            ConstraintKind::Foreign { .. } => self.validate_foreign_key(table, at).await,
        }
    }

    async fn validate_foreign_key(&self, table: &Relation, at: usize) -> SqlResult<()> {
        let mut only = table.clone();
        only.constraints = vec![table.constraints[at].clone()];
        only.indexes.clear();
        let program = Arc::new(self.program_of(&only)?);
        let mut rows = Vec::new();
        self.for_each_row(table, |_, row| {
            rows.push(row);
            Ok(())
        })
        .await?;
        let mut writer = crate::modify::writer::Writer::new(self.planner, self.context);
        for row in rows {
            writer.queue_inserted(&program, &row);
        }
        writer.finish().await
    }

    pub(super) async fn validate_not_null(&self, table: &Relation, at: u16) -> SqlResult<()> {
        self.for_each_row(table, |_, row| {
            if !value_at(&row, at).is_null() {
                return Ok(());
            }
            let column = &table.columns[at as usize].name;
            Err(SqlError::new(
                SqlState::NOT_NULL_VIOLATION,
                format!(
                    "column \"{column}\" of relation \"{}\" contains null values",
                    table.name
                ),
            )
            .object(|object| {
                name_table(object, table, &*self.context.session);
                object.column = Some(column.clone());
            }))
        })
        .await
    }

    /// Sets the value rows written before now have in a new column. `false` if each row needs a value of its own (a
    /// volatile default, a generated column).
    pub(super) fn fill_missing(&self, table: &mut Relation, at: u16) -> SqlResult<bool> {
        let column = &table.columns[at as usize];
        let Some(text) = &column.default else { return Ok(true) };
        let bound = self.expression_over(table, text, Purpose::Generated)?;
        if column.generated || bound.expr.is_volatile() {
            return Ok(false);
        }
        let ty = column.ty;
        let value = self.planner.default_value(self.context, table, at)?;
        if !value.is_null() {
            let mut text = String::new();
            types::output(ty, &value, &*self.context.session, &mut text)?;
            table.columns[at as usize].missing = Some(text);
        }
        Ok(true)
    }

    /// Computes a column anew for every row: its default or generation expression, or `using`.
    pub(super) async fn rewrite_column(&self, table: &Relation, at: u16, using: Option<&str>) -> SqlResult<()> {
        let column = &table.columns[at as usize];
        let Some(text) = using.or(column.default.as_deref()) else {
            return Ok(());
        };
        let program = row_program(
            self.catalog(),
            &*self.context.session,
            table,
            text,
            Purpose::Using,
            Some(column.ty),
        )?;
        let context = self.eval_context();
        self.for_each_row(table, |key, mut row| {
            row[at as usize] = program.program.eval(&row, &context)?;
            self.learn_value(table.id, at, &row[at as usize]);
            Ok(self.context.transaction.write(table.id, key, RowWrite::Put(row))?)
        })
        .await
    }

    /// ALTER COLUMN TYPE: every row gets the converted value, every index of the column is filled anew.
    pub(super) async fn alter_type(
        &self,
        table: &mut Relation,
        at: u16,
        ty: Type,
        using: Option<String>,
    ) -> SqlResult<()> {
        let column = &table.columns[at as usize];
        let name = column.name.clone();
        // Rows are stored under their key: with another type they get another one.
        let is_key = table.primary_key().is_some_and(|index| index.uses_column(at));
        let is_integer = |ty: Type| [oid::INT2, oid::INT4, oid::INT8].contains(&ty.oid);
        let keeps_values = using.is_none() && is_integer(column.ty) && is_integer(ty);
        if !keeps_values && self.is_referenced(table, at)? {
            return Err(SqlError::unsupported(format!(
                "altering the type of column \"{name}\", which foreign keys refer to, so that its values change,"
            )));
        }
        for (generated, other) in table.live_columns().filter(|(_, other)| other.generated) {
            if generated != at
                && other
                    .default
                    .as_deref()
                    .is_some_and(|text| self.expression_uses(table, text, at))
            {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot alter type of a column used by a generated column",
                )
                .detail(format!(
                    "Column \"{name}\" is used by generated column \"{}\".",
                    other.name
                )));
            }
        }
        let old = table.clone();
        let text = using.unwrap_or_else(|| format!("\"{}\"", name.replace('"', "\"\"")));
        let converted = row_program(
            self.catalog(),
            &*self.context.session,
            &old,
            &text,
            Purpose::Using,
            Some(ty),
        )
        .map_err(|error| match error.code() {
            SqlState::DATATYPE_MISMATCH => SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{name}\" cannot be cast automatically to type {}",
                    types::format_type(ty)
                ),
            )
            .hint(format!(
                "You might need to specify \"USING {name}::{}\".",
                types::format_type(ty)
            )),
            _ => error,
        })?;
        let context = self.eval_context();
        forget_column(&self.context.transaction, &old, at);
        table.columns[at as usize].closed &= ty.oid == oid::JSONB;
        table.columns[at as usize].ty = ty;
        table.columns[at as usize].missing = None;
        let mut moved = Vec::new();
        self.for_each_row(&old, |key, mut row| {
            row[at as usize] = converted.program.eval(&row, &context)?;
            self.learn_value(old.id, at, &row[at as usize]);
            if is_key {
                self.context.transaction.write(old.id, key, RowWrite::Delete)?;
                moved.push(row);
                return Ok(());
            }
            Ok(self.context.transaction.write(old.id, key, RowWrite::Put(row))?)
        })
        .await?;
        self.context.transaction.next_command();
        for index in table.indexes.iter_mut().filter(|index| index.uses_column(at)) {
            for key in &mut index.keys {
                if matches!(key.source, crate::catalog::IndexSource::Column(column) if column == at) {
                    key.ty = ty;
                }
            }
        }
        if is_key {
            self.store_under_key(table, moved).await?;
        }
        let rebuilt: Vec<Index> = table
            .indexes
            .iter()
            .filter(|index| !index.primary && (is_key || index.uses_column(at)))
            .cloned()
            .collect();
        for index in rebuilt {
            self.context.transaction.clear_index(table.id, index.id)?;
            self.fill_index(table, &index).await?;
        }
        self.check_expressions(table)
    }

    /// Whether a foreign key refers to a column.
    fn is_referenced(&self, table: &Relation, at: u16) -> SqlResult<bool> {
        for child in self.catalog().referencing.get(&table.id).into_iter().flatten() {
            let refers = |kind: &ConstraintKind| {
                matches!(kind, ConstraintKind::Foreign { table: parent, referenced, .. }
                    if *parent == table.id && referenced.contains(&at))
            };
            let child = self.relation_by_id(*child)?;
            if child.constraints.iter().any(|constraint| refers(&constraint.kind)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores rows, whose old keys are gone, under the table's primary key.
    async fn store_under_key(&self, table: &Relation, rows: Vec<Row>) -> SqlResult<()> {
        let program = self.program_of(&Relation {
            constraints: Vec::new(),
            indexes: table.indexes.iter().filter(|index| index.primary).cloned().collect(),
            ..table.clone()
        })?;
        let Some(primary) = table.primary_key() else {
            return Ok(());
        };
        let mut seen: HashMap<Key, ()> = HashMap::new();
        let mut breath = Breath::new(&self.context.cancel);
        for row in rows {
            breath.after_row().await?;
            let key = crate::modify::writer::primary_key(&program, &row)?;
            if seen.insert(key.clone(), ()).is_some() {
                let columns: Vec<String> = primary.keys.iter().map(|key| key.describe(table)).collect();
                let values = program.primary_key.iter().map(|at| &row[usize::from(*at)]);
                let values = describe_values(values.zip(primary.keys.iter().map(|key| key.ty)), &self.eval_context());
                return Err(SqlError::new(
                    SqlState::UNIQUE_VIOLATION,
                    format!("could not create unique index \"{}\"", primary.name),
                )
                .detail(format!("Key ({})=({values}) is duplicated.", columns.join(", ")))
                .object(|object| {
                    name_table(object, table, &*self.context.session);
                    object.constraint = Some(primary.name.clone());
                }));
            }
            self.context.transaction.write(table.id, &key, RowWrite::Put(row))?;
        }
        self.context.transaction.next_command();
        Ok(())
    }

    /// Stores the rows of a table under its primary key (which was just added), or under row ids (it was just dropped).
    pub(super) async fn rekey_rows(&self, table: &Relation, constraint: Option<&str>) -> SqlResult<()> {
        let mut rows = Vec::new();
        self.for_each_row(table, |key, row| {
            rows.push((key.clone(), row));
            Ok(())
        })
        .await?;
        if rows.is_empty() {
            return Ok(());
        }
        let Some(name) = constraint else {
            return Err(SqlError::unsupported(
                "dropping the primary key of a table that has rows",
            ));
        };
        let program = Arc::new(self.program_of(&Relation {
            constraints: Vec::new(),
            ..table.clone()
        })?);
        let transaction = &self.context.transaction;
        let mut seen: HashMap<Key, ()> = HashMap::new();
        let mut breath = Breath::new(&self.context.cancel);
        for (key, row) in &rows {
            breath.after_row().await?;
            let new_key = crate::modify::writer::primary_key(&program, row)?;
            if seen.insert(new_key.clone(), ()).is_some() {
                return Err(SqlError::new(
                    SqlState::UNIQUE_VIOLATION,
                    format!("could not create unique index \"{name}\""),
                ));
            }
            transaction.write(table.id, key, RowWrite::Delete)?;
            for index in &program.indexes {
                if let Some(entry) = index::entry(index, row, &self.eval_context())? {
                    let (id, unique) = (index.index.id, index.index.unique);
                    transaction.write_index(table.id, id, unique, &entry.value, key, false)?;
                    transaction.write_index(table.id, id, unique, &entry.value, &new_key, true)?;
                }
            }
        }
        transaction.next_command();
        for (_, row) in rows {
            breath.after_row().await?;
            let new_key = crate::modify::writer::primary_key(&program, &row)?;
            transaction.write(table.id, &new_key, RowWrite::Put(row))?;
        }
        Ok(())
    }
}
