//! Checks bytes from outside against the format, so that views of them can be trusted.

use super::compare::is_ascending;
use super::view::{
    TAG_ARRAY, TAG_DECIMAL, TAG_FALSE, TAG_INTEGER, TAG_NULL, TAG_OBJECT, TAG_STRING, TAG_TRUE, WIDTH_SHIFT,
};
use super::{BYTES_MAX, JsonRef};
use crate::numeric::SCALE_MAX;
use crate::{StorageError, StorageResult};

/// Most bytes of a number: its largest mantissa has 147,455 decimal digits.
const NUMBER_BYTES_MAX: usize = 61_300;

pub(super) fn check(bytes: &[u8]) -> StorageResult<()> {
    if bytes.len() > BYTES_MAX {
        return Err(StorageError::Limit(format!(
            "jsonb value exceeds the maximum of {BYTES_MAX} bytes"
        )));
    }
    let mut pending = vec![JsonRef(bytes)];
    while let Some(value) = pending.pop() {
        check_one(value, &mut pending).ok_or_else(|| StorageError::corrupted("jsonb value"))?;
    }
    Ok(())
}

/// Checks one value; its children are left to be checked.
fn check_one<'a>(value: JsonRef<'a>, pending: &mut Vec<JsonRef<'a>>) -> Option<()> {
    let (&tag, payload) = value.as_bytes().split_last()?;
    match tag {
        TAG_NULL | TAG_FALSE | TAG_TRUE => payload.is_empty().then_some(()),
        TAG_STRING => std::str::from_utf8(payload)
            .ok()
            .filter(|text| !text.contains('\0'))
            .map(|_| ()),
        TAG_INTEGER => (payload.len() <= 16 && is_shortest(payload)).then_some(()),
        TAG_DECIMAL => {
            let [low, high, mantissa @ ..] = payload else {
                return None;
            };
            let scale_fits = u32::from(u16::from_le_bytes([*low, *high])) <= SCALE_MAX;
            (scale_fits && mantissa.len() <= NUMBER_BYTES_MAX && is_shortest(mantissa)).then_some(())
        }
        _ if tag >> WIDTH_SHIFT <= 2 => match tag & 0x0F {
            TAG_ARRAY => check_array(value, pending),
            TAG_OBJECT => check_object(value, pending),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the last byte is needed to hold the sign.
fn is_shortest(mantissa: &[u8]) -> bool {
    match mantissa {
        [] => true,
        [only] => *only != 0,
        [.., before, last] => !matches!((before >> 7, last), (0, 0x00) | (1, 0xFF)),
    }
}

fn check_array<'a>(value: JsonRef<'a>, pending: &mut Vec<JsonRef<'a>>) -> Option<()> {
    let table = value.table()?;
    let mut start = 0;
    for index in 0..table.count {
        let end = table.entry(index);
        pending.push(JsonRef(table.data.get(start..end)?));
        start = end;
    }
    (start == table.data.len()).then_some(())
}

fn check_object<'a>(value: JsonRef<'a>, pending: &mut Vec<JsonRef<'a>>) -> Option<()> {
    let table = value.table()?;
    let mut ranges = Vec::with_capacity(table.count);
    let mut previous: Option<&[u8]> = None;
    for index in 0..table.count {
        let [start, middle, end] = [0, 1, 2].map(|part| table.entry(index * 3 + part));
        let key = table.data.get(start..middle)?;
        pending.push(JsonRef(table.data.get(middle..end)?));
        if std::str::from_utf8(key).ok()?.contains('\0') || previous.is_some_and(|last| !is_ascending(last, key)) {
            return None;
        }
        previous = Some(key);
        ranges.push((start, end));
    }
    // J2: the members cover the data once. Shared or overlapping bytes could make a small value unfold without end.
    ranges.sort_unstable();
    let end = ranges
        .iter()
        .try_fold(0, |at, (start, end)| (*start == at).then_some(*end))?;
    (end == table.data.len()).then_some(())
}
