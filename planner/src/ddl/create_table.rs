//! CREATE TABLE: columns, then constraints, then the sequences of serial and identity columns.

use sqlparser::ast::{
    CheckConstraint, ColumnDef, ColumnOption, ConstraintCharacteristics, CreateTable, CreateTableLikeKind, DataType,
    DeferrableInitial, Expr, ForeignKeyConstraint, GeneratedAs, PrimaryKeyConstraint, TableConstraint,
    UniqueConstraint,
};
use txn::Mode;

use super::Ddl;
use super::names::{fold, ident_position, position};
use super::sequence::SequenceBuilder;
use crate::bind::Purpose;
use crate::catalog::registry::Object;
use crate::catalog::{
    Column, Constraint, ConstraintKind, Deferral, Family, Identity, Index, IndexKey, IndexSource, OnCommit, Origin,
    Relation, RelationKind, Schema,
};
use crate::modify::derive;
use crate::parse::like;
use crate::statement::{Tag, Verb};
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type, stored};

/// Most columns of a table, as in PostgreSQL.
const COLUMNS_MAX: usize = 1600;

/// What a column definition asks for beyond its [`Column`]: constraints that need the whole table.
pub(super) enum Pending {
    PrimaryKey(PrimaryKeyConstraint, Vec<String>),
    Unique(UniqueConstraint, Vec<String>),
    Check(CheckConstraint),
    Foreign(ForeignKeyConstraint, Vec<String>),
}

