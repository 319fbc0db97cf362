//! Views: their text bound where their name stands.

use std::sync::Arc;

use sqlparser::ast as sql;

use crate::bound::{Query, Rel};
use crate::catalog::Relation;
use crate::{SqlError, SqlResult, SqlState};

use super::Binder;
use super::position::Source;
use super::scope::LockTarget;

impl Binder<'_> {
    /// Binds a view's query in place of its name.
    pub(super) fn bind_view(
        &mut self,
        view: &Arc<Relation>,
        alias: Option<&sql::TableAlias>,
        shown: &Arc<str>,
    ) -> SqlResult<Rel> {
        let mut query = self.view_query(view)?;
        for ((position, column), output) in view.live_columns().zip(&mut query.columns) {
            output.name.clone_from(&column.name);
            self.set_origin(output.id, (view.id, position as i16 + 1));
        }
        let keys = super::lock::exposable_keys(&query.rel);
        let mut item = self.aliased_item(&query.columns, alias, shown)?;
        item.relation = Some(view.clone());
        item.row_type = crate::Type::new(view.id);
        if alias.is_none() {
            item.schema = self.catalog.schemas.get(&view.schema).map(|schema| schema.name.clone());
        }
        self.scope().items.push(item);
        let target = keys.map_or(LockTarget::Other("a view"), LockTarget::Subquery);
        self.add_lockable(shown, target);
        Ok(query.rel)
    }

    /// The query of a view, which sees neither the names around the view's use nor its positions.
    fn view_query(&mut self, view: &Arc<Relation>) -> SqlResult<Query> {
        if self.views.contains(&view.id) {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("infinite recursion detected in rules for relation \"{}\"", view.name),
            ));
        }
        let text = view.view.as_deref().unwrap_or_default();
        let parsed = crate::parse::parse(text)?;
        let Some(sql::Statement::Query(ast)) = parsed.first().map(|statement| &*statement.ast) else {
            return Err(SqlError::new(
                SqlState::DATA_CORRUPTED,
                format!("the definition of view \"{}\" is not a query", view.name),
            ));
        };
        let source = std::mem::replace(&mut self.source, Source::stored(text));
        let floor = std::mem::replace(&mut self.scope_floor, self.scopes.len());
        let ctes = std::mem::take(&mut self.ctes);
        let schema = self.home_schema.replace(view.schema);
        self.views.push(view.id);
        let query = self.bind_subquery(ast);
        self.views.pop();
        self.home_schema = schema;
        self.ctes = ctes;
        self.scope_floor = floor;
        self.source = source;
        query
    }
}
