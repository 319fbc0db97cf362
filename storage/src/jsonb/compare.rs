//! Order and equality of documents as PostgreSQL's btree has them, their hash, and their order-preserving key bytes.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::view::compare_keys;
use super::{JsonBuilder, JsonKind, JsonRef, Jsonb};
use crate::Numeric;

/// Key classes in order. PostgreSQL holds a top-level scalar as an array of one marked element, so by its rules the empty
/// top-level array sorts before every scalar, and every other array behind them.
const CLASS_EMPTY_ROOT_ARRAY: u8 = 0x01;
const CLASS_NULL: u8 = 0x02;
const CLASS_STRING: u8 = 0x03;
const CLASS_NUMBER: u8 = 0x04;
const CLASS_FALSE: u8 = 0x05;
const CLASS_TRUE: u8 = 0x06;
const CLASS_ARRAY: u8 = 0x07;
const CLASS_OBJECT: u8 = 0x08;

/// Two containers of one kind and size, and the position compared next.
struct Pair<'a> {
    left: JsonRef<'a>,
    right: JsonRef<'a>,
    next: usize,
}

impl JsonRef<'_> {
    /// PostgreSQL's btree order of jsonb: Object > Array > Boolean > Number > String > Null; containers by size first.
    pub fn compare(self, other: JsonRef<'_>) -> Ordering {
        let empty_array = |value: JsonRef<'_>| value.is_array() && value.is_empty();
        if empty_array(self) && other.is_scalar() {
            return Ordering::Less;
        }
        if empty_array(other) && self.is_scalar() {
            return Ordering::Greater;
        }
        compare_nested(self, other)
    }

    /// Whether two scalars are the same value.
    pub(super) fn equals_scalar(self, other: JsonRef<'_>) -> bool {
        self.is_scalar() && self.kind() == other.kind() && compare_scalars(self, other).is_eq()
    }
}

fn compare_nested(left: JsonRef<'_>, right: JsonRef<'_>) -> Ordering {
    let mut open: Vec<Pair<'_>> = Vec::new();
    let mut next = Some((left, right));
    loop {
        if let Some((a, b)) = next.take() {
            let mut order = a.kind().cmp(&b.kind());
            if order.is_eq() {
                if a.is_scalar() {
                    order = compare_scalars(a, b);
                } else {
                    order = a.len().cmp(&b.len());
                    open.push(Pair {
                        left: a,
                        right: b,
                        next: 0,
                    });
                }
            }
            if order.is_ne() {
                return order;
            }
        }
        let Some(pair) = open.last_mut() else {
            return Ordering::Equal;
        };
        let index = pair.next;
        pair.next += 1;
        next = if pair.left.is_array() {
            pair.left.element_at(index).zip(pair.right.element_at(index))
        } else {
            match pair.left.member(index).zip(pair.right.member(index)) {
                // Keys compare as strings here, although they are stored by length first.
                Some(((a, _), (b, _))) if a != b => return a.cmp(b),
                Some(((_, a), (_, b))) => Some((a, b)),
                None => None,
            }
        };
        if next.is_none() {
            open.pop();
        }
    }
}

/// Order of two scalars of one kind.
fn compare_scalars(left: JsonRef<'_>, right: JsonRef<'_>) -> Ordering {
    match left.kind() {
        JsonKind::Bool => left.as_bool().cmp(&right.as_bool()),
        JsonKind::Number => {
            if left.as_bytes() == right.as_bytes() {
                return Ordering::Equal;
            }
            left.as_number().cmp(&right.as_number())
        }
        JsonKind::String => left.string_bytes().cmp(right.string_bytes()),
        JsonKind::Null | JsonKind::Array | JsonKind::Object => Ordering::Equal,
    }
}