impl Ddl<'_> {
    pub(super) async fn create_table(&self, create: &CreateTable) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("CREATE TABLE");
        let (schema, name) = self.target_of(&create.name, create.temporary).await?;
        if !self.check_free(schema.id, &name, create.if_not_exists)? {
            return Ok(TAG);
        }
        let mut table = self.new_relation(&schema, name, RelationKind::Table).await?;
        table.on_commit = on_commit(create, &schema)?;
        let mut pending = Vec::new();
        let mut likes = Vec::new();
        let parents = self.parents_of(create).await?;
        self.inherit_columns(&mut table, &parents, create.partition_of.is_some())?;
        if let Some(CreateTableLikeKind::Parenthesized(like) | CreateTableLikeKind::Plain(like)) = &create.like {
            likes.push(self.copy_like(&mut table, &like.name, &[]).await?);
        }
        for definition in &create.columns {
            match like::source(definition) {
                Some((source, options)) => likes.push(self.copy_like(&mut table, source, &options).await?),
                None => {
                    self.add_own_column(&mut table, definition, &parents, &mut pending)
                        .await?
                }
            }
        }
        if let Some(by) = &create.partition_by {
            table.family.key = Some(self.partition_key(&table, by)?);
        }
        self.inherit_checks(&mut table, &parents, &mut pending).await?;
        for constraint in &create.constraints {
            pending.push(from_table_constraint(constraint)?);
        }
        self.add_constraints(&mut table, pending).await?;
        for like in likes {
            self.finish_like(&mut table, like).await?;
        }
        if let (Some(values), Some(parent)) = (&create.for_values, parents.first()) {
            let bound = self.read_bound(parent, &table.name, values)?;
            self.check_bound(parent, &table, &bound).await?;
            self.inherit_indexes(&mut table, parent).await?;
            self.inherit_foreign_keys(&mut table, parent).await?;
            table.family.bound = Some(bound);
        }
        self.check_partition_keys(&table)?;
        self.check_expressions(&table)?;
        self.put_relation(&table)?;
        for parent in &parents {
            self.put_relation(parent)?;
        }
        Ok(TAG)
    }

    pub(super) async fn create_table_as(&self, create: &CreateTable) -> SqlResult<Tag> {
        let (schema, name) = self.target_of(&create.name, create.temporary).await?;
        if !self.check_free(schema.id, &name, create.if_not_exists)? {
            return Ok(Tag::Text("CREATE TABLE AS"));
        }
        let query = create
            .query
            .as_deref()
            .ok_or_else(|| SqlError::new(SqlState::SYNTAX_ERROR, "syntax error"))?;
        let bound = self.bind_query(query)?;
        if create.columns.len() > bound.columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "too many column names were specified",
            ));
        }
        let mut table = self.new_relation(&schema, name, RelationKind::Table).await?;
        table.on_commit = on_commit(create, &schema)?;
        for (i, output) in bound.columns.iter().enumerate() {
            let name = create
                .columns
                .get(i)
                .map_or_else(|| output.name.clone(), |column| fold(&column.name));
            let ty = if output.ty.oid == oid::UNKNOWN {
                Type::TEXT
            } else {
                output.ty
            };
            self.check_column_name(&table, &name)?;
            table.columns.push(Column::new(name, ty));
        }
        self.put_relation(&table)?;
        let ids: Vec<_> = bound.columns.iter().map(|column| column.id).collect();
        if create.with_data.is_some_and(|with| !with.data) {
            return Ok(Tag::Text("CREATE TABLE AS"));
        }
        let count = self.planner.fill_table(self.context, &table, &bound.rel, &ids).await?;
        Ok(Tag::Count(Verb::Select, count))
    }

    pub(super) async fn new_relation(&self, schema: &Schema, name: String, kind: RelationKind) -> SqlResult<Relation> {
        Ok(Relation {
            id: self.allocate_oid().await?,
            schema: schema.id,
            name,
            kind,
            owner: self.owner(),
            columns: Vec::new(),
            constraints: Vec::new(),
            indexes: Vec::new(),
            view: None,
            check_option: None,
            sequence: None,
            comment: None,
            on_commit: OnCommit::PreserveRows,
            family: Family::default(),
            version: 0,
        })
    }

    pub(super) fn check_column_name(&self, table: &Relation, name: &str) -> SqlResult<()> {
        if table.live_columns().any(|(_, column)| column.name == name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        if matches!(name, "tableoid" | "ctid" | "xmin" | "xmax" | "cmin" | "cmax") {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column name \"{name}\" conflicts with a system column name"),
            ));
        }
        if table.columns.len() >= COLUMNS_MAX {
            return Err(SqlError::new(
                SqlState::TOO_MANY_COLUMNS,
                format!("tables can have at most {COLUMNS_MAX} columns"),
            ));
        }
        Ok(())
    }

    /// Adds one column; its constraints are collected, because they may name later columns.
    pub(super) async fn add_column(
        &self,
        table: &mut Relation,
        definition: &ColumnDef,
        pending: &mut Vec<Pending>,
    ) -> SqlResult<()> {
        let name = fold(&definition.name);
        self.check_column_name(table, &name)
            .map_err(|error| error.at(ident_position(&definition.name)))?;
        let serial = serial_type(&definition.data_type);
        let ty = match serial {
            Some(ty) => ty,
            None => self
                .column_type(&definition.data_type)
                .map_err(|error| error.at(ident_position(&definition.name)))?,
        };
        if matches!(ty.oid, oid::UNKNOWN | oid::VOID | oid::RECORD) {
            return Err(SqlError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("column \"{name}\" has pseudo-type {}", crate::types::format_type(ty)),
            ));
        }
        let mut column = Column::new(name.clone(), ty);
        column.domain = self.domain_of(&definition.data_type);
        let attribute = table.columns.len() as u16;
        if serial.is_some() {
            let sequence = self
                .owned_sequence(table, &name, SequenceBuilder::of(ty), Some((table.id, attribute)))
                .await?;
            column.default = Some(format!("nextval('{sequence}'::regclass)"));
            column.not_null = true;
        }
        let mut nullable = false;
        for option in &definition.options {
            let constraint_name = option.name.clone();
            match &option.option {
                ColumnOption::Null => nullable = true,
                ColumnOption::NotNull => column.not_null = true,
                ColumnOption::Default(expression) => {
                    if column.default.is_some() {
                        return Err(SqlError::new(
                            SqlState::SYNTAX_ERROR,
                            format!(
                                "multiple default values specified for column \"{name}\" of table \"{}\"",
                                table.name
                            ),
                        ));
                    }
                    column.default = Some(self.default_text(expression));
                }
                ColumnOption::PrimaryKey(constraint) => {
                    let constraint = PrimaryKeyConstraint {
                        name: constraint_name,
                        ..constraint.clone()
                    };
                    pending.push(Pending::PrimaryKey(constraint, vec![name.clone()]));
                }
                ColumnOption::Unique(constraint) => {
                    let constraint = UniqueConstraint {
                        name: constraint_name,
                        ..constraint.clone()
                    };
                    pending.push(Pending::Unique(constraint, vec![name.clone()]));
                }
                ColumnOption::Check(constraint) => {
                    pending.push(Pending::Check(CheckConstraint {
                        name: constraint_name,
                        ..constraint.clone()
                    }));
                }
                ColumnOption::ForeignKey(constraint) => {
                    let constraint = ForeignKeyConstraint {
                        name: constraint_name,
                        ..constraint.clone()
                    };
                    pending.push(Pending::Foreign(constraint, vec![name.clone()]));
                }
                ColumnOption::Collation(collation) => stored::check_collation(collation)?,
                ColumnOption::Generated {
                    generated_as,
                    sequence_options,
                    generation_expr,
                    ..
                } => match generation_expr {
                    Some(expression) => {
                        column.default = Some(expression.to_string());
                        column.generated = true;
                    }
                    None => {
                        let mut builder = SequenceBuilder::of(ty);
                        builder.apply(sequence_options.as_deref().unwrap_or_default())?;
                        let sequence = self
                            .owned_sequence(table, &name, builder, Some((table.id, attribute)))
                            .await?;
                        column.default = Some(format!("nextval('{sequence}'::regclass)"));
                        column.not_null = true;
                        column.identity = Some(match generated_as {
                            GeneratedAs::ByDefault => Identity::ByDefault,
                            GeneratedAs::Always | GeneratedAs::ExpStored => Identity::Always,
                        });
                    }
                },
                other => return Err(SqlError::unsupported(format!("column option {other}"))),
            }
        }
        if nullable && column.not_null {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{}\"",
                    table.name
                ),
            ));
        }
        if column.default.is_none() {
            column.default = self.domain_default(column.domain);
        }
        table.columns.push(column);
        Ok(())
    }

    /// Adds constraints: the primary key first, then unique ones, checks and foreign keys, as PostgreSQL names them.
    pub(super) async fn add_constraints(&self, table: &mut Relation, mut pending: Vec<Pending>) -> SqlResult<()> {
        pending.sort_by_key(|pending| match pending {
            Pending::Check(_) => 0,
            Pending::PrimaryKey(..) => 1,
            Pending::Unique(..) => 2,
            Pending::Foreign(..) => 3,
        });
        for one in pending {
            match one {
                Pending::PrimaryKey(constraint, columns) => {
                    self.add_primary_key(table, &constraint, &columns).await?;
                }
                Pending::Unique(constraint, columns) => {
                    self.add_unique(table, &constraint, &columns).await?;
                }
                Pending::Check(constraint) => self.add_check(table, &constraint).await?,
                Pending::Foreign(constraint, columns) => {
                    self.add_foreign_key(table, &constraint, &columns).await?;
                }
            }
        }
        Ok(())
    }

    async fn add_primary_key(
        &self,
        table: &mut Relation,
        constraint: &PrimaryKeyConstraint,
        columns: &[String],
    ) -> SqlResult<()> {
        if table.indexes.iter().any(|index| table.is_primary(index)) {
            return Err(SqlError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("multiple primary keys for table \"{}\" are not allowed", table.name),
            )
            .at(constraint.columns.first().and_then(position)));
        }
        let positions = self.key_columns(table, columns)?;
        for position in &positions {
            table.columns[*position as usize].not_null = true;
        }
        let name = self.constraint_name(table, constraint.name.as_ref().map(fold), "", "pkey")?;
        let include = self.key_columns(table, &constraint.include.iter().map(fold).collect::<Vec<_>>())?;
        let deferral = deferral_of(constraint.characteristics.as_ref())?;
        let is_key = deferral == Deferral::Never;
        let index = self
            .add_index(table, &name, &positions, is_key, true, false, include)
            .await?;
        mark_deferrable(table, index, deferral);
        table.constraints.push(Constraint {
            id: self.allocate_oid().await?,
            name,
            kind: ConstraintKind::PrimaryKey { index },
            deferral,
            comment: None,
            origin: Origin::default(),
        });
        Ok(())
    }

    async fn add_unique(
        &self,
        table: &mut Relation,
        constraint: &UniqueConstraint,
        columns: &[String],
    ) -> SqlResult<()> {
        let positions = self.key_columns(table, columns)?;
        let name = self.constraint_name(table, constraint.name.as_ref().map(fold), &columns.join("_"), "key")?;
        let nulls_not_distinct = matches!(
            constraint.nulls_distinct,
            sqlparser::ast::NullsDistinctOption::NotDistinct
        );
        let include = self.key_columns(table, &constraint.include.iter().map(fold).collect::<Vec<_>>())?;
        let index = self
            .add_index(table, &name, &positions, false, true, nulls_not_distinct, include)
            .await?;
        let deferral = deferral_of(constraint.characteristics.as_ref())?;
        mark_deferrable(table, index, deferral);
        table.constraints.push(Constraint {
            id: self.allocate_oid().await?,
            name,
            kind: ConstraintKind::Unique { index },
            deferral,
            comment: None,
            origin: Origin::default(),
        });
        Ok(())
    }

    pub(super) async fn add_check(&self, table: &mut Relation, constraint: &CheckConstraint) -> SqlResult<()> {
        let expression = constraint.expr.to_string();
        let used = {
            let bound = self.expression_over(table, &expression, Purpose::Check)?;
            let mut used: Vec<u16> = derive::reads(&bound.expr, &bound.columns)
                .iter()
                .map(|path| path.column)
                .collect();
            used.dedup();
            used
        };
        let second = match used.as_slice() {
            [column] => table.columns[*column as usize].name.clone(),
            _ => String::new(),
        };
        let name = self.constraint_name(table, constraint.name.as_ref().map(fold), &second, "check")?;
        let id = self.allocate_oid().await?;
        table.constraints.push(Constraint {
            id,
            name,
            kind: ConstraintKind::Check { expression },
            deferral: Deferral::Never,
            comment: None,
            origin: Origin {
                no_inherit: constraint.no_inherit,
                ..Origin::default()
            },
        });
        Ok(())
    }

    async fn add_foreign_key(
        &self,
        table: &mut Relation,
        constraint: &ForeignKeyConstraint,
        columns: &[String],
    ) -> SqlResult<()> {
        let positions = self.key_columns(table, columns)?;
        let own_name = super::names::parts(&constraint.foreign_table)?;
        let is_self = own_name.last() == Some(&table.name) && self.find(&constraint.foreign_table).is_err();
        let parent = if is_self {
            table.clone()
        } else {
            Relation::clone(self.find_table(&constraint.foreign_table)?)
        };
        self.check_persistence(table, &parent)?;
        if !is_self && parent.id != table.id {
            self.lock_table(&parent, Mode::ShareRowExclusive).await?;
        }
        let referenced = if constraint.referred_columns.is_empty() {
            let Some(primary) = parent.indexes.iter().find(|index| parent.is_primary(index)) else {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("there is no primary key for referenced table \"{}\"", parent.name),
                ));
            };
            if primary.deferrable {
                return Err(SqlError::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "cannot use a deferrable primary key for referenced table \"{}\"",
                        parent.name
                    ),
                ));
            }
            column_positions(primary)
        } else {
            self.referenced_columns(&parent, constraint)?
        };
        if referenced.len() != positions.len() {
            return Err(SqlError::new(
                SqlState::INVALID_FOREIGN_KEY,
                "number of referencing and referenced columns for foreign key disagree",
            ));
        }
        let mut keys = parent
            .indexes
            .iter()
            .filter(|index| index.unique && is_key_of(index, &referenced));
        let has_deferrable = keys.clone().any(|index| index.deferrable);
        if !keys.any(|index| !index.deferrable) {
            if has_deferrable {
                return Err(SqlError::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "cannot use a deferrable unique constraint for referenced table \"{}\"",
                        parent.name
                    ),
                ));
            }
            return Err(SqlError::new(
                SqlState::INVALID_FOREIGN_KEY,
                format!(
                    "there is no unique constraint matching given keys for referenced table \"{}\"",
                    parent.name
                ),
            ));
        }
        let name = self.constraint_name(table, constraint.name.as_ref().map(fold), &columns.join("_"), "fkey")?;
        for (own, other) in positions.iter().zip(&referenced) {
            let (own, other) = (&table.columns[*own as usize], &parent.columns[*other as usize]);
            if crate::functions::equality_between(own.ty, other.ty).is_none() {
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("foreign key constraint \"{name}\" cannot be implemented"),
                )
                .detail(format!(
                    "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                    own.name,
                    other.name,
                    crate::types::format_type(own.ty),
                    crate::types::format_type(other.ty)
                )));
            }
        }
        let action = |action: &Option<sqlparser::ast::ReferentialAction>| {
            action.as_ref().map_or_else(Default::default, From::from)
        };
        let kind = ConstraintKind::Foreign {
            columns: positions,
            table: parent.id,
            referenced,
            on_delete: action(&constraint.on_delete),
            on_update: action(&constraint.on_update),
            match_full: matches!(
                constraint.match_kind,
                Some(sqlparser::ast::ConstraintReferenceMatchKind::Full)
            ),
        };
        let id = self.allocate_oid().await?;
        table.constraints.push(Constraint {
            id,
            name,
            kind,
            deferral: deferral_of(constraint.characteristics.as_ref())?,
            comment: None,
            origin: Origin::default(),
        });
        Ok(())
    }

    fn referenced_columns(&self, parent: &Relation, constraint: &ForeignKeyConstraint) -> SqlResult<Vec<u16>> {
        constraint
            .referred_columns
            .iter()
            .map(|ident| {
                let name = fold(ident);
                parent
                    .live_columns()
                    .find(|(_, column)| column.name == name)
                    .map(|(position, _)| position)
                    .ok_or_else(|| {
                        SqlError::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!("column \"{name}\" referenced in foreign key constraint does not exist"),
                        )
                    })
            })
            .collect()
    }

    /// Positions of key columns by name, or 42703 as constraints say it.
    fn key_columns(&self, table: &Relation, names: &[String]) -> SqlResult<Vec<u16>> {
        let mut positions = Vec::with_capacity(names.len());
        for name in names {
            let position = table
                .live_columns()
                .find(|(_, column)| column.name == *name)
                .map(|(position, _)| position)
                .ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column \"{name}\" named in key does not exist"),
                    )
                })?;
            if positions.contains(&position) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{name}\" appears twice in primary key constraint"),
                ));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    /// The name a constraint was given, checked for duplicates, or the one PostgreSQL would choose.
    fn constraint_name(&self, table: &Relation, given: Option<String>, second: &str, label: &str) -> SqlResult<String> {
        let taken: Vec<String> = table
            .constraints
            .iter()
            .map(|constraint| constraint.name.clone())
            .chain(table.indexes.iter().map(|index| index.name.clone()))
            .chain([table.name.clone()])
            .collect();
        match given {
            Some(name) if table.constraints.iter().any(|constraint| constraint.name == name) => Err(SqlError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{name}\" for relation \"{}\" already exists", table.name),
            )),
            Some(name) => Ok(name),
            None => Ok(self.choose_name(table.schema, &table.name, second, label, &taken)),
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the facts of an index, named at the one call each"
    )]
    async fn add_index(
        &self,
        table: &mut Relation,
        name: &str,
        columns: &[u16],
        primary: bool,
        unique: bool,
        nulls_not_distinct: bool,
        include: Vec<u16>,
    ) -> SqlResult<u32> {
        if self.is_taken(table.schema, name) || name == table.name {
            return Err(SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{name}\" already exists"),
            ));
        }
        let id = self.allocate_oid().await?;
        let keys = columns
            .iter()
            .map(|position| IndexKey {
                source: IndexSource::Column(*position),
                ty: table.columns[*position as usize].ty,
                descending: false,
                nulls_first: false,
            })
            .collect();
        table.indexes.push(Index {
            id,
            name: name.to_string(),
            unique,
            primary,
            nulls_not_distinct,
            deferrable: false,
            keys,
            include,
            predicate: None,
            comment: None,
            origin: Origin::default(),
        });
        Ok(id)
    }

    pub(super) async fn owned_sequence(
        &self,
        table: &Relation,
        column: &str,
        builder: SequenceBuilder,
        owner: Option<(u32, u16)>,
    ) -> SqlResult<u32> {
        let name = self.choose_name(table.schema, &table.name, column, "seq", &[]);
        let mut parameters = builder.build()?;
        parameters.owned_by = owner;
        let sequence = Relation {
            id: self.allocate_oid().await?,
            schema: table.schema,
            name,
            kind: RelationKind::Sequence,
            owner: table.owner,
            columns: Vec::new(),
            constraints: Vec::new(),
            indexes: Vec::new(),
            view: None,
            check_option: None,
            sequence: Some(parameters),
            comment: None,
            on_commit: OnCommit::PreserveRows,
            family: Family::default(),
            version: 1,
        };
        let id = sequence.id;
        self.put(Object::Relation(Box::new(sequence)))?;
        Ok(id)
    }
}

