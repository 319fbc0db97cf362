//! Applying operations to a row. Many operations on one document cost one rewrite of it, not one each.

use super::{Action, Parts, Path, PathOp, STEPS_MAX};
use crate::jsonb::Overlay;
use crate::{Datum, Jsonb, Numeric, Row, StorageError, StorageResult};

/// Applies one operation.
///
/// # Errors
/// As [`apply_all`].
pub fn apply(row: &mut Row, operation: &PathOp) -> StorageResult<()> {
    apply_all(row, [operation])
}

/// Applies operations in order.
///
/// # Errors
/// [`StorageError::Limit`] if a document grows too large or a number leaves its type: both were checked before the operation
/// was written, so this says that a check was left out.
pub fn apply_all<'a>(row: &mut Row, operations: impl IntoIterator<Item = &'a PathOp>) -> StorageResult<()> {
    for (column, pending) in gather(row, operations)? {
        flush(&mut row[usize::from(column)], &pending)?;
    }
    Ok(())
}

/// As [`apply_all`], but of documents only parts are put together. Afterwards no document shares its bytes with what it was
/// before.
///
/// # Errors
/// As [`apply_all`].
pub(crate) fn take_parts<'a>(
    row: &mut Row,
    operations: impl IntoIterator<Item = &'a PathOp>,
    parts: &Parts,
) -> StorageResult<()> {
    let mut inside = gather(row, operations)?;
    for (column, slot) in row.iter_mut().enumerate() {
        let pending = inside.iter().position(|(other, _)| usize::from(*other) == column);
        let mut pending = pending.map(|at| inside.swap_remove(at).1).unwrap_or_default();
        let part = parts.of_column(u16::try_from(column).unwrap_or(u16::MAX));
        if !matches!(slot, Datum::Jsonb(_)) {
            flush(slot, &std::mem::take(&mut pending))?;
        }
        if let Datum::Jsonb(document) = &*slot {
            let taken = lay_over(document, &pending)?.finish_part(part)?;
            *slot = Datum::Jsonb(taken);
        }
    }
    Ok(())
}

/// Applies what changes whole columns, and gathers what is left to be done inside of each.
fn gather<'a>(
    row: &mut Row,
    operations: impl IntoIterator<Item = &'a PathOp>,
) -> StorageResult<Vec<(u16, Vec<&'a PathOp>)>> {
    // Operations inside one column are gathered, and rewrite its document once.
    let mut inside: Vec<(u16, Vec<&PathOp>)> = Vec::new();
    for operation in operations {
        let Path { column, steps } = &operation.path;
        if row.len() <= usize::from(*column) {
            row.resize(usize::from(*column) + 1, Datum::Null);
        }
        if steps.is_empty() && !matches!(operation.action, Action::Insert(_)) {
            let pending = inside
                .iter()
                .position(|(other, _)| other == column)
                .map(|at| inside.swap_remove(at).1);
            if let (Action::Add(by), slot) = (&operation.action, &mut row[usize::from(*column)]) {
                flush(slot, &pending.unwrap_or_default())?;
                add_to_column(slot, by)?;
            } else {
                // What the column held is gone, and with it what was still to be done to it.
                replace_column(&mut row[usize::from(*column)], &operation.action);
            }
        } else {
            match inside.iter_mut().find(|(other, _)| other == column) {
                Some((_, pending)) => pending.push(operation),
                None => inside.push((*column, vec![operation])),
            }
        }
    }
    Ok(inside)
}

fn replace_column(slot: &mut Datum, action: &Action) {
    match action {
        Action::SetColumn(value) => *slot = value.clone(),
        Action::Set { value, .. } => *slot = Datum::Jsonb(value.clone()),
        Action::Remove => *slot = Datum::Null,
        // There is no array to insert into; and additions are the caller's.
        Action::Insert(_) | Action::Add(_) => {}
    }
}

/// Rewrites one column's document.
fn flush(slot: &mut Datum, operations: &[&PathOp]) -> StorageResult<()> {
    let Datum::Jsonb(document) = &*slot else {
        // P2: a path into something that is not a document leads nowhere, except that parents may be created from NULL.
        return flush_into_null(slot, operations);
    };
    let document = document.clone();
    if let Some(changed) = rewrite(&document, operations)? {
        *slot = Datum::Jsonb(changed);
    }
    Ok(())
}

fn flush_into_null(slot: &mut Datum, operations: &[&PathOp]) -> StorageResult<()> {
    let creates = |operation: &&&PathOp| {
        matches!(
            operation.action,
            Action::Set {
                create_parents: true,
                ..
            }
        )
    };
    if !slot.is_null() || !operations.iter().any(|operation| creates(&operation)) {
        return Ok(());
    }
    let first = operations.iter().position(|operation| creates(&operation)).unwrap_or(0);
    if let Some(changed) = rewrite(&Jsonb::empty_object(), &operations[first..])? {
        *slot = Datum::Jsonb(changed);
    }
    Ok(())
}

fn rewrite(document: &Jsonb, operations: &[&PathOp]) -> StorageResult<Option<Jsonb>> {
    if operations.is_empty() {
        return Ok(None);
    }
    Ok(lay_over(document, operations)?.finish()?)
}

fn lay_over<'a>(document: &'a Jsonb, operations: &[&'a PathOp]) -> StorageResult<Overlay<'a>> {
    let mut overlay = Overlay::new(document.view());
    for operation in operations {
        let steps = &operation.path.steps;
        if steps.len() > STEPS_MAX {
            return Err(StorageError::Limit(format!(
                "a path may have at most {STEPS_MAX} steps"
            )));
        }
        match &operation.action {
            Action::Set { value, create_parents } => overlay.set(steps, value.view(), *create_parents),
            Action::Remove => overlay.remove(steps),
            Action::Insert(value) => overlay.insert(steps, value.view()),
            Action::Add(by) => overlay.add(steps, by)?,
            // It has no steps by construction; with steps it names no place.
            Action::SetColumn(_) => {}
        }
    }
    Ok(overlay)
}

/// Adds to a column of an exact numeric type, or to a document that is a number.
fn add_to_column(slot: &mut Datum, by: &Numeric) -> StorageResult<()> {
    let out_of_range = || StorageError::Limit("sum of additions is out of range".to_owned());
    let whole = || by.to_i64_exact().ok_or_else(out_of_range);
    match slot {
        Datum::Int2(value) => {
            let sum = i64::from(*value).checked_add(whole()?).ok_or_else(out_of_range)?;
            *value = i16::try_from(sum).map_err(|_| out_of_range())?;
        }
        Datum::Int4(value) => {
            let sum = i64::from(*value).checked_add(whole()?).ok_or_else(out_of_range)?;
            *value = i32::try_from(sum).map_err(|_| out_of_range())?;
        }
        Datum::Int8(value) => *value = value.checked_add(whole()?).ok_or_else(out_of_range)?,
        Datum::Numeric(value) => *value = value.add(by)?,
        Datum::Jsonb(document) => {
            if let Some(number) = document.view().as_number() {
                *document = Jsonb::number(&number.add(by)?);
            }
        }
        _ => {}
    }
    Ok(())
}