impl Jsonb {
    /// Appends bytes whose order is the order of documents; self-delimiting.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        let root = self.view();
        if root.is_array() && root.is_empty() {
            out.push(CLASS_EMPTY_ROOT_ARRAY);
            return;
        }
        let mut open: Vec<(JsonRef<'_>, usize)> = Vec::new();
        let mut next = Some(root);
        loop {
            if let Some(value) = next.take() {
                write_class(out, value);
                if !value.is_scalar() {
                    open.push((value, 0));
                }
            }
            let Some((container, position)) = open.last_mut() else {
                return;
            };
            let index = *position;
            *position += 1;
            next = if container.is_array() {
                container.element_at(index)
            } else {
                container.member(index).map(|(key, value)| {
                    crate::key::write_bytes(out, key);
                    value
                })
            };
            if next.is_none() {
                open.pop();
            }
        }
    }

    /// Reads what [`Jsonb::write_key`] wrote (numbers with their least scale); returns the rest of the input.
    pub fn read_key(input: &[u8]) -> Option<(Jsonb, &[u8])> {
        let (&first, mut rest) = input.split_first()?;
        if first == CLASS_EMPTY_ROOT_ARRAY {
            return Some((Jsonb::empty_array(), rest));
        }
        rest = input;
        let mut builder = JsonBuilder::new();
        // Children still to come in each open container, and whether it is an object.
        let mut open: Vec<(usize, bool)> = Vec::new();
        loop {
            if let Some((left, object)) = open.last_mut() {
                if *left == 0 {
                    open.pop();
                    builder.end();
                    if open.is_empty() {
                        break;
                    }
                    continue;
                }
                *left -= 1;
                if *object {
                    let (key, after) = crate::key::read_bytes(rest)?;
                    builder.key(std::str::from_utf8(&key).ok()?);
                    rest = after;
                }
            }
            let (&class, after) = rest.split_first()?;
            rest = after;
            match class {
                CLASS_NULL => builder.null(),
                CLASS_FALSE => builder.bool(false),
                CLASS_TRUE => builder.bool(true),
                CLASS_STRING => {
                    let (text, after) = crate::key::read_bytes(rest)?;
                    builder.string(std::str::from_utf8(&text).ok()?);
                    rest = after;
                }
                CLASS_NUMBER => {
                    let (number, after) = Numeric::read_key(rest)?;
                    builder.number(&number);
                    rest = after;
                }
                CLASS_ARRAY | CLASS_OBJECT => {
                    let count = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
                    rest = &rest[4..];
                    let object = class == CLASS_OBJECT;
                    if object {
                        builder.begin_object()
                    } else {
                        builder.begin_array()
                    }
                    open.push((count as usize, object));
                }
                _ => return None,
            }
            if open.is_empty() {
                break;
            }
        }
        Some((builder.finish().ok()?, rest))
    }
}

fn write_class(out: &mut Vec<u8>, value: JsonRef<'_>) {
    match value.kind() {
        JsonKind::Null => out.push(CLASS_NULL),
        JsonKind::Bool => out.push(if value.as_bool() == Some(true) {
            CLASS_TRUE
        } else {
            CLASS_FALSE
        }),
        JsonKind::String => {
            out.push(CLASS_STRING);
            crate::key::write_bytes(out, value.string_bytes());
        }
        JsonKind::Number => {
            out.push(CLASS_NUMBER);
            value.as_number().unwrap_or_default().write_key(out);
        }
        JsonKind::Array | JsonKind::Object => {
            out.push(if value.is_object() { CLASS_OBJECT } else { CLASS_ARRAY });
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        }
    }
}

impl Ord for Jsonb {
    fn cmp(&self, other: &Self) -> Ordering {
        self.view().compare(other.view())
    }
}

impl PartialOrd for Jsonb {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Jsonb {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.cmp(other).is_eq()
    }
}

impl Eq for Jsonb {}

impl Hash for Jsonb {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal documents may differ in bytes (member order, 1.0 and 1.00); their keys do not.
        let mut key = Vec::with_capacity(self.size());
        self.write_key(&mut key);
        key.hash(state);
    }
}

/// Whether a key list is strictly ascending in stored order; used by the checker.
pub(super) fn is_ascending(previous: &[u8], next: &[u8]) -> bool {
    compare_keys(previous, next).is_lt()
}