/// Columns of an index whose keys are all columns.
fn column_positions(index: &Index) -> Vec<u16> {
    index
        .keys
        .iter()
        .filter_map(|key| match key.source {
            IndexSource::Column(position) => Some(position),
            IndexSource::Expression(_) => None,
        })
        .collect()
}

/// Whether an index's keys are exactly these columns, in any order.
fn is_key_of(index: &Index, columns: &[u16]) -> bool {
    let mut keys = column_positions(index);
    let mut wanted = columns.to_vec();
    keys.sort_unstable();
    wanted.sort_unstable();
    index.predicate.is_none() && keys.len() == index.keys.len() && keys == wanted
}

pub(super) fn from_table_constraint(constraint: &TableConstraint) -> SqlResult<Pending> {
    Ok(match constraint {
        TableConstraint::PrimaryKey(key) => Pending::PrimaryKey(key.clone(), index_columns(&key.columns)?),
        TableConstraint::Unique(unique) => Pending::Unique(unique.clone(), index_columns(&unique.columns)?),
        TableConstraint::Check(check) => Pending::Check(check.clone()),
        TableConstraint::ForeignKey(key) => Pending::Foreign(key.clone(), key.columns.iter().map(fold).collect()),
        other => return Err(SqlError::unsupported(format!("constraint {other}"))),
    })
}

