//! CREATE TABLE … (LIKE source …): columns at once, and what hangs on them when the table's own constraints are there.

use std::collections::HashMap;
use std::sync::Arc;

use sqlparser::ast::ObjectName;

use super::Ddl;
use super::sequence::SequenceBuilder;
use crate::catalog::{Column, Constraint, ConstraintKind, Index, IndexKey, IndexSource, Relation, RelationKind};
use crate::{SqlError, SqlResult, SqlState};

/// What INCLUDING asks for.
#[derive(Clone, Copy, Default)]
struct Options {
    comments: bool,
    constraints: bool,
    defaults: bool,
    generated: bool,
    identity: bool,
    indexes: bool,
}

impl Options {
    fn read(list: &[(bool, String)]) -> SqlResult<Self> {
        let mut options = Self::default();
        for (value, name) in list {
            let value = *value;
            match name.as_str() {
                "comments" => options.comments = value,
                "constraints" => options.constraints = value,
                "defaults" => options.defaults = value,
                "generated" => options.generated = value,
                "identity" => options.identity = value,
                "indexes" => options.indexes = value,
                // Nothing is kept of these.
                "statistics" | "storage" | "compression" => {}
                "all" => {
                    options = Self {
                        comments: value,
                        constraints: value,
                        defaults: value,
                        generated: value,
                        identity: value,
                        indexes: value,
                    };
                }
                other => {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("syntax error at or near \"{}\"", other.to_uppercase()),
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// A source whose constraints and indexes are still to be copied.
pub(super) struct Like {
    source: Arc<Relation>,
    options: Options,
    /// Position in the source → position in the new table.
    places: HashMap<u16, u16>,
}

impl Like {
    /// A partition's parent, whose indexes it has.
    pub(super) fn parent(source: Arc<Relation>, places: HashMap<u16, u16>) -> Like {
        let options = Options::default();
        Like {
            source,
            options,
            places,
        }
    }
}

impl Ddl<'_> {
    /// Copies the columns of a LIKE source.
    pub(super) async fn copy_like(
        &self,
        table: &mut Relation,
        name: &ObjectName,
        options: &[(bool, String)],
    ) -> SqlResult<Like> {
        let options = Options::read(options)?;
        let source = self.find(name)?.clone();
        if source.kind == RelationKind::Sequence {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("relation \"{}\" is invalid in LIKE clause", source.name),
            )
            .detail("This operation is not supported for sequences."));
        }
        let mut places = HashMap::new();
        for (position, column) in source.live_columns() {
            self.check_column_name(table, &column.name)?;
            let attribute = table.columns.len() as u16;
            places.insert(position, attribute);
            let mut copy = Column {
                not_null: column.not_null,
                domain: column.domain,
                ..Column::new(column.name.clone(), column.ty)
            };
            match (column.identity, column.generated) {
                (Some(identity), _) if options.identity => {
                    let owned = self.owned_sequences(source.id, Some(position));
                    let builder = match owned.first().and_then(|sequence| sequence.sequence.as_ref()) {
                        Some(parameters) => SequenceBuilder::from_existing(parameters, None),
                        None => SequenceBuilder::of(column.ty),
                    };
                    let sequence = self
                        .owned_sequence(table, &column.name, builder, Some((table.id, attribute)))
                        .await?;
                    copy.default = Some(format!("nextval('{sequence}'::regclass)"));
                    copy.identity = Some(identity);
                }
                (Some(_), _) => {}
                (None, true) if options.generated => {
                    copy.default.clone_from(&column.default);
                    copy.generated = true;
                }
                (None, true) => {}
                (None, false) if options.defaults => copy.default.clone_from(&column.default),
                (None, false) => {}
            }
            if options.comments {
                copy.comment.clone_from(&column.comment);
            }
            table.columns.push(copy);
        }
        Ok(Like {
            source,
            options,
            places,
        })
    }

    /// Copies the constraints and indexes of a LIKE source. Foreign keys are never copied.
    pub(super) async fn finish_like(&self, table: &mut Relation, like: Like) -> SqlResult<()> {
        if like.options.constraints {
            for constraint in &like.source.constraints {
                let ConstraintKind::Check { .. } = &constraint.kind else {
                    continue;
                };
                if table.constraints.iter().any(|known| known.name == constraint.name) {
                    return Err(SqlError::new(
                        SqlState::DUPLICATE_OBJECT,
                        format!("check constraint \"{}\" already exists", constraint.name),
                    ));
                }
                table.constraints.push(Constraint {
                    id: self.allocate_oid().await?,
                    name: constraint.name.clone(),
                    kind: constraint.kind.clone(),
                    deferral: constraint.deferral,
                    comment: constraint.comment.clone().filter(|_| like.options.comments),
                    origin: Default::default(),
                });
            }
        }
        if like.options.indexes {
            for index in &like.source.indexes {
                self.copy_index(table, &like, index).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn copy_index(&self, table: &mut Relation, like: &Like, index: &Index) -> SqlResult<()> {
        let is_primary = like.source.is_primary(index);
        if is_primary && table.indexes.iter().any(|own| table.is_primary(own)) {
            return Err(SqlError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("multiple primary keys for table \"{}\" are not allowed", table.name),
            ));
        }
        let place = |position: &u16| like.places.get(position).copied().unwrap_or(*position);
        let keys: Vec<IndexKey> = index
            .keys
            .iter()
            .map(|key| IndexKey {
                source: match &key.source {
                    IndexSource::Column(position) => IndexSource::Column(place(position)),
                    expression => expression.clone(),
                },
                ..key.clone()
            })
            .collect();
        let names: Vec<String> = keys
            .iter()
            .map(|key| match key.source {
                IndexSource::Column(position) => table.columns[position as usize].name.clone(),
                IndexSource::Expression(_) => "expr".into(),
            })
            .collect();
        let constraint = like.source.constraints.iter().find(|constraint| {
            matches!(constraint.kind,
                ConstraintKind::PrimaryKey { index: id } | ConstraintKind::Unique { index: id } if id == index.id)
        });
        let taken: Vec<String> = table
            .indexes
            .iter()
            .map(|known| known.name.clone())
            .chain([table.name.clone()])
            .collect();
        let name = match (is_primary, constraint) {
            (true, _) => self.choose_name(table.schema, &table.name, "", "pkey", &taken),
            (false, Some(_)) => self.choose_name(table.schema, &table.name, &names.join("_"), "key", &taken),
            (false, None) => self.choose_name(table.schema, &table.name, &names.join("_"), "idx", &taken),
        };
        let id = self.allocate_oid().await?;
        for key in &keys {
            if let (true, IndexSource::Column(position)) = (is_primary, &key.source) {
                table.columns[*position as usize].not_null = true;
            }
        }
        table.indexes.push(Index {
            id,
            name: name.clone(),
            keys,
            include: index.include.iter().map(place).collect(),
            comment: index.comment.clone().filter(|_| like.options.comments),
            origin: Default::default(),
            ..index.clone()
        });
        if let Some(constraint) = constraint {
            let kind = match constraint.kind {
                ConstraintKind::PrimaryKey { .. } => ConstraintKind::PrimaryKey { index: id },
                _ => ConstraintKind::Unique { index: id },
            };
            table.constraints.push(Constraint {
                id: self.allocate_oid().await?,
                name,
                kind,
                deferral: constraint.deferral,
                comment: constraint.comment.clone().filter(|_| like.options.comments),
                origin: Default::default(),
            });
        }
        Ok(())
    }
}
