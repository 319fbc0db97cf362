//! Domains: their conditions, checked where a value becomes one of the domain's.
//!
//! A value of a domain has the type the domain is made of; a cast to the domain is a cast to that type with a check
//! around it, and a column of a domain checks what is written to it. Values inside of composite types are checked by
//! json_populate_record, and not elsewhere. A condition is compiled once for each version of the catalog.

use storage::Datum;

use crate::bind::Purpose;
use crate::bound::{Expr, ExprKind};
use crate::catalog::{Column, Relation, UserTypeKind};
use crate::eval::{EvalContext, SessionView};
use crate::functions::{CallContext, Function, domain_check};
use crate::modify::program::row_program;
use crate::{SqlError, SqlResult, SqlState, Type};

/// Puts the check of a domain around a value of its base type.
pub(crate) fn checked(value: Expr, domain: Option<u32>) -> Expr {
    let Some(domain) = domain else { return value };
    let (ty, position) = (value.ty, value.position);
    let number = Expr {
        kind: ExprKind::Literal(Datum::Oid(domain)),
        ty: Type::OID,
        position: None,
    };
    Expr {
        kind: ExprKind::Call {
            function: &CHECK,
            args: vec![value, number],
        },
        ty,
        position,
    }
}

static CHECK: Function = domain_check(|context: &mut CallContext<'_>, args: &[Datum]| {
    let [value, Datum::Oid(domain)] = args else {
        return Ok(Datum::Null);
    };
    check(context.session, *domain, value)?;
    Ok(value.clone())
});

/// What a domain's conditions are bound over: a row of the one value.
pub(crate) fn value_row(base: Type) -> Relation {
    let mut relation = Relation::system_placeholder();
    relation.columns.push(Column::new("value".into(), base));
    relation
}

/// Checks a value against the conditions of a domain, those of the domains it is made of first.
///
/// # Errors
/// 23502, 23514, and what the conditions raise.
pub(crate) fn check(session: &dyn SessionView, domain: u32, value: &Datum) -> SqlResult<()> {
    let Some(catalog) = session.catalog() else {
        return Ok(());
    };
    let Some(user) = catalog.types.get(&domain) else {
        return Ok(());
    };
    let UserTypeKind::Domain(domain) = &user.kind else {
        return Ok(());
    };
    let schema = catalog.schemas.get(&user.schema).map(|schema| schema.name.to_string());
    if let Some(parent) = domain.parent {
        check(session, parent, value)?;
    }
    if domain.not_null && value.is_null() {
        return Err(SqlError::new(
            SqlState::NOT_NULL_VIOLATION,
            format!("domain {} does not allow null values", user.name),
        )
        .object(|object| {
            object.schema = schema.clone();
            object.data_type = Some(user.name.clone());
        }));
    }
    for condition in &domain.checks {
        let program = condition.compiled.get_or_compile(|| {
            let row = value_row(domain.base);
            row_program(&catalog, session, &row, &condition.expression, Purpose::Check, None)
        })?;
        let context = EvalContext {
            session,
            parameters: &[],
            outer: &[],
        };
        if let Datum::Bool(false) = program.program.eval(std::slice::from_ref(value), &context)? {
            return Err(SqlError::new(
                SqlState::CHECK_VIOLATION,
                format!(
                    "value for domain {} violates check constraint \"{}\"",
                    user.name, condition.name
                ),
            )
            .object(|object| {
                object.schema = schema.clone();
                object.data_type = Some(user.name.clone());
                object.constraint = Some(condition.name.clone());
            }));
        }
    }
    Ok(())
}