fn index_columns(columns: &[sqlparser::ast::IndexColumn]) -> SqlResult<Vec<String>> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            Expr::Identifier(ident) => Ok(fold(ident)),
            other => Err(
                SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))
                    .at(position(other)),
            ),
        })
        .collect()
}

/// serial, bigserial and smallserial are integers with a sequence.
fn serial_type(data_type: &DataType) -> Option<Type> {
    let DataType::Custom(name, arguments) = data_type else {
        return None;
    };
    if !arguments.is_empty() {
        return None;
    }
    match name.to_string().to_lowercase().as_str() {
        "serial" | "serial4" => Some(Type::INT4),
        "bigserial" | "serial8" => Some(Type::INT8),
        "smallserial" | "serial2" => Some(Type::INT2),
        _ => None,
    }
}

/// `[NOT] DEFERRABLE [INITIALLY DEFERRED | INITIALLY IMMEDIATE]`
fn deferral_of(characteristics: Option<&ConstraintCharacteristics>) -> SqlResult<Deferral> {
    let Some(characteristics) = characteristics else {
        return Ok(Deferral::Never);
    };
    let is_deferred = characteristics.initially == Some(DeferrableInitial::Deferred);
    match characteristics.deferrable {
        Some(false) if is_deferred => Err(SqlError::new(
            SqlState::SYNTAX_ERROR,
            "constraint declared INITIALLY DEFERRED must be DEFERRABLE",
        )),
        _ if is_deferred => Ok(Deferral::Deferred),
        Some(true) => Ok(Deferral::Immediate),
        Some(false) | None => Ok(Deferral::Never),
    }
}

