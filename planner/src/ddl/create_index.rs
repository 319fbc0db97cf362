//! CREATE INDEX: keys over columns and expressions, filled from the rows that exist.

use sqlparser::ast::{AlterIndexOperation, CreateIndex, Expr, IndexType, ObjectName, OrderBySort};
use txn::Mode;

use super::Ddl;
use super::names::{fold, ident_position};
use crate::bind::Purpose;
use crate::catalog::{Index, IndexKey, IndexSource, Relation};
use crate::modify::deferred::check_unused;
use crate::statement::Tag;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState};

/// Most keys of an index, as in PostgreSQL.
const KEYS_MAX: usize = 32;

impl Ddl<'_> {
    pub(super) async fn create_index(&self, create: &CreateIndex) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("CREATE INDEX");
        let table = self.find_table(&create.table_name)?.clone();
        self.check_not_system(&table)?;
        match &create.using {
            None | Some(IndexType::BTree) => {}
            // An equality-only index is served by the ordered one.
            Some(IndexType::Hash) => {}
            Some(other) => {
                return Err(SqlError::unsupported(format!(
                    "access method \"{}\"",
                    other.to_string().to_lowercase()
                )));
            }
        }
        if create.columns.len() > KEYS_MAX {
            return Err(SqlError::new(
                SqlState::TOO_MANY_COLUMNS,
                format!("cannot use more than {KEYS_MAX} columns in an index"),
            ));
        }
        let mut index = Index {
            id: 0,
            name: String::new(),
            unique: create.unique,
            primary: false,
            deferrable: false,
            nulls_not_distinct: create.nulls_distinct == Some(false),
            keys: Vec::new(),
            include: Vec::new(),
            predicate: None,
            comment: None,
            origin: Default::default(),
        };
        let mut labels = Vec::new();
        for column in &create.columns {
            let (key, label) = self.index_key(&table, column)?;
            index.keys.push(key);
            labels.push(label);
        }
        for ident in &create.include {
            let name = fold(ident);
            let found = table
                .live_columns()
                .find(|(_, column)| column.name == name)
                .map(|(position, _)| position);
            index
                .include
                .push(found.ok_or_else(|| missing_column(&name).at(ident_position(ident)))?);
            labels.push(name);
        }
        if let Some(predicate) = &create.predicate {
            let text = predicate.to_string();
            self.expression_over(&table, &text, Purpose::IndexPredicate)?;
            index.predicate = Some(text);
        }
        index.name = match &create.name {
            Some(name) => self.split(name)?.1,
            None => self.choose_name(table.schema, &table.name, &labels.join("_"), "idx", &[]),
        };
        if !self.check_free(table.schema, &index.name, create.if_not_exists)? {
            return Ok(TAG);
        }
        self.lock_table(&table, Mode::TableShare).await?;
        check_unused(&*self.context.session, &table, "CREATE INDEX")?;
        index.id = self.allocate_oid().await?;
        let mut changed = Relation::clone(&table);
        changed.indexes.push(index.clone());
        self.check_partition_keys(&changed)?;
        self.fill_index(&changed, &index).await?;
        self.put_relation(&changed)?;
        self.index_partitions(&changed, &index).await?;
        Ok(TAG)
    }

    /// Gives the partitions of a table its new index.
    async fn index_partitions(&self, table: &Relation, index: &Index) -> SqlResult<()> {
        if !table.is_partitioned() {
            return Ok(());
        }
        let parent = std::sync::Arc::new(table.clone());
        for child in self.catalog().children_of(table.id).to_vec() {
            let mut child = Relation::clone(self.relation_by_id(child)?);
            self.lock_table(&child, Mode::TableShare).await?;
            let is_new = self.inherit_index(&mut child, &parent, index).await?;
            let own = child
                .indexes
                .iter()
                .find(|own| own.origin.parent == Some(index.id))
                .cloned();
            if let Some(own) = own {
                if is_new {
                    self.fill_index(&child, &own).await?;
                }
                self.put_relation(&child)?;
                Box::pin(self.index_partitions(&child, &own)).await?;
            }
        }
        Ok(())
    }

    fn index_key(&self, table: &Relation, column: &sqlparser::ast::IndexColumn) -> SqlResult<(IndexKey, String)> {
        let options = &column.column.options;
        let descending = matches!(options.sort, Some(OrderBySort::Desc));
        let nulls_first = options.nulls_first.unwrap_or(descending);
        let (source, ty, label) = match &column.column.expr {
            Expr::Identifier(ident) => {
                let name = fold(ident);
                let (at, column) = table
                    .live_columns()
                    .find(|(_, column)| column.name == name)
                    .ok_or_else(|| missing_column(&name).at(ident_position(ident)))?;
                (IndexSource::Column(at), column.ty, name)
            }
            expression => {
                let text = match expression {
                    Expr::Nested(inner) => inner.to_string(),
                    other => other.to_string(),
                };
                let bound = self.expression_over(table, &text, Purpose::Index)?;
                if bound.expr.is_volatile() {
                    return Err(SqlError::new(
                        SqlState::INVALID_OBJECT_DEFINITION,
                        "functions in index expression must be marked IMMUTABLE",
                    ));
                }
                let label = expression_label(expression);
                (IndexSource::Expression(text), bound.expr.ty, label)
            }
        };
        if matches!(ty.oid, oid::JSON | oid::XML) {
            return Err(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("data type {} has no default operator class for access method \"btree\"", crate::types::format_type(ty)),
            )
            .hint("You must specify an operator class for the index or define a default operator class for the data type."));
        }
        Ok((
            IndexKey {
                source,
                ty,
                descending,
                nulls_first,
            },
            label,
        ))
    }

    pub(super) async fn alter_index(&self, name: &ObjectName, operation: &AlterIndexOperation) -> SqlResult<Tag> {
        let AlterIndexOperation::RenameIndex { index_name } = operation;
        let (schema, old) = self.split(name)?;
        let (table, index) = self
            .catalog()
            .index(&*self.context.session, schema.as_deref(), &old)
            .ok_or_else(|| SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{old}\" does not exist")))?;
        let new = self.split(index_name)?.1;
        self.check_free(table.schema, &new, false)?;
        let mut changed = Relation::clone(table);
        for candidate in changed.indexes.iter_mut().filter(|candidate| candidate.id == index.id) {
            candidate.name.clone_from(&new);
        }
        for constraint in changed
            .constraints
            .iter_mut()
            .filter(|constraint| constraint.name == old)
        {
            constraint.name.clone_from(&new);
        }
        self.put_relation(&changed)?;
        Ok(Tag::Text("ALTER INDEX"))
    }
}

/// What an index calls a key that is an expression: the function's name, or `expr`.
pub(crate) fn expression_label(expression: &Expr) -> String {
    match expression {
        Expr::Nested(inner) => expression_label(inner),
        Expr::Function(function) => match function.name.0.last().and_then(|part| part.as_ident()) {
            Some(name) => fold(name),
            None => "expr".to_string(),
        },
        Expr::Case { .. } => "case".to_string(),
        _ => "expr".to_string(),
    }
}

fn missing_column(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
}
