//! Select list: stars expanded, names given as PostgreSQL gives them (FigureColname).

use sqlparser::ast as sql;

use crate::bound::Expr;
use crate::parse::forms;
use crate::{SqlError, SqlResult, SqlState};

use super::Binder;
use super::binder::TARGETS_MAX;
use super::context::Context;

/// An entry of a select list.
#[derive(Clone)]
pub(super) struct Target {
    /// Output name.
    pub name: String,
    /// Value; a literal may still be of unknown type.
    pub expr: Expr,
    /// Made for ORDER BY and the like; not part of the result.
    pub hidden: bool,
}

impl Binder<'_> {
    /// Binds a select list or RETURNING list.
    pub(super) fn bind_targets(&mut self, items: &[sql::SelectItem], context: Context) -> SqlResult<Vec<Target>> {
        let before = std::mem::replace(&mut self.scope().context, context);
        let mut targets = Vec::with_capacity(items.len());
        let mut result = Ok(());
        for item in items {
            result = self.bind_target(item, &mut targets);
            if result.is_err() {
                break;
            }
        }
        self.scope().context = before;
        result?;
        if targets.len() > TARGETS_MAX {
            return Err(SqlError::new(
                SqlState::TOO_MANY_COLUMNS,
                format!("target lists can have at most {TARGETS_MAX} entries"),
            ));
        }
        Ok(targets)
    }

    fn bind_target(&mut self, item: &sql::SelectItem, targets: &mut Vec<Target>) -> SqlResult<()> {
        match item {
            sql::SelectItem::UnnamedExpr(sql::Expr::QualifiedWildcard(name, _)) => self.expand_name(name, targets),
            sql::SelectItem::UnnamedExpr(sql::Expr::CompoundFieldAccess { root, access_chain })
                if super::expr::ends_in_star(access_chain) =>
            {
                for (name, expr) in self.bind_row_star(root, access_chain)? {
                    targets.push(Target {
                        name,
                        expr,
                        hidden: false,
                    });
                }
                Ok(())
            }
            sql::SelectItem::UnnamedExpr(expr) => {
                let name = column_name(expr).unwrap_or_else(|| "?column?".into());
                let expr = self.bind_expr(expr)?;
                targets.push(Target {
                    name,
                    expr,
                    hidden: false,
                });
                Ok(())
            }
            sql::SelectItem::ExprWithAlias { expr, alias } => {
                let expr = self.bind_expr(expr)?;
                targets.push(Target {
                    name: alias.value.clone(),
                    expr,
                    hidden: false,
                });
                Ok(())
            }
            sql::SelectItem::Wildcard(options) => self.expand_all(self.at(options.wildcard_token.0.span), targets),
            sql::SelectItem::QualifiedWildcard(kind, _) => match kind {
                sql::SelectItemQualifiedWildcardKind::ObjectName(name) => self.expand_name(name, targets),
                sql::SelectItemQualifiedWildcardKind::Expr(expr) => {
                    Err(SqlError::unsupported(format_args!("{expr}.*")).at(self.start(expr)))
                }
            },
            sql::SelectItem::ExprWithAliases { expr, .. } => {
                Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"(\"").at(self.start(expr)))
            }
        }
    }

    /// `*`
    fn expand_all(&mut self, position: Option<u32>, targets: &mut Vec<Target>) -> SqlResult<()> {
        let scope = self.scope();
        let visible: Vec<usize> = scope
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.columns_visible)
            .map(|(i, _)| i)
            .collect();
        if visible.is_empty() && scope.items.is_empty() {
            return Err(
                SqlError::new(SqlState::SYNTAX_ERROR, "SELECT * with no tables specified is not valid").at(position),
            );
        }
        for index in visible {
            for column in self.scope().items[index].columns.clone() {
                let mut expr = column.expr;
                expr.position = position;
                targets.push(Target {
                    name: column.name.to_string(),
                    expr,
                    hidden: false,
                });
            }
        }
        Ok(())
    }

    /// `t.*`, `s.t.*`
    fn expand_name(&mut self, name: &sql::ObjectName, targets: &mut Vec<Target>) -> SqlResult<()> {
        let parts: Vec<sql::Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
        let position = parts.first().and_then(|part| self.at(part.span));
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table),
            [schema, table] => (Some(schema.value.as_str()), table),
            [database, schema, table] => {
                self.check_database(&database.value, position)?;
                (Some(schema.value.as_str()), table)
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("improper qualified name (too many dotted names): {name}"),
                )
                .at(position));
            }
        };
        match self.find_relation(schema, &table.value, position)? {
            Some(found) => {
                for column in self.scopes[found.level].items[found.item].columns.clone() {
                    let mut expr = column.expr;
                    expr.position = position;
                    targets.push(Target {
                        name: column.name.to_string(),
                        expr,
                        hidden: false,
                    });
                }
                Ok(())
            }
            None => Err(self.missing_relation(schema, &table.value, position)),
        }
    }
}

/// The name PostgreSQL gives an output column; `None` is `?column?`.
pub(super) fn column_name(expr: &sql::Expr) -> Option<String> {
    strong_name(expr).map(|(name, _)| name)
}

