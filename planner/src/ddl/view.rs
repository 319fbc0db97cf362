//! CREATE VIEW: the query's text with every relation qualified, so that it means the same under any search path.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{
    CreateTableOptions, CreateView, Ident, ObjectName, ObjectNamePart, Query, SqlOption, VisitMut, VisitorMut,
};

use super::Ddl;
use super::names::{fold, parts};
use crate::bind::Binder;
use crate::catalog::{Column, Relation, RelationKind, ViewCheck};
use crate::parse::forms;
use crate::statement::Tag;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

impl Ddl<'_> {
    pub(super) async fn create_view(&self, create: &CreateView) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("CREATE VIEW");
        if create.materialized {
            return Err(SqlError::unsupported("a materialized view"));
        }
        let check_option = check_option(&create.options)?;
        let mut query = create.query.clone();
        let mut qualifier = Qualifier {
            ddl: self,
            ctes: Vec::new(),
            uses_temporary: false,
        };
        let _ = query.visit(&mut qualifier);
        let uses_temporary = qualifier.uses_temporary;
        let (schema, name) = self.target_of(&create.name, create.temporary || uses_temporary).await?;
        if uses_temporary && !create.temporary {
            self.notice(
                SqlState::SUCCESSFUL_COMPLETION,
                format!("view \"{name}\" will be a temporary view"),
            );
        }
        let existing = self.catalog().names.get(&(schema.id, name.clone())).copied();
        let replaced = match existing {
            Some(id) if create.or_replace => {
                let relation = self.relation_by_id(id)?;
                if relation.kind != RelationKind::View {
                    return Err(SqlError::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("\"{name}\" is not a view"),
                    ));
                }
                Some(Relation::clone(relation))
            }
            _ if !self.check_free(schema.id, &name, create.if_not_exists)? => return Ok(TAG),
            _ => None,
        };
        let bound = self.bind_query(&create.query)?;
        if create.columns.len() > bound.columns.len() {
            return Err(SqlError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "CREATE VIEW specifies more column names than columns",
            ));
        }
        let mut columns: Vec<Column> = Vec::with_capacity(bound.columns.len());
        for (i, output) in bound.columns.iter().enumerate() {
            let column = create
                .columns
                .get(i)
                .map_or_else(|| output.name.clone(), |column| fold(&column.name));
            if columns.iter().any(|other| other.name == column) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{column}\" specified more than once"),
                ));
            }
            let ty = if output.ty.oid == oid::UNKNOWN {
                Type::TEXT
            } else {
                output.ty
            };
            columns.push(Column::new(column, ty));
        }
        let mut view = match replaced {
            Some(old) => {
                check_replaceable(&old, &columns)?;
                old
            }
            None => self.new_relation(&schema, name, RelationKind::View).await?,
        };
        view.columns = columns;
        view.view = Some(query.to_string());
        view.check_option = check_option;
        if check_option.is_some() {
            let mut binder = Binder::new(self.catalog(), &*self.context.session, &[]);
            let updatable = binder.updatability(&Arc::new(view.clone()))?;
            let reason = match updatable {
                Ok(columns) if columns.contains(&true) => None,
                Ok(_) => Some("Views that have no updatable columns are not automatically updatable."),
                Err(reason) => Some(reason),
            };
            if let Some(reason) = reason {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "WITH CHECK OPTION is supported only on automatically updatable views",
                )
                .hint(reason));
            }
        }
        self.put_relation(&view)?;
        Ok(TAG)
    }
}

/// `WITH (check_option = …)`, which `WITH CHECK OPTION` is read as too.
fn check_option(options: &CreateTableOptions) -> SqlResult<Option<ViewCheck>> {
    let (CreateTableOptions::With(options)
    | CreateTableOptions::Options(options)
    | CreateTableOptions::Plain(options)
    | CreateTableOptions::TableProperties(options)) = options
    else {
        return Ok(None);
    };
    let mut check = None;
    for option in options {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(SqlError::unsupported("this option of a view"));
        };
        if fold(key) != "check_option" {
            return Err(SqlError::unsupported(format!("option \"{key}\" of a view")));
        }
        let value = value.to_string();
        check = Some(match value.trim_matches('\'').to_ascii_lowercase().as_str() {
            "local" => ViewCheck::Local,
            "cascaded" => ViewCheck::Cascaded,
            _ => {
                return Err(SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid value for enum option \"check_option\": {value}"),
                )
                .detail("Valid values are \"local\" and \"cascaded\"."));
            }
        });
    }
    Ok(check)
}

/// A view may grow columns at its end when it is replaced, nothing else.
fn check_replaceable(old: &Relation, new: &[Column]) -> SqlResult<()> {
    let refuse = |message: String| Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
    if new.len() < old.columns.len() {
        return refuse("cannot drop columns from view".into());
    }
    for (old, new) in old.columns.iter().zip(new) {
        if old.name != new.name {
            return refuse(format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                old.name, new.name
            ));
        }
        if old.ty != new.ty {
            return refuse(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name,
                crate::types::format_type(old.ty),
                crate::types::format_type(new.ty)
            ));
        }
    }
    Ok(())
}

/// Puts the schema before every relation name that is not a CTE's.
struct Qualifier<'a, 'b> {
    ddl: &'a Ddl<'b>,
    ctes: Vec<String>,
    uses_temporary: bool,
}

impl VisitorMut for Qualifier<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.ctes
                .extend(with.cte_tables.iter().map(|cte| fold(&cte.alias.name)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        let Ok(names) = parts(name) else {
            return ControlFlow::Continue(());
        };
        if matches!(names.as_slice(), [relation] if self.ctes.contains(relation)) {
            return ControlFlow::Continue(());
        }
        let (is_only, plain) = forms::only(name);
        if let Some(relation) = names.last()
            && let Ok(found) = self.ddl.find(&ObjectName(plain.to_vec()))
            && let Some(schema) = self.ddl.catalog().schemas.get(&found.schema)
        {
            self.uses_temporary |= schema.is_temporary();
            let mark = is_only.then_some(forms::ONLY);
            let parts = mark.into_iter().chain([schema.name.as_str(), relation.as_str()]);
            *name = ObjectName(
                parts
                    .map(|part| ObjectNamePart::Identifier(Ident::with_quote('"', part)))
                    .collect(),
            );
        }
        ControlFlow::Continue(())
    }
}
