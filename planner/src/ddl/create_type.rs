//! CREATE TYPE, CREATE DOMAIN, ALTER TYPE, and their DROP: composite types, enums, domains.

use std::sync::Arc;

use sqlparser::ast::{
    AlterType, AlterTypeAddValuePosition, AlterTypeOperation, CreateDomain, Ident, ObjectName, TableConstraint,
    UserDefinedTypeCompositeAttributeDef, UserDefinedTypeRepresentation,
};

use super::Ddl;
use super::names::{fold, ident_position};
use crate::bind::Purpose;
use crate::catalog::registry::Object;
use crate::catalog::user_type::{LABEL_BASE, LABEL_GAP};
use crate::catalog::{
    Column, CompiledCheck, Domain, DomainCheck, Relation, RelationKind, Schema, UserType, UserTypeKind,
};
use crate::parse::statements;
use crate::statement::Tag;
use crate::types::{self, oid, user};
use crate::{Severity, SqlError, SqlResult, SqlState, domain, stored};

/// Longest label of an enum in bytes, as in PostgreSQL.
const LABEL_BYTES_MAX: usize = 63;

impl Ddl<'_> {
    pub(super) async fn create_type(
        &self,
        name: &ObjectName,
        representation: Option<&UserDefinedTypeRepresentation>,
    ) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("CREATE TYPE");
        let (schema, type_name) = self.target(name)?;
        let what = match representation {
            Some(UserDefinedTypeRepresentation::Composite { .. } | UserDefinedTypeRepresentation::Enum { .. }) => "",
            Some(UserDefinedTypeRepresentation::Range { .. }) => "a range type",
            Some(UserDefinedTypeRepresentation::SqlDefinition { .. }) => "a base type",
            None => "a shell type",
        };
        if !what.is_empty() {
            return Err(SqlError::unsupported(what).hint("Composite types, enums and domains are supported."));
        }
        self.check_type_free(schema.id, &type_name)?;
        match representation {
            Some(UserDefinedTypeRepresentation::Composite { attributes }) => {
                self.create_composite(schema, type_name, attributes).await?;
            }
            Some(UserDefinedTypeRepresentation::Enum { labels }) => {
                let labels = self.labels(labels)?;
                self.put_type(schema, type_name, user::ENUM, UserTypeKind::Enum { labels })
                    .await?;
            }
            _ => {}
        }
        Ok(TAG)
    }

    /// 42710 if a type of this name exists: every relation has a row type of its name.
    fn check_type_free(&self, schema: u32, name: &str) -> SqlResult<()> {
        let key = (schema, name.to_string());
        let catalog = self.catalog();
        if catalog.type_names.contains_key(&key) || catalog.names.contains_key(&key) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("type \"{name}\" already exists"),
            ));
        }
        Ok(())
    }

    async fn create_composite(
        &self,
        schema: &Schema,
        name: String,
        attributes: &[UserDefinedTypeCompositeAttributeDef],
    ) -> SqlResult<()> {
        let mut relation = self.new_relation(schema, name, RelationKind::Composite).await?;
        for attribute in attributes {
            let attribute_name = fold(&attribute.name);
            self.check_column_name(&relation, &attribute_name)?;
            let ty = self
                .column_type(&attribute.data_type)
                .map_err(|error| error.at(ident_position(&attribute.name)))?;
            if matches!(ty.oid, oid::UNKNOWN | oid::VOID | oid::RECORD) {
                return Err(SqlError::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!("column \"{attribute_name}\" has pseudo-type {}", types::format_type(ty)),
                ));
            }
            relation.columns.push(Column {
                domain: self.domain_of(&attribute.data_type),
                ..Column::new(attribute_name, ty)
            });
        }
        self.put_relation(&relation)
    }

    async fn put_type(&self, schema: &Schema, name: String, flag: u32, kind: UserTypeKind) -> SqlResult<()> {
        self.put(Object::Type(UserType {
            id: self.allocate_oid().await? | flag,
            schema: schema.id,
            name,
            owner: self.owner(),
            kind,
            comment: None,
        }))
    }

    fn labels(&self, idents: &[Ident]) -> SqlResult<Vec<(u32, String)>> {
        let mut labels: Vec<(u32, String)> = Vec::with_capacity(idents.len());
        for ident in idents {
            check_label(&ident.value)?;
            if labels.iter().any(|(_, label)| *label == ident.value) {
                return Err(SqlError::new(
                    SqlState::UNIQUE_VIOLATION,
                    "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"",
                ));
            }
            let number = u32::try_from(labels.len() + 1)
                .ok()
                .and_then(|count| count.checked_mul(LABEL_GAP)?.checked_add(LABEL_BASE))
                .ok_or_else(too_many_labels)?;
            labels.push((number, ident.value.clone()));
        }
        Ok(labels)
    }

    pub(super) async fn create_domain(&self, create: &CreateDomain) -> SqlResult<Tag> {
        let (schema, name) = self.target(&create.name)?;
        self.check_type_free(schema.id, &name)?;
        let base = self.column_type(&create.data_type)?;
        if matches!(base.oid, oid::UNKNOWN | oid::VOID | oid::RECORD)
            || types::info(base.oid).is_some_and(types::TypeInfo::is_pseudo)
        {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("\"{}\" is not a valid base type for a domain", types::format_type(base)),
            ));
        }
        let mut domain = Domain {
            base,
            parent: self.domain_of(&create.data_type),
            default: create.default.as_ref().map(ToString::to_string),
            not_null: false,
            checks: Vec::new(),
        };
        if let Some(default) = &domain.default {
            let column = Column::new(name.clone(), base);
            stored::default(self.catalog(), &*self.context.session, default, &column)?;
        }
        for constraint in &create.constraints {
            let TableConstraint::Check(check) = constraint else {
                return Err(SqlError::unsupported(format!("domain constraint {constraint}")));
            };
            if statements::is_domain_not_null(&check.expr) {
                domain.not_null = true;
                continue;
            }
            let expression = check.expr.to_string();
            self.expression_over(&domain::value_row(base), &expression, Purpose::Check)?;
            let check_name = match &check.name {
                Some(given) => fold(given),
                None => (0..)
                    .map(|pass| match pass {
                        0 => format!("{name}_check"),
                        pass => format!("{name}_check{pass}"),
                    })
                    .find(|candidate| domain.checks.iter().all(|check| check.name != *candidate))
                    .unwrap_or_default(),
            };
            if domain.checks.iter().any(|check| check.name == check_name) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!("constraint \"{check_name}\" for domain \"{name}\" already exists"),
                ));
            }
            domain.checks.push(DomainCheck {
                compiled: CompiledCheck::default(),
                name: check_name,
                expression,
            });
        }
        domain.checks.sort_by(|a, b| a.name.cmp(&b.name));
        self.put_type(schema, name, user::DOMAIN, UserTypeKind::Domain(domain))
            .await?;
        Ok(Tag::Text("CREATE DOMAIN"))
    }

    pub(super) fn alter_user_type(&self, alter: &AlterType) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("ALTER TYPE");
        if let Some((role, name)) = crate::parse::alter::type_owner(&alter.name) {
            return self.alter_type_owner(&name, &fold(&role));
        }
        let (schema, name) = self.split(&alter.name)?;
        let session = &*self.context.session;
        let Some(found) = self.catalog().user_type(session, schema.as_deref(), &name) else {
            let relation = self.catalog().relation(session, schema.as_deref(), &name);
            return match (relation, &alter.operation) {
                (Some(relation), AlterTypeOperation::Rename(rename)) if relation.kind == RelationKind::Composite => {
                    let new = fold(&rename.new_name);
                    self.check_type_free(relation.schema, &new)?;
                    self.put_relation(&Relation {
                        name: new,
                        ..Relation::clone(relation)
                    })?;
                    Ok(TAG)
                }
                (Some(relation), _) if relation.kind == RelationKind::Composite => Err(not_an_enum(&name)),
                (Some(relation), _) => Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a composite type", relation.name),
                )),
                (None, _) => Err(missing_type(&alter.name)),
            };
        };
        let mut changed = UserType::clone(found);
        match &alter.operation {
            AlterTypeOperation::Rename(rename) => {
                let new = fold(&rename.new_name);
                self.check_type_free(changed.schema, &new)?;
                changed.name = new;
            }
            AlterTypeOperation::AddValue(add) => {
                let UserTypeKind::Enum { labels } = &mut changed.kind else {
                    return Err(not_an_enum(&name));
                };
                check_label(&add.value.value)?;
                if labels.iter().any(|(_, label)| *label == add.value.value) {
                    let message = format!("enum label \"{}\" already exists", add.value.value);
                    if !add.if_not_exists {
                        return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
                    }
                    self.notice(SqlState::DUPLICATE_OBJECT, format!("{message}, skipping"));
                    return Ok(TAG);
                }
                add_label(labels, &add.value.value, add.position.as_ref())?;
            }
            AlterTypeOperation::RenameValue(rename) => {
                let UserTypeKind::Enum { labels } = &mut changed.kind else {
                    return Err(not_an_enum(&name));
                };
                let (from, to) = (&rename.from.value, &rename.to.value);
                check_label(to)?;
                if labels.iter().all(|(_, label)| label != from) {
                    return Err(SqlError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("\"{from}\" is not an existing enum label"),
                    ));
                }
                if labels.iter().any(|(_, label)| label == to) {
                    return Err(SqlError::new(
                        SqlState::DUPLICATE_OBJECT,
                        format!("enum label \"{to}\" already exists"),
                    ));
                }
                labels
                    .iter_mut()
                    .filter(|(_, label)| label == from)
                    .for_each(|(_, label)| label.clone_from(to));
            }
        }
        self.put(Object::Type(changed))?;
        Ok(TAG)
    }

    /// DROP TYPE and DROP DOMAIN: `word` is the one that was written.
    pub(super) async fn drop_types(
        &self,
        names: &[ObjectName],
        word: &str,
        if_exists: bool,
        cascade: bool,
    ) -> SqlResult<()> {
        for name in names {
            let (schema, type_name) = self.split(name)?;
            let session = &*self.context.session;
            let user = self
                .catalog()
                .user_type(session, schema.as_deref(), &type_name)
                .cloned();
            let relation = self.catalog().relation(session, schema.as_deref(), &type_name);
            let relation = relation
                .filter(|relation| relation.kind == RelationKind::Composite)
                .cloned();
            let (id, object) = match (user, relation) {
                (Some(user), _) if word == "domain" && !user::is_domain(user.id) => {
                    return Err(SqlError::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("\"{type_name}\" is not a domain"),
                    ));
                }
                (Some(user), _) => (user.id, Object::Type(UserType::clone(&user))),
                (None, Some(relation)) if word != "domain" => {
                    (relation.id, Object::Relation(Box::new(Relation::clone(&relation))))
                }
                _ if if_exists => {
                    self.notice(
                        SqlState::SUCCESSFUL_COMPLETION,
                        format!("type \"{type_name}\" does not exist, skipping"),
                    );
                    continue;
                }
                _ => return Err(missing_type(name)),
            };
            self.drop_uses_of_type(id, word, &type_name, cascade).await?;
            self.remove(object)?;
        }
        Ok(())
    }

    /// Columns of a type, without which they cannot be: CASCADE drops them too.
    async fn drop_uses_of_type(&self, id: u32, word: &str, name: &str, cascade: bool) -> SqlResult<()> {
        let is_use = |column: &Column| {
            column.ty.oid == id || types::element_of(column.ty.oid) == Some(id) || column.domain == Some(id)
        };
        let users: Vec<Arc<Relation>> = self
            .catalog()
            .relations
            .values()
            .filter(|relation| matches!(relation.kind, RelationKind::Table | RelationKind::Composite))
            .filter(|relation| relation.live_columns().any(|(_, column)| is_use(column)))
            .cloned()
            .collect();
        let domains: Vec<Arc<UserType>> = self
            .catalog()
            .types
            .values()
            .filter(|user| matches!(&user.kind, UserTypeKind::Domain(domain) if domain.parent == Some(id) || domain.base.oid == id))
            .cloned()
            .collect();
        let mut lines = Vec::new();
        for relation in &users {
            let kind = if relation.kind == RelationKind::Table {
                "table"
            } else {
                "composite type"
            };
            for (_, column) in relation.live_columns().filter(|(_, column)| is_use(column)) {
                lines.push(format!("column {} of {kind} {}", column.name, relation.name));
            }
        }
        lines.extend(domains.iter().map(|domain| format!("type {}", domain.name)));
        if lines.is_empty() {
            return Ok(());
        }
        if !cascade {
            let lines: Vec<String> = lines
                .iter()
                .map(|line| format!("{line} depends on type {name}"))
                .collect();
            return Err(SqlError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop {} {name} because other objects depend on it",
                    if word == "domain" { "type" } else { word }
                ),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let notice = match lines.as_slice() {
            [line] => SqlError::new(SqlState::SUCCESSFUL_COMPLETION, format!("drop cascades to {line}")),
            many => SqlError::new(
                SqlState::SUCCESSFUL_COMPLETION,
                format!("drop cascades to {} other objects", many.len()),
            )
            .detail(
                many.iter()
                    .map(|line| format!("drop cascades to {line}"))
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
        };
        self.context.session.notice(Severity::Notice, notice);
        for relation in users {
            let mut changed = Relation::clone(&relation);
            let names: Vec<Ident> = changed
                .live_columns()
                .filter(|(_, column)| is_use(column))
                .map(|(_, column)| Ident::with_quote('"', &column.name))
                .collect();
            for column in names {
                self.alter_drop_column(&mut changed, &column, true, true).await?;
            }
            self.put_relation(&changed)?;
        }
        for domain in domains {
            self.remove(Object::Type(UserType::clone(&domain)))?;
        }
        Ok(())
    }

    /// The domain a column definition names.
    pub(super) fn domain_of(&self, data_type: &sqlparser::ast::DataType) -> Option<u32> {
        crate::bind::Binder::new(self.catalog(), &*self.context.session, &[]).domain_of(data_type)
    }

    /// DEFAULT of a domain.
    pub(super) fn domain_default(&self, domain: Option<u32>) -> Option<String> {
        match &self.catalog().types.get(&domain?)?.kind {
            UserTypeKind::Domain(domain) => domain.default.clone().or_else(|| self.domain_default(domain.parent)),
            UserTypeKind::Enum { .. } => None,
        }
    }
}

/// Puts a label at its place, with a number between those of its neighbours.
fn add_label(labels: &mut Vec<(u32, String)>, value: &str, place: Option<&AlterTypeAddValuePosition>) -> SqlResult<()> {
    let find = |neighbour: &Ident| {
        labels
            .iter()
            .position(|(_, label)| *label == neighbour.value)
            .ok_or_else(|| {
                SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("\"{}\" is not an existing enum label", neighbour.value),
                )
            })
    };
    let at = match place {
        None => labels.len(),
        Some(AlterTypeAddValuePosition::Before(neighbour)) => find(neighbour)?,
        Some(AlterTypeAddValuePosition::After(neighbour)) => find(neighbour)? + 1,
    };
    let before = at.checked_sub(1).map(|at| labels[at].0);
    let after = labels.get(at).map(|(after, _)| *after);
    let number = match (before, after) {
        (Some(before), Some(after)) => before + (after - before) / 2,
        (Some(before), None) => before.checked_add(LABEL_GAP).ok_or_else(too_many_labels)?,
        (None, Some(after)) => after.checked_sub(LABEL_GAP).ok_or_else(too_many_labels)?,
        (None, None) => LABEL_BASE + LABEL_GAP,
    };
    if Some(number) == before {
        return Err(too_many_labels());
    }
    labels.insert(at, (number, value.to_owned()));
    Ok(())
}

fn check_label(label: &str) -> SqlResult<()> {
    if label.len() > LABEL_BYTES_MAX {
        return Err(
            SqlError::new(SqlState::INVALID_NAME, format!("invalid enum label \"{label}\""))
                .detail("Labels must be 63 bytes or less."),
        );
    }
    Ok(())
}

fn too_many_labels() -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "an enum has no room for another label here",
    )
}

fn not_an_enum(name: &str) -> SqlError {
    SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("{name} is not an enum"))
}

fn missing_type(name: &ObjectName) -> SqlError {
    let shown = super::names::parts(name).unwrap_or_default().join(".");
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{shown}\" does not exist"))
}