/// An index whose constraint is deferrable lets a value have several rows until the constraint is looked at.
fn mark_deferrable(table: &mut Relation, index: u32, deferral: Deferral) {
    if let Some(index) = table.indexes.iter_mut().find(|candidate| candidate.id == index) {
        index.deferrable = deferral != Deferral::Never;
    }
}

/// ON COMMIT, which only temporary tables have.
fn on_commit(create: &CreateTable, schema: &Schema) -> SqlResult<OnCommit> {
    use sqlparser::ast::OnCommit as Ast;
    let Some(action) = &create.on_commit else {
        return Ok(OnCommit::PreserveRows);
    };
    if !schema.is_temporary() {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            "ON COMMIT can only be used on temporary tables",
        ));
    }
    Ok(match action {
        Ast::PreserveRows => OnCommit::PreserveRows,
        Ast::DeleteRows => OnCommit::DeleteRows,
        Ast::Drop => OnCommit::Drop,
    })
}

impl From<&sqlparser::ast::ReferentialAction> for crate::catalog::ReferentialAction {
    fn from(action: &sqlparser::ast::ReferentialAction) -> Self {
        use sqlparser::ast::ReferentialAction as Ast;
        match action {
            Ast::Restrict => Self::Restrict,
            Ast::Cascade => Self::Cascade,
            Ast::SetNull => Self::SetNull,
            Ast::NoAction => Self::NoAction,
            Ast::SetDefault => Self::SetDefault,
        }
    }
}
