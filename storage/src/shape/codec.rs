//! How a shape is written down: one record a path, and what changed between two shapes (see `FORMAT.md`, known paths).

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Members, Node, Shape, ShapeStep, Types};
use crate::jsonb::compare_keys;
use crate::{StorageError, StorageResult};

const MEMBER: u8 = 0x01;
const ANY_MEMBER: u8 = 0x02;
const ANY_ELEMENT: u8 = 0x03;
/// Ends a member's name; JSON text of jsonb has no such character.
const END: u8 = 0x00;
/// Above every first byte of a step: what begins with a key and is below key ‖ this belongs to the key's place.
const BEYOND: u8 = 0xFF;
/// In a record's value, beside the types.
const OPAQUE: u8 = 0x80;
const TYPES: u8 = 0x3F;

/// What to write to turn the records of one shape into those of another: first the ranges go, then the records come.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Changes {
    /// Half-open ranges of keys that go.
    pub cleared: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys and values that come.
    pub put: Vec<(Vec<u8>, u8)>,
}

impl Changes {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.cleared.is_empty() && self.put.is_empty()
    }
}

impl Shape {
    /// What changed since an older shape.
    pub fn changes_from(&self, older: &Shape) -> Changes {
        let mut changes = Changes::default();
        if self.is_empty() {
            if !older.is_empty() {
                changes.cleared.push((Vec::new(), vec![BEYOND]));
            }
            return changes;
        }
        compare_nodes(Some(&older.root), &self.root, &mut Vec::new(), &mut changes);
        changes
    }

    /// Reads a shape back from its records.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`] for a key that is no path.
    pub fn restore<'a>(records: impl IntoIterator<Item = (&'a [u8], u8)>) -> StorageResult<Shape> {
        let mut shape = Shape::default();
        for (key, value) in records {
            let steps = read_path(key)?;
            let mut node = Node {
                types: Types(value & TYPES),
                is_opaque: value & OPAQUE != 0,
                ..Node::default()
            };
            for step in steps.into_iter().rev() {
                let below = Arc::new(node);
                node = Node::default();
                match step {
                    ShapeStep::Member(name) => node.members = Members::Named(vec![(name, below)]),
                    ShapeStep::AnyMember => node.members = Members::Any(below),
                    ShapeStep::AnyElement => node.elements = Some(below),
                }
            }
            let one = Shape {
                root: Arc::new(node),
                count: 0,
            };
            shape.merge(&one);
        }
        Ok(shape)
    }
}

/// The order of names: that of jsonb.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    compare_keys(left.as_bytes(), right.as_bytes())
}

fn compare_nodes(older: Option<&Arc<Node>>, node: &Arc<Node>, key: &mut Vec<u8>, changes: &mut Changes) {
    if older.is_some_and(|older| Arc::ptr_eq(older, node)) {
        return;
    }
    if older.is_none_or(|older| (older.types, older.is_opaque) != (node.types, node.is_opaque)) {
        let opaque = if node.is_opaque { OPAQUE } else { 0 };
        changes.put.push((key.clone(), node.types.0 | opaque));
    }
    let length = key.len();
    match (older.map(|older| &older.members), &node.members) {
        (Some(Members::Named(before)), Members::Any(any)) => {
            if !before.is_empty() {
                clear(changes, key, MEMBER, ANY_MEMBER);
            }
            key.push(ANY_MEMBER);
            compare_nodes(None, any, key, changes);
        }
        (before, Members::Any(any)) => {
            let before = match before {
                Some(Members::Any(before)) => Some(before),
                Some(Members::Named(_)) | None => None,
            };
            key.push(ANY_MEMBER);
            compare_nodes(before, any, key, changes);
        }
        (before, Members::Named(named)) => {
            let before = match before {
                Some(Members::Named(before)) => before.as_slice(),
                Some(Members::Any(_)) => {
                    clear(changes, key, ANY_MEMBER, ANY_ELEMENT);
                    &[]
                }
                None => &[],
            };
            compare_named(before, named, key, changes);
        }
    }
    key.truncate(length);
    match (older.and_then(|older| older.elements.as_ref()), &node.elements) {
        (before, Some(elements)) => {
            key.push(ANY_ELEMENT);
            compare_nodes(before, elements, key, changes);
            key.truncate(length);
        }
        (Some(_), None) => clear(changes, key, ANY_ELEMENT, BEYOND),
        (None, None) => {}
    }
}

fn compare_named(
    before: &[(Arc<str>, Arc<Node>)],
    named: &[(Arc<str>, Arc<Node>)],
    key: &mut Vec<u8>,
    changes: &mut Changes,
) {
    let length = key.len();
    let mut before = before.iter().peekable();
    let gone = |key: &mut Vec<u8>, name: &str, changes: &mut Changes| {
        push_name(key, name);
        let mut to = key.clone();
        to.push(BEYOND);
        changes.cleared.push((key.clone(), to));
        key.truncate(length);
    };
    for (name, node) in named {
        while let Some((old, _)) = before.next_if(|(old, _)| compare(old, name).is_lt()) {
            gone(key, old, changes);
        }
        let same = before.next_if(|(old, _)| old == name).map(|(_, node)| node);
        push_name(key, name);
        compare_nodes(same, node, key, changes);
        key.truncate(length);
    }
    for (old, _) in before {
        gone(key, old, changes);
    }
}

/// Clears what is below a key by steps of these first bytes.
fn clear(changes: &mut Changes, key: &[u8], from: u8, to: u8) {
    let bound = |last: u8| key.iter().copied().chain([last]).collect();
    changes.cleared.push((bound(from), bound(to)));
}

fn push_name(key: &mut Vec<u8>, name: &str) {
    key.push(MEMBER);
    key.extend_from_slice(name.as_bytes());
    key.push(END);
}

pub(super) fn read_path(mut key: &[u8]) -> StorageResult<Vec<ShapeStep>> {
    let corrupted = || StorageError::corrupted("known path");
    let mut steps = Vec::new();
    while let Some((tag, rest)) = key.split_first() {
        key = rest;
        steps.push(match *tag {
            ANY_MEMBER => ShapeStep::AnyMember,
            ANY_ELEMENT => ShapeStep::AnyElement,
            MEMBER => {
                let end = key.iter().position(|byte| *byte == END).ok_or_else(corrupted)?;
                let name = std::str::from_utf8(&key[..end]).map_err(|_| corrupted())?;
                key = &key[end + 1..];
                ShapeStep::Member(name.into())
            }
            _ => return Err(corrupted()),
        });
    }
    Ok(steps)
}
