//! Path operations as bytes (`FORMAT.md`, "deltas").

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Action, Path, PathOp, Step, StepRef};
use crate::version::{decode_datum, encode_datum, read_varint, write_varint};
use crate::{Datum, StorageError, StorageResult};

const STEP_MEMBER: u8 = 0;
const STEP_ELEMENT: u8 = 1;

const ACTION_SET_COLUMN: u8 = 1;
const ACTION_SET: u8 = 2;
const ACTION_SET_CREATING_PARENTS: u8 = 3;
const ACTION_REMOVE: u8 = 4;
const ACTION_INSERT: u8 = 5;
const ACTION_ADD: u8 = 6;

/// Appends operations.
pub fn encode_operations(out: &mut Vec<u8>, operations: &[PathOp]) {
    write_varint(out, operations.len() as u64);
    let mut argument = Vec::new();
    for operation in operations {
        write_path(out, &operation.path);
        argument.clear();
        let action = match &operation.action {
            Action::SetColumn(value) => {
                encode_datum(&mut argument, value);
                ACTION_SET_COLUMN
            }
            Action::Set { value, create_parents } => {
                encode_datum(&mut argument, &Datum::Jsonb(value.clone()));
                if *create_parents {
                    ACTION_SET_CREATING_PARENTS
                } else {
                    ACTION_SET
                }
            }
            Action::Remove => ACTION_REMOVE,
            Action::Insert(value) => {
                encode_datum(&mut argument, &Datum::Jsonb(value.clone()));
                ACTION_INSERT
            }
            Action::Add(by) => {
                encode_datum(&mut argument, &Datum::Numeric(by.clone()));
                ACTION_ADD
            }
        };
        out.push(action);
        write_varint(out, argument.len() as u64);
        out.extend_from_slice(&argument);
    }
}

/// Decodes operations, which must be all of `bytes`.
///
/// # Errors
/// [`StorageError::Corrupted`]
pub fn decode_operations(bytes: &Bytes) -> StorageResult<Vec<PathOp>> {
    let mut operations = Vec::new();
    decode_operations_where(bytes, bytes, &|_, _, _| true, &mut operations)?;
    Ok(operations)
}

/// As [`decode_operations`], but only operations whose column and steps are wanted are decoded, and appended; the last argument
/// says whether parents are created. `encoded` are the operations, a part of `bytes`.
///
/// # Errors
/// [`StorageError::Corrupted`]
pub(crate) fn decode_operations_where(
    bytes: &Bytes,
    encoded: &[u8],
    is_wanted: &dyn Fn(u16, &[StepRef<'_>], bool) -> bool,
    operations: &mut Vec<PathOp>,
) -> StorageResult<()> {
    let corrupted = || StorageError::corrupted("path operations");
    let (count, mut rest) = read_varint(encoded).ok_or_else(corrupted)?;
    for _ in 0..count {
        let ((column, steps), after) = read_place(rest).ok_or_else(corrupted)?;
        let (&action, after) = after.split_first().ok_or_else(corrupted)?;
        let (size, after) = read_varint(after).ok_or_else(corrupted)?;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= after.len())
            .ok_or_else(corrupted)?;
        let (argument, after) = after.split_at(size);
        rest = after;
        if !is_wanted(column, &steps, action == ACTION_SET_CREATING_PARENTS) {
            continue;
        }
        let path = Path::new(column, steps.iter().map(|step| step.to_step()));
        let action = read_action(action, &bytes.slice_ref(argument))?.ok_or_else(corrupted)?;
        operations.push(PathOp { path, action });
    }
    if rest.is_empty() { Ok(()) } else { Err(corrupted()) }
}

fn read_action(action: u8, argument: &Bytes) -> StorageResult<Option<Action>> {
    if action == ACTION_REMOVE {
        return Ok(argument.is_empty().then_some(Action::Remove));
    }
    Ok(match (action, decode_datum(argument)?) {
        (ACTION_SET_COLUMN, value) => Some(Action::SetColumn(value)),
        (ACTION_SET, Datum::Jsonb(value)) => Some(Action::Set {
            value,
            create_parents: false,
        }),
        (ACTION_SET_CREATING_PARENTS, Datum::Jsonb(value)) => Some(Action::Set {
            value,
            create_parents: true,
        }),
        (ACTION_INSERT, Datum::Jsonb(value)) => Some(Action::Insert(value)),
        (ACTION_ADD, Datum::Numeric(by)) => Some(Action::Add(by)),
        _ => None,
    })
}

/// Appends a path.
pub fn write_path(out: &mut Vec<u8>, path: &Path) {
    write_varint(out, u64::from(path.column));
    write_varint(out, path.steps.len() as u64);
    for step in &path.steps {
        match step {
            Step::Member(name) => {
                out.push(STEP_MEMBER);
                write_varint(out, name.len() as u64);
                out.extend_from_slice(name.as_bytes());
            }
            Step::Element(number) => {
                out.push(STEP_ELEMENT);
                write_varint(out, u64::from(*number));
            }
        }
    }
}

/// Reads a path; returns the rest. `None` if the bytes are not a path.
pub fn read_path(input: &[u8]) -> Option<(Path, &[u8])> {
    let ((column, steps), rest) = read_place(input)?;
    Some((Path::new(column, steps.iter().map(|step| step.to_step())), rest))
}

/// A path where it stands: nothing is copied.
type Place<'a> = (u16, SmallVec<[StepRef<'a>; 8]>);

fn read_place(input: &[u8]) -> Option<(Place<'_>, &[u8])> {
    let (column, rest) = read_varint(input)?;
    let (count, mut rest) = read_varint(rest)?;
    let mut steps = SmallVec::with_capacity(count.min(super::STEPS_MAX as u64) as usize);
    for _ in 0..count {
        let (&tag, after) = rest.split_first()?;
        let (number, after) = read_varint(after)?;
        match tag {
            STEP_MEMBER => {
                let (name, after) = after.split_at_checked(usize::try_from(number).ok()?)?;
                steps.push(StepRef::Member(std::str::from_utf8(name).ok()?));
                rest = after;
            }
            STEP_ELEMENT => {
                steps.push(StepRef::Element(u32::try_from(number).ok()?));
                rest = after;
            }
            _ => return None,
        }
    }
    Some(((u16::try_from(column).ok()?, steps), rest))
}
