//! Constraint violations as PostgreSQL words them.

use storage::Datum;

use crate::catalog::Relation;
use crate::error::ObjectNames;
use crate::eval::{EvalContext, SessionView};
use crate::{SqlError, SqlState, Type, types};

/// Longest rendering of one value in a message, as in PostgreSQL's ExecBuildSlotValueDescription.
const VALUE_CHARACTERS_MAX: usize = 64;

/// `(1, null, some text)`: the row for `Failing row contains …`.
pub fn describe_row(table: &Relation, row: &[Datum], context: &EvalContext<'_>) -> String {
    let mut text = String::from("(");
    for (i, (at, column)) in table.live_columns().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        let mut value = String::new();
        match &row[at as usize] {
            Datum::Null => value.push_str("null"),
            datum => print(column.ty, datum, context, &mut value),
        }
        if value.chars().count() > VALUE_CHARACTERS_MAX {
            value = value.chars().take(VALUE_CHARACTERS_MAX).collect::<String>() + "...";
        }
        text.push_str(&value);
    }
    text.push(')');
    text
}

/// A value that cannot be printed is left out: the violation is what matters.
fn print(ty: Type, datum: &Datum, context: &EvalContext<'_>, text: &mut String) {
    let _ = types::output(ty, datum, context.session, text);
}

/// Names the table and its schema.
pub fn name_table(object: &mut ObjectNames, table: &Relation, session: &dyn SessionView) {
    let catalog = session.catalog();
    let schema = catalog.as_ref().and_then(|catalog| catalog.schemas.get(&table.schema));
    object.schema = schema.map(|schema| schema.name.clone());
    object.table = Some(table.name.clone());
}

/// 23502
pub fn not_null(table: &Relation, at: u16, row: &[Datum], context: &EvalContext<'_>) -> SqlError {
    let column = &table.columns[at as usize].name;
    SqlError::new(
        SqlState::NOT_NULL_VIOLATION,
        format!(
            "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
            table.name
        ),
    )
    .detail(format!("Failing row contains {}.", describe_row(table, row, context)))
    .object(|object| {
        name_table(object, table, context.session);
        object.column = Some(column.clone());
    })
}

/// 23514
pub fn check(table: &Relation, name: &str, row: &[Datum], context: &EvalContext<'_>) -> SqlError {
    SqlError::new(
        SqlState::CHECK_VIOLATION,
        format!(
            "new row for relation \"{}\" violates check constraint \"{name}\"",
            table.name
        ),
    )
    .detail(format!("Failing row contains {}.", describe_row(table, row, context)))
    .object(|object| {
        name_table(object, table, context.session);
        object.constraint = Some(name.to_string());
    })
}

/// 44000 for a row that a view would not show.
pub fn check_option(table: &Relation, view: &str, row: &[Datum], context: &EvalContext<'_>) -> SqlError {
    SqlError::new(
        SqlState::WITH_CHECK_OPTION_VIOLATION,
        format!("new row violates check option for view \"{view}\""),
    )
    .detail(format!("Failing row contains {}.", describe_row(table, row, context)))
}

/// 23514 for a row that its partition may not hold.
pub fn partition(table: &Relation, row: &[Datum], context: &EvalContext<'_>) -> SqlError {
    SqlError::new(
        SqlState::CHECK_VIOLATION,
        format!("new row for relation \"{}\" violates partition constraint", table.name),
    )
    .detail(format!("Failing row contains {}.", describe_row(table, row, context)))
    .object(|object| name_table(object, table, context.session))
}

/// 23505. `columns` and `values` describe the key: `(a, b)=(1, x)`.
pub fn unique(table: &Relation, name: &str, columns: &str, values: &str, context: &EvalContext<'_>) -> SqlError {
    SqlError::new(
        SqlState::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{name}\""),
    )
    .detail(format!("Key ({columns})=({values}) already exists."))
    .object(|object| {
        name_table(object, table, context.session);
        object.constraint = Some(name.to_string());
    })
}

/// Values of a key as text: `1, x`.
pub fn describe_values<'a>(
    values: impl IntoIterator<Item = (&'a Datum, crate::Type)>,
    context: &EvalContext<'_>,
) -> String {
    let mut text = String::new();
    for (i, (datum, ty)) in values.into_iter().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        match datum {
            Datum::Null => text.push_str("null"),
            datum => print(ty, datum, context, &mut text),
        }
    }
    text
}
