//! Where an object would lie in PostgreSQL's jsonb: `keyvalue()` shows that position as the object's id.
//!
//! A container there is a header, one entry per element (two per member) of four bytes each, and the values' bytes: keys
//! first, numbers and containers aligned to four.

use storage::jsonb::JsonKind;
use storage::{JsonRef, Numeric};

/// Position of `target` inside `base`, 0 if it is not a part of it.
pub(super) fn offset(base: JsonRef<'_>, target: JsonRef<'_>) -> i64 {
    let wanted = target.as_bytes().as_ptr() as usize;
    let mut container = base;
    let mut position = 0_usize;
    loop {
        if std::ptr::eq(container.as_bytes(), target.as_bytes()) {
            return position as i64;
        }
        let start = container.as_bytes().as_ptr() as usize;
        if container.is_scalar() || wanted < start || wanted >= start + container.as_bytes().len() {
            return 0;
        }
        let mut at = position + 4 + 4 * container.len() * if container.is_object() { 2 } else { 1 };
        at += container.members().map(|(key, _)| key.len()).sum::<usize>();
        let mut inside = None;
        for child in container.elements().chain(container.members().map(|(_, value)| value)) {
            let child_start = child.as_bytes().as_ptr() as usize;
            if wanted >= child_start && wanted < child_start + child.as_bytes().len() {
                inside = Some((child, align(at)));
                break;
            }
            at = after(at, child);
        }
        match inside {
            Some((child, child_position)) => (container, position) = (child, child_position),
            None => return 0,
        }
    }
}

fn align(position: usize) -> usize {
    position.next_multiple_of(4)
}

/// The position behind a value that is written at `at`. Nested containers are measured with a stack of their own.
fn after(at: usize, value: JsonRef<'_>) -> usize {
    let mut position = at;
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        match value.kind() {
            JsonKind::Null | JsonKind::Bool => {}
            JsonKind::String => position += value.as_str().map_or(0, str::len),
            JsonKind::Number => position = align(position) + number_size(&value.as_number().unwrap_or_default()),
            JsonKind::Array | JsonKind::Object => {
                let entries = value.len() * if value.is_object() { 2 } else { 1 };
                position = align(position) + 4 + 4 * entries;
                position += value.members().map(|(key, _)| key.len()).sum::<usize>();
                let first = pending.len();
                pending.extend(value.elements().chain(value.members().map(|(_, member)| member)));
                pending[first..].reverse();
            }
        }
    }
    position
}

/// Bytes of PostgreSQL's stored numeric.
fn number_size(number: &Numeric) -> usize {
    let wire = number.to_wire();
    let short = wire.scale <= 63 && (-64..=63).contains(&wire.weight);
    (if short { 6 } else { 8 }) + 2 * wire.digits.len()
}
