//! ALTER TABLE (and VIEW, SEQUENCE, INDEX RENAME, which share its syntax).

use sqlparser::ast::{AlterColumnOperation, AlterTable, AlterTableOperation, ColumnOption, Ident, RenameTableNameKind};
use storage::Datum;
use txn::Mode;

use super::Ddl;
use super::create_table::from_table_constraint;
use super::known_paths::forget_column;
use super::names::{fold, ident_position};
use crate::catalog::registry::Object;
use crate::catalog::{Column, ConstraintKind, Deferral, Identity, IndexSource, Relation, RelationKind};
use crate::modify::deferred::check_unused;
use crate::parse::alter;
use crate::statement::Tag;
use crate::{SqlError, SqlResult, SqlState, Type, stored};

impl Ddl<'_> {
    pub(super) async fn alter_table(&self, alter: &AlterTable) -> SqlResult<Tag> {
        let found = match self.find(&alter.name) {
            Ok(found) => found.clone(),
            Err(error) if alter.if_exists && error.code() == SqlState::UNDEFINED_TABLE => {
                let name = self.split(&alter.name)?.1;
                self.notice(
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("relation \"{name}\" does not exist, skipping"),
                );
                return Ok(Tag::Text("ALTER TABLE"));
            }
            Err(error) => return Err(error),
        };
        self.check_not_system(&found)?;
        if found.kind == RelationKind::Table {
            self.lock_table(&found, Mode::AccessExclusive).await?;
            check_unused(&*self.context.session, &found, "ALTER TABLE")?;
        }
        let mut table = Relation::clone(&found);
        for operation in &alter.operations {
            self.check_inherited(&table, operation)?;
            self.alter_one(&mut table, operation).await?;
        }
        self.check_partition_keys(&table)?;
        self.put_relation(&table)?;
        if !alter.only || table.is_partitioned() {
            self.propagate(&found, &table, alter).await?;
        }
        Ok(Tag::Text(match found.kind {
            RelationKind::View => "ALTER VIEW",
            RelationKind::Sequence => "ALTER SEQUENCE",
            RelationKind::Table | RelationKind::System | RelationKind::Composite => "ALTER TABLE",
        }))
    }

    async fn alter_one(&self, table: &mut Relation, operation: &AlterTableOperation) -> SqlResult<()> {
        match operation {
            AlterTableOperation::AddColumn {
                if_not_exists,
                column_def,
                ..
            } => {
                let name = fold(&column_def.name);
                if *if_not_exists && find_column(table, &name).is_some() {
                    let message = format!(
                        "column \"{name}\" of relation \"{}\" already exists, skipping",
                        table.name
                    );
                    self.notice(SqlState::DUPLICATE_COLUMN, message);
                    return Ok(());
                }
                if find_column(table, &name).is_some() {
                    return Err(SqlError::new(
                        SqlState::DUPLICATE_COLUMN,
                        format!("column \"{name}\" of relation \"{}\" already exists", table.name),
                    ));
                }
                self.alter_add_column(table, column_def).await
            }
            AlterTableOperation::DropColumn {
                column_names,
                if_exists,
                drop_behavior,
                ..
            } => {
                let cascade = matches!(drop_behavior, Some(sqlparser::ast::DropBehavior::Cascade));
                for name in column_names {
                    self.alter_drop_column(table, name, *if_exists, cascade).await?;
                }
                Ok(())
            }
            AlterTableOperation::RenameColumn {
                old_column_name,
                new_column_name,
            } => self.alter_rename_column(table, old_column_name, new_column_name),
            AlterTableOperation::RenameTable { table_name } => {
                let (RenameTableNameKind::To(name) | RenameTableNameKind::As(name)) = table_name;
                if let Some(schema) = alter::new_schema(name) {
                    return self.move_to_schema(table, &fold(&schema));
                }
                let name = self.split(name)?.1;
                self.check_free(table.schema, &name, false)?;
                table.name = name;
                Ok(())
            }
            AlterTableOperation::RenameConstraint { old_name, new_name } => {
                let (old, new) = (fold(old_name), fold(new_name));
                let table_name = table.name.clone();
                let constraint = table.constraints.iter_mut().find(|constraint| constraint.name == old);
                let constraint = constraint.ok_or_else(|| missing_constraint(&old, &table_name))?;
                constraint.name.clone_from(&new);
                for index in table.indexes.iter_mut().filter(|index| index.name == old) {
                    index.name.clone_from(&new);
                }
                Ok(())
            }
            AlterTableOperation::AddConstraint { constraint, not_valid } => {
                let before = table.constraints.len();
                self.add_constraints(table, vec![from_table_constraint(constraint)?])
                    .await?;
                self.check_expressions(table)?;
                if !not_valid {
                    self.validate_added(table, before).await?;
                }
                Ok(())
            }
            AlterTableOperation::DropConstraint {
                if_exists,
                name,
                drop_behavior,
            } => {
                let cascade = matches!(drop_behavior, Some(sqlparser::ast::DropBehavior::Cascade));
                self.alter_drop_constraint(table, &fold(name), *if_exists, cascade)
            }
            AlterTableOperation::AlterColumn { column_name, op } => self.alter_column(table, column_name, op).await,
            AlterTableOperation::OwnerTo { new_owner } => {
                table.owner = match new_owner {
                    sqlparser::ast::Owner::Ident(role) => self.role_id(&fold(role))?,
                    _ => self.owner(),
                };
                Ok(())
            }
            AlterTableOperation::ValidateConstraint { name } => {
                let name = fold(name);
                let at = table.constraints.iter().position(|constraint| constraint.name == name);
                let at = at.ok_or_else(|| missing_constraint(&name, &table.name))?;
                self.validate_constraint(table, at).await
            }
            other => Err(SqlError::unsupported(format!("ALTER TABLE {other}"))),
        }
    }

    async fn alter_add_column(&self, table: &mut Relation, definition: &sqlparser::ast::ColumnDef) -> SqlResult<()> {
        let constraints = table.constraints.len();
        let attribute = table.columns.len() as u16;
        let mut pending = Vec::new();
        self.add_column(table, definition, &mut pending).await?;
        let is_stable = self.fill_missing(table, attribute)?;
        self.learn_missing(table, attribute);
        self.add_constraints(table, pending).await?;
        self.check_expressions(table)?;
        if !is_stable {
            self.rewrite_column(table, attribute, None).await?;
        }
        let column = &table.columns[attribute as usize];
        if column.not_null && column.missing.is_none() && is_stable {
            self.validate_not_null(table, attribute).await?;
        }
        self.validate_added(table, constraints).await
    }

    pub(super) async fn alter_drop_column(
        &self,
        table: &mut Relation,
        name: &Ident,
        if_exists: bool,
        cascade: bool,
    ) -> SqlResult<()> {
        let folded = fold(name);
        let Some(at) = find_column(table, &folded) else {
            let message = format!("column \"{folded}\" of relation \"{}\" does not exist", table.name);
            if if_exists {
                self.notice(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        let depends = |what: String| {
            SqlError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop column {folded} of table {} because other objects depend on it",
                    table.name
                ),
            )
            .detail(what)
            .hint("Use DROP ... CASCADE to drop the dependent objects too.")
        };
        for child in self.catalog().referencing.get(&table.id).into_iter().flatten() {
            let child = self.relation_by_id(*child)?;
            for constraint in &child.constraints {
                if let ConstraintKind::Foreign {
                    table: parent,
                    referenced,
                    ..
                } = &constraint.kind
                    && *parent == table.id
                    && referenced.contains(&at)
                    && child.id != table.id
                {
                    if !cascade {
                        return Err(depends(format!(
                            "constraint {} on table {} depends on column {folded} of table {}",
                            constraint.name, child.name, table.name
                        )));
                    }
                    let mut changed = Relation::clone(child);
                    changed.constraints.retain(|candidate| candidate.id != constraint.id);
                    self.put_relation(&changed)?;
                }
            }
        }
        for view in self
            .catalog()
            .relations
            .values()
            .filter(|relation| relation.kind == RelationKind::View)
        {
            let text = view.view.as_deref().unwrap_or_default();
            if stored::uses_column(self.catalog(), &*self.context.session, text, table.id, at)? {
                if !cascade {
                    return Err(depends(format!(
                        "view {} depends on column {folded} of table {}",
                        view.name, table.name
                    )));
                }
                self.remove(Object::Relation(Box::new(Relation::clone(view))))?;
            }
        }
        for sequence in self.owned_sequences(table.id, Some(at)) {
            self.remove(Object::Relation(Box::new(Relation::clone(&sequence))))?;
        }
        let used = |expression: &str| self.expression_uses(table, expression, at);
        let mut gone = Vec::new();
        for index in &table.indexes {
            let uses_key = index.keys.iter().any(|key| match &key.source {
                IndexSource::Column(column) => *column == at,
                IndexSource::Expression(text) => used(text),
            });
            if uses_key || index.include.contains(&at) || index.predicate.as_deref().is_some_and(used) {
                gone.push(index.id);
            }
        }
        let lost: Vec<u32> = table
            .constraints
            .iter()
            .filter(|constraint| match &constraint.kind {
                ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => gone.contains(index),
                ConstraintKind::Check { expression } => used(expression),
                ConstraintKind::Foreign { columns, .. } => columns.contains(&at),
            })
            .map(|constraint| constraint.id)
            .collect();
        if table
            .indexes
            .iter()
            .any(|index| index.primary && gone.contains(&index.id))
        {
            // Rows are stored under the primary key: without it they would have to be written anew under row ids.
            self.rekey_rows(table, None).await?;
        }
        for index in gone
            .iter()
            .filter(|id| table.indexes.iter().any(|index| index.id == **id && !index.primary))
        {
            self.context.transaction.clear_index(table.id, *index)?;
        }
        table.indexes.retain(|index| !gone.contains(&index.id));
        table.constraints.retain(|constraint| !lost.contains(&constraint.id));
        forget_column(&self.context.transaction, table, at);
        let column = &mut table.columns[at as usize];
        *column = Column {
            dropped: true,
            ..Column::new(format!("........pg.dropped.{}........", at + 1), column.ty)
        };
        Ok(())
    }

    /// SET SCHEMA: the relation, its indexes and the sequences it owns.
    fn move_to_schema(&self, table: &mut Relation, name: &str) -> SqlResult<()> {
        let session = &*self.context.session;
        let missing = || {
            SqlError::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{name}\" does not exist"),
            )
        };
        let target = self.catalog().schema_of(session, name).ok_or_else(missing)?;
        if target.id == table.schema {
            return Ok(());
        }
        let is_temporary = self
            .catalog()
            .schemas
            .get(&table.schema)
            .is_some_and(crate::catalog::Schema::is_temporary);
        if is_temporary || target.is_temporary() {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot move objects into or out of temporary schemas",
            ));
        }
        if target.database == 0 {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied for schema {name}"),
            ));
        }
        let mut names = table.indexes.iter().map(|index| &index.name).chain([&table.name]);
        if let Some(taken) = names.find(|taken| self.is_taken(target.id, taken)) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{taken}\" already exists in schema \"{name}\""),
            ));
        }
        for sequence in self.owned_sequences(table.id, None) {
            self.put_relation(&Relation {
                schema: target.id,
                ..Relation::clone(&sequence)
            })?;
        }
        table.schema = target.id;
        Ok(())
    }

    pub(super) fn alter_rename_column(&self, table: &mut Relation, old: &Ident, new: &Ident) -> SqlResult<()> {
        let (old_name, new_name) = (fold(old), fold(new));
        let at = find_column(table, &old_name).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{old_name}\" does not exist"),
            )
            .at(ident_position(old))
        })?;
        if find_column(table, &new_name).is_some() {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{new_name}\" of relation \"{}\" already exists", table.name),
            ));
        }
        for view in self
            .catalog()
            .relations
            .values()
            .filter(|relation| relation.kind == RelationKind::View)
        {
            let text = view.view.as_deref().unwrap_or_default();
            if view.id != table.id && stored::uses_column(self.catalog(), &*self.context.session, text, table.id, at)? {
                return Err(SqlError::unsupported(format!(
                    "renaming column \"{old_name}\", which view \"{}\" uses,",
                    view.name
                )));
            }
        }
        let rename = |text: &mut String| -> SqlResult<()> {
            *text = stored::rename_column(text, &old_name, &new_name)?;
            Ok(())
        };
        for column in &mut table.columns {
            if let (true, Some(expression)) = (column.generated, column.default.as_mut()) {
                rename(expression)?;
            }
        }
        for constraint in &mut table.constraints {
            if let ConstraintKind::Check { expression } = &mut constraint.kind {
                rename(expression)?;
            }
        }
        for index in &mut table.indexes {
            for key in &mut index.keys {
                if let IndexSource::Expression(text) = &mut key.source {
                    rename(text)?;
                }
            }
            if let Some(predicate) = &mut index.predicate {
                rename(predicate)?;
            }
        }
        table.columns[at as usize].name = new_name;
        Ok(())
    }

    fn alter_drop_constraint(&self, table: &mut Relation, name: &str, if_exists: bool, cascade: bool) -> SqlResult<()> {
        let Some(at) = table.constraints.iter().position(|constraint| constraint.name == name) else {
            if if_exists {
                let message = format!(
                    "constraint \"{name}\" of relation \"{}\" does not exist, skipping",
                    table.name
                );
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                return Ok(());
            }
            return Err(missing_constraint(name, &table.name));
        };
        let constraint = table.constraints.remove(at);
        match constraint.kind {
            ConstraintKind::PrimaryKey { .. } if constraint.deferral == Deferral::Never => {
                Err(SqlError::unsupported("dropping a primary key"))
            }
            ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => {
                let keys = table
                    .indexes
                    .iter()
                    .find(|candidate| candidate.id == index)
                    .map(|index| index.keys.clone());
                let keys: Vec<u16> = keys
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|key| match key.source {
                        IndexSource::Column(column) => Some(column),
                        IndexSource::Expression(_) => None,
                    })
                    .collect();
                for child in self.catalog().referencing.get(&table.id).into_iter().flatten() {
                    let child = self.relation_by_id(*child)?;
                    for foreign in &child.constraints {
                        if let ConstraintKind::Foreign {
                            table: parent,
                            referenced,
                            ..
                        } = &foreign.kind
                            && *parent == table.id
                            && *referenced == keys
                        {
                            if !cascade {
                                return Err(SqlError::new(
                                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                                    format!(
                                        "cannot drop constraint {name} on table {} because other objects depend on it",
                                        table.name
                                    ),
                                )
                                .detail(format!(
                                    "constraint {} on table {} depends on index {name}",
                                    foreign.name, child.name
                                ))
                                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
                            }
                            let mut changed = Relation::clone(child);
                            changed.constraints.retain(|candidate| candidate.id != foreign.id);
                            self.put_relation(&changed)?;
                        }
                    }
                }
                self.context.transaction.clear_index(table.id, index)?;
                table.indexes.retain(|candidate| candidate.id != index);
                Ok(())
            }
            ConstraintKind::Check { .. } | ConstraintKind::Foreign { .. } => Ok(()),
        }
    }

    async fn alter_column(
        &self,
        table: &mut Relation,
        name: &Ident,
        operation: &AlterColumnOperation,
    ) -> SqlResult<()> {
        let folded = fold(name);
        let at = find_column(table, &folded).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{folded}\" of relation \"{}\" does not exist", table.name),
            )
        })?;
        if let AlterColumnOperation::SetDefault { value } = operation
            && let Some(closed) = alter::closed(value)
        {
            return self.alter_closed(table, at, closed).await;
        }
        let column = &mut table.columns[at as usize];
        match operation {
            AlterColumnOperation::SetNotNull => {
                column.not_null = true;
                self.validate_not_null(table, at).await
            }
            AlterColumnOperation::DropNotNull => {
                if column.identity.is_some() {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        format!(
                            "column \"{folded}\" of relation \"{}\" is an identity column",
                            table.name
                        ),
                    ));
                }
                let in_key = |index: &crate::catalog::Index| {
                    index
                        .keys
                        .iter()
                        .any(|key| matches!(key.source, IndexSource::Column(position) if position == at))
                };
                if table.primary_key().is_some_and(in_key) {
                    return Err(SqlError::new(
                        SqlState::INVALID_TABLE_DEFINITION,
                        format!("column \"{folded}\" is in a primary key"),
                    ));
                }
                table.columns[at as usize].not_null = false;
                Ok(())
            }
            AlterColumnOperation::SetDefault { value } if alter::is_storage(value) => Ok(()),
            AlterColumnOperation::SetDefault { value } => {
                if column.generated {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        format!(
                            "column \"{folded}\" of relation \"{}\" is a generated column",
                            table.name
                        ),
                    ));
                }
                column.default = Some(self.default_text(value));
                self.check_expressions(table)
            }
            AlterColumnOperation::DropDefault => {
                column.default = None;
                Ok(())
            }
            AlterColumnOperation::SetDataType { data_type, using, .. } => {
                let ty = self.column_type(data_type)?;
                self.alter_type(table, at, ty, using.as_ref().map(ToString::to_string))
                    .await
            }
            AlterColumnOperation::AddGenerated {
                generated_as,
                sequence_options,
            } => {
                let options = sequence_options.clone();
                let definition = sqlparser::ast::ColumnDef {
                    name: Ident::with_quote('"', &folded),
                    data_type: sqlparser::ast::DataType::BigInt(None),
                    options: vec![sqlparser::ast::ColumnOptionDef {
                        name: None,
                        option: ColumnOption::Generated {
                            generated_as: (*generated_as).unwrap_or(sqlparser::ast::GeneratedAs::Always),
                            sequence_options: options,
                            generation_expr: None,
                            generation_expr_mode: None,
                            generated_keyword: true,
                        },
                    }],
                };
                // The sequence is made as for a new column, then handed to the existing one.
                let mut scratch = Relation {
                    columns: table.columns[..at as usize].to_vec(),
                    ..table.clone()
                };
                self.add_column(&mut scratch, &definition, &mut Vec::new()).await?;
                let made = scratch
                    .columns
                    .pop()
                    .unwrap_or_else(|| Column::new(String::new(), Type::INT8));
                let column = &mut table.columns[at as usize];
                column.default = made.default;
                column.not_null = true;
                column.identity = made.identity.or(Some(Identity::Always));
                self.validate_not_null(table, at).await
            }
        }
    }
}

/// Position of a live column.
pub(super) fn find_column(table: &Relation, name: &str) -> Option<u16> {
    table
        .live_columns()
        .find(|(_, column)| column.name == name)
        .map(|(position, _)| position)
}

fn missing_constraint(name: &str, table: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{name}\" of relation \"{table}\" does not exist"),
    )
}

/// A row's value at a position; a row written before the column was added is shorter.
pub(super) fn value_at(row: &[Datum], at: u16) -> Datum {
    row.get(at as usize).cloned().unwrap_or(Datum::Null)
}