/// A name, and whether it is better than a cast's type name.
fn strong_name(expr: &sql::Expr) -> Option<(String, bool)> {
    use sql::Expr as E;
    let strong = |name: &str| Some((name.to_owned(), true));
    let weak = |name: &str| Some((name.to_owned(), false));
    match expr {
        E::Identifier(ident) => strong(&ident.value),
        E::CompoundIdentifier(parts) => strong(&parts.last()?.value),
        E::QualifiedWildcard(name, _) => strong(&name.0.last()?.as_ident()?.value),
        E::Nested(inner) => strong_name(inner),
        E::CompoundFieldAccess { root, access_chain } => {
            let last = access_chain.iter().rev().find_map(|access| match access {
                sql::AccessExpr::Dot(E::Identifier(field)) => Some((field.value.clone(), true)),
                sql::AccessExpr::Dot(other) => strong_name(other),
                sql::AccessExpr::Subscript(_) => None,
            });
            last.or_else(|| strong_name(root))
        }
        E::Function(function) => match forms::internal(&function.name) {
            Some(_) => None,
            None => strong(&function.name.0.last()?.as_ident()?.value),
        },
        E::Cast { expr, data_type, .. } => match strong_name(expr) {
            Some((name, true)) => Some((name, true)),
            _ => Some((type_column_name(data_type), false)),
        },
        E::TypedString(typed) => weak(&type_column_name(&typed.data_type)),
        E::Interval(_) => weak("interval"),
        E::Collate { expr, .. } => strong_name(expr),
        E::Case { else_result, .. } => match else_result.as_deref().and_then(strong_name) {
            Some((name, true)) => Some((name, true)),
            _ => weak("case"),
        },
        E::Array(_) => strong("array"),
        E::Tuple(_) => strong("row"),
        E::Exists { negated: false, .. } => strong("exists"),
        E::Subquery(query) => subquery_name(query).map(|name| (name, true)),
        E::AtTimeZone { .. } => strong("timezone"),
        E::Extract { .. } => strong("extract"),
        E::Position { .. } => strong("position"),
        E::Substring { .. } => strong("substring"),
        E::Overlay { .. } => strong("overlay"),
        E::Trim { trim_where, .. } => strong(match trim_where {
            Some(sql::TrimWhereField::Leading) => "ltrim",
            Some(sql::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        E::Ceil { .. } => strong("ceil"),
        E::Floor { .. } => strong("floor"),
        E::IsNormalized { .. } => strong("is_normalized"),
        E::BinaryOp {
            op: sql::BinaryOperator::Overlaps,
            ..
        } => strong("overlaps"),
        E::Value(sql::ValueWithSpan {
            value: sql::Value::Boolean(_),
            ..
        }) => weak("bool"),
        _ => None,
    }
}

/// A scalar subquery is named after its column.
fn subquery_name(query: &sql::Query) -> Option<String> {
    match &*query.body {
        sql::SetExpr::Select(select) => match select.projection.first()? {
            sql::SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            sql::SelectItem::UnnamedExpr(expr) => column_name(expr),
            _ => None,
        },
        sql::SetExpr::Query(inner) => subquery_name(inner),
        sql::SetExpr::Values(_) => Some("column1".into()),
        _ => None,
    }
}

/// The name a cast gives a column: the type's own, not how it was written.
fn type_column_name(data_type: &sql::DataType) -> String {
    use sql::DataType as D;
    match data_type {
        D::Custom(name, _) => {
            let last = name
                .0
                .last()
                .and_then(|part| part.as_ident())
                .map(|ident| ident.value.clone())
                .unwrap_or_default();
            match last.as_str() {
                "char"
                    if name
                        .0
                        .last()
                        .and_then(|p| p.as_ident())
                        .is_some_and(|i| i.quote_style.is_none()) =>
                {
                    "bpchar".into()
                }
                _ => last,
            }
        }
        D::Int(_) | D::Integer(_) | D::Int4(_) => "int4".into(),
        D::BigInt(_) | D::Int8(_) => "int8".into(),
        D::SmallInt(_) | D::Int2(_) => "int2".into(),
        D::Bool | D::Boolean => "bool".into(),
        D::Real | D::Float4 => "float4".into(),
        D::DoublePrecision | D::Float8 | D::Float(sql::ExactNumberInfo::None) => "float8".into(),
        D::Float(sql::ExactNumberInfo::Precision(bits)) if *bits <= 24 => "float4".into(),
        D::Float(_) => "float8".into(),
        D::Numeric(_) | D::Decimal(_) | D::Dec(_) => "numeric".into(),
        D::Varchar(_) | D::CharacterVarying(_) | D::CharVarying(_) => "varchar".into(),
        D::Character(_) | D::Char(_) => "bpchar".into(),
        D::Timestamp(_, zone) => match zone {
            sql::TimezoneInfo::WithTimeZone | sql::TimezoneInfo::Tz => "timestamptz".into(),
            _ => "timestamp".into(),
        },
        D::Time(_, zone) => match zone {
            sql::TimezoneInfo::WithTimeZone | sql::TimezoneInfo::Tz => "timetz".into(),
            _ => "time".into(),
        },
        D::Interval { .. } => "interval".into(),
        D::Array(
            sql::ArrayElemTypeDef::SquareBracket(element, _)
            | sql::ArrayElemTypeDef::AngleBracket(element)
            | sql::ArrayElemTypeDef::Parenthesis(element)
            | sql::ArrayElemTypeDef::Qualified(element, _),
        ) => type_column_name(element),
        other => other
            .to_string()
            .to_ascii_lowercase()
            .split('(')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned(),
    }
}
