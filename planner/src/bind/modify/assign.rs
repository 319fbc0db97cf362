//! Assignments: SET of UPDATE and of ON CONFLICT DO UPDATE.
//!
//! A subscripted target (`doc['a'] = v`, `list[2] = v`) becomes a new value of the whole column: a call over the old one of
//! `jsonb_subscript_set(jsonb, text[], jsonb, boolean)`, `"array set element"(anyarray, integer[], anyelement)` or
//! `"array set slice"(anyarray, integer[], integer[], anyarray)`.

use sqlparser::ast as sql;
use sqlparser::ast::{AssignmentTarget, ObjectNamePart};

use super::{Target, is_default, is_jsonb, null_of};
use crate::bind::Binder;
use crate::bind::context::Context;
use crate::bind::expr::row_items;
use crate::bound::{Assignment, ColumnId, Expr, ExprKind, Subquery, SubqueryKind};
use crate::parse::forms;
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

/// A subscript of an assignment's target.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Index(&'a sql::Expr),
    Slice(Option<&'a sql::Expr>, Option<&'a sql::Expr>),
}

/// A target of an assignment: a column, or a part of one.
pub(super) struct Place<'a> {
    pub position: u16,
    pub name: String,
    pub ty: Type,
    pub steps: Vec<Step<'a>>,
    pub at: Option<u32>,
}

/// What is assigned.
enum Value<'a> {
    Default,
    Written(&'a sql::Expr),
    Bound(Expr),
}

impl Binder<'_> {
    /// Binds SET; `old` are the ids of the row's columns before the change.
    pub(super) fn bind_assignments(
        &mut self,
        target: &Target,
        assignments: &[sql::Assignment],
        old: &[(u16, ColumnId)],
    ) -> SqlResult<Vec<Assignment>> {
        let mut bound: Vec<Assignment> = Vec::with_capacity(assignments.len());
        let mut subscripted: Vec<u16> = Vec::new();
        for assignment in assignments {
            for (place, value) in self.read_assignment(target, assignment)? {
                let whole = place.steps.is_empty();
                let known = bound.iter().position(|known| known.column == place.position);
                if known.is_some() && (whole || !subscripted.contains(&place.position)) {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("multiple assignments to same column \"{}\"", place.name),
                    ));
                }
                let column = place.position;
                let base = known.map(|index| bound.swap_remove(index).value);
                if !whole && !subscripted.contains(&column) {
                    subscripted.push(column);
                }
                let value = self.bind_assignment(target, place, value, base, old)?;
                bound.push(Assignment { column, value });
            }
        }
        Ok(bound)
    }

    /// The places an assignment fills, each with its value.
    fn read_assignment<'a>(
        &mut self,
        target: &Target,
        assignment: &'a sql::Assignment,
    ) -> SqlResult<Vec<(Place<'a>, Value<'a>)>> {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => {
                let place = self.read_place(target, name)?;
                let value = if is_default(&assignment.value) {
                    Value::Default
                } else {
                    Value::Written(&assignment.value)
                };
                Ok(vec![(place, value)])
            }
            AssignmentTarget::Tuple(names) => {
                let places = names
                    .iter()
                    .map(|name| self.read_place(target, name))
                    .collect::<SqlResult<Vec<_>>>()?;
                let values = self.read_tuple(&assignment.value, places.len())?;
                Ok(places.into_iter().zip(values).collect())
            }
        }
    }

    /// The values of `(a, b) = …`.
    fn read_tuple<'a>(&mut self, value: &'a sql::Expr, count: usize) -> SqlResult<Vec<Value<'a>>> {
        let position = self.start(value);
        let mismatch = || {
            SqlError::new(
                SqlState::SYNTAX_ERROR,
                "number of columns does not match number of values",
            )
            .at(position)
        };
        match value {
            sql::Expr::Subquery(query) => {
                // Each column asks the query again for its field: the tree has no place for one row in common.
                let mut values = Vec::with_capacity(count);
                for index in 0..count {
                    let bound = self.bind_subquery(query)?;
                    if bound.columns.len() != count {
                        return Err(mismatch());
                    }
                    let ty = bound.columns[index].ty;
                    let shape = bound
                        .columns
                        .iter()
                        .map(|column| (column.name.clone(), column.ty))
                        .collect();
                    let columns = bound.columns.iter().map(|column| column.id).collect();
                    let row = Subquery {
                        kind: SubqueryKind::Row,
                        rel: bound.rel,
                        columns,
                    };
                    let base = Expr {
                        kind: ExprKind::Subquery(Box::new(row)),
                        ty: crate::bound::shape::record_type(shape),
                        position,
                    };
                    values.push(Value::Bound(Expr {
                        kind: ExprKind::Field {
                            base: Box::new(base),
                            index,
                        },
                        ty,
                        position,
                    }));
                }
                Ok(values)
            }
            sql::Expr::Nested(inner) if count == 1 => Ok(vec![if is_default(inner) {
                Value::Default
            } else {
                Value::Written(inner)
            }]),
            other => {
                let Some(items) = row_items(other) else {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
                    )
                    .at(position));
                };
                if items
                    .iter()
                    .any(|item| matches!(item, crate::bind::expr::RowItem::Star(_)))
                {
                    let fields = self.bind_row_items(&items)?;
                    if fields.len() != count {
                        return Err(mismatch());
                    }
                    return Ok(fields.into_iter().map(Value::Bound).collect());
                }
                if items.len() != count {
                    return Err(mismatch());
                }
                Ok(items
                    .iter()
                    .filter_map(|item| match item {
                        crate::bind::expr::RowItem::Expr(expr) if is_default(expr) => Some(Value::Default),
                        crate::bind::expr::RowItem::Expr(expr) => Some(Value::Written(expr)),
                        crate::bind::expr::RowItem::Star(_) => None,
                    })
                    .collect())
            }
        }
    }

    pub(super) fn read_place<'a>(&mut self, target: &Target, name: &'a sql::ObjectName) -> SqlResult<Place<'a>> {
        let mut parts = name.0.iter();
        let Some(ident) = parts.next().and_then(|part| part.as_ident()) else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error in SET"));
        };
        let (position, column) = self.target_column(target, ident)?;
        let mut steps = Vec::new();
        for part in parts {
            match part {
                ObjectNamePart::Function(function) if function.name.value == forms::SUBSCRIPT => {
                    steps.push(read_step(&function.args)?);
                }
                ObjectNamePart::Identifier(field) => {
                    return Err(if crate::bind::coerce::is_row(column.ty.oid) {
                        SqlError::unsupported("assignment to a field of a composite column")
                    } else {
                        SqlError::new(
                            SqlState::DATATYPE_MISMATCH,
                            format!(
                                "cannot assign to field \"{}\" of column \"{}\" because its type {} is not a composite type",
                                field.value,
                                column.name,
                                self.type_name(column.ty)
                            ),
                        )
                    }
                    .at(self.at(ident.span)));
                }
                ObjectNamePart::Function(_) => {
                    return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error in SET"));
                }
            }
        }
        Ok(Place {
            position,
            name: column.name.clone(),
            ty: column.ty,
            steps,
            at: self.at(ident.span),
        })
    }

    fn bind_assignment(
        &mut self,
        target: &Target,
        place: Place<'_>,
        value: Value<'_>,
        base: Option<Expr>,
        old: &[(u16, ColumnId)],
    ) -> SqlResult<Expr> {
        let definition = &target.defaults().columns[usize::from(place.position)];
        let is_default = matches!(value, Value::Default);
        let refuse = |detail: &str| {
            SqlError::new(
                SqlState::GENERATED_ALWAYS,
                format!("column \"{}\" can only be updated to DEFAULT", place.name),
            )
            .detail(format!("Column \"{}\" is {detail}.", place.name))
        };
        if definition.generated && !is_default {
            return Err(refuse("a generated column"));
        }
        if definition.identity == Some(crate::catalog::Identity::Always) && !is_default {
            return Err(refuse("an identity column defined as GENERATED ALWAYS"));
        }
        let value = match value {
            Value::Default if place.steps.is_empty() => {
                return self.default_value(target.defaults(), place.position, definition);
            }
            Value::Default => {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot set an array element to DEFAULT",
                )
                .at(place.at));
            }
            Value::Written(expr) => self.bind_in(Context::UpdateSource, expr)?,
            Value::Bound(expr) => expr,
        };
        if place.steps.is_empty() {
            return self.assign(value, &place.name, place.ty);
        }
        let base = match base {
            Some(base) => base,
            None => match old.iter().find(|(position, _)| *position == place.position) {
                Some((_, id)) => Expr {
                    kind: ExprKind::Column(*id),
                    ty: place.ty,
                    position: None,
                },
                None => null_of(place.ty),
            },
        };
        self.assign_part(base, &place, value)
    }

    /// The column's new value when one part of it is assigned.
    pub(super) fn assign_part(&mut self, base: Expr, place: &Place<'_>, value: Expr) -> SqlResult<Expr> {
        let mismatch = |binder: &Self, wanted: Type, found: Type| {
            SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "subscripted assignment to \"{}\" requires type {} but expression is of type {}",
                    place.name,
                    binder.type_name(wanted),
                    binder.type_name(found)
                ),
            )
            .hint("You will need to rewrite or cast the expression.")
            .at(place.at)
        };
        let found = value.ty;
        if is_jsonb(place.ty) {
            let mut path = Vec::with_capacity(place.steps.len());
            // A NULL document becomes an array if the first subscript is an integer, an object if it is text.
            let mut first_is_integer = None;
            for step in &place.steps {
                let Step::Index(index) = step else {
                    return Err(
                        SqlError::new(SqlState::DATATYPE_MISMATCH, "jsonb subscript does not support slices")
                            .at(place.at),
                    );
                };
                let index = self.bind_in(Context::UpdateSource, index)?;
                let index = self.jsonb_subscript(index)?;
                first_is_integer.get_or_insert(index.ty.oid == oid::INT4);
                path.push(self.cast_to(index, Type::TEXT, |_| None)?);
            }
            let Some(value) = self.try_coerce(value, Type::JSONB, crate::functions::CastContext::Assignment)? else {
                return Err(mismatch(self, Type::JSONB, found));
            };
            let path = Expr {
                kind: ExprKind::Array {
                    elements: path,
                    nested: false,
                },
                ty: Type::new(oid::TEXT_ARRAY),
                position: None,
            };
            let first_is_integer = Expr {
                kind: ExprKind::Literal(storage::Datum::Bool(first_is_integer.unwrap_or(false))),
                ty: Type::BOOL,
                position: None,
            };
            return self.call_function(
                "jsonb_subscript_set",
                vec![base, path, value, first_is_integer],
                place.at,
            );
        }
        let Some(element) = types::element_of(place.ty.oid) else {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    self.type_name(place.ty)
                ),
            )
            .at(place.at));
        };
        let slice = place.steps.iter().any(|step| matches!(step, Step::Slice(..)));
        let wanted = if slice {
            place.ty
        } else {
            Type::with_modifier(element, place.ty.modifier)
        };
        let Some(value) = self.try_coerce(value, wanted, crate::functions::CastContext::Assignment)? else {
            return Err(mismatch(self, wanted, found));
        };
        let mut lower = Vec::with_capacity(place.steps.len());
        let mut upper = Vec::with_capacity(place.steps.len());
        for step in &place.steps {
            let (low, high) = match step {
                // A plain subscript among slices means from 1 to it.
                Step::Index(index) if slice => (None, Some(*index)),
                Step::Index(index) => (None, Some(*index)),
                Step::Slice(low, high) => (*low, *high),
            };
            lower.push(match low {
                Some(low) => self.bind_index(low)?,
                None if slice && matches!(step, Step::Index(_)) => {
                    crate::bind::coerce::literal(storage::Datum::Int4(1), Type::INT4)
                }
                None => null_of(Type::INT4),
            });
            upper.push(match high {
                Some(high) => self.bind_index(high)?,
                None => null_of(Type::INT4),
            });
        }
        let numbers = |elements: Vec<Expr>| Expr {
            kind: ExprKind::Array {
                elements,
                nested: false,
            },
            ty: Type::new(oid::INT4_ARRAY),
            position: None,
        };
        let mut result = if slice {
            self.call_function(
                "array set slice",
                vec![base, numbers(lower), numbers(upper), value],
                place.at,
            )?
        } else {
            self.call_function("array set element", vec![base, numbers(upper), value], place.at)?
        };
        result.ty = place.ty;
        Ok(result)
    }
}

fn read_step(args: &[sql::FunctionArg]) -> SqlResult<Step<'_>> {
    let expr = |arg: &'_ sql::FunctionArg| matches!(arg, sql::FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(_)));
    let malformed = || SqlError::new(SqlState::SYNTAX_ERROR, "syntax error in a subscript");
    let [arg] = args else { return Err(malformed()) };
    if !expr(arg) {
        return Err(malformed());
    }
    let sql::FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(inner)) = arg else {
        return Err(malformed());
    };
    let sql::Expr::Function(function) = inner else {
        return Ok(Step::Index(inner));
    };
    if forms::internal(&function.name) != Some("slice") {
        return Ok(Step::Index(inner));
    }
    let sql::FunctionArguments::List(list) = &function.args else {
        return Err(malformed());
    };
    let bounds: Vec<Option<&sql::Expr>> = list
        .args
        .iter()
        .map(|arg| match arg {
            sql::FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(sql::Expr::Identifier(ident)))
                if ident.value == forms::ABSENT =>
            {
                None
            }
            sql::FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect();
    match bounds.as_slice() {
        [low, high] => Ok(Step::Slice(*low, *high)),
        _ => Err(malformed()),
    }
}
