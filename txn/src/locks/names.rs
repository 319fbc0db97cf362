//! Names: from a lock's name to its steps in the tree, and back.

use bytes::Bytes;
use smallvec::SmallVec;
use storage::{Path, Step};

use super::interval;
use super::mode::ModeSet;
use super::tree::{Kind, NodeId, ROOT, Segment, SegmentKey, StepKey, Tree};
use crate::{LockName, RowPart};

/// Steps of a name, the table first.
pub(super) type Segments<'a> = SmallVec<[Segment<'a>; 10]>;

/// Deeper paths are locked at this depth: a coarser lock is always right, an unbounded tree is not.
pub(super) const PATH_STEPS_MAX: usize = 64;

/// Whether a name is deeper than the tree keeps apart, so that its lock covers its siblings too.
pub(super) fn is_truncated(name: &LockName) -> bool {
    match name {
        LockName::Row {
            part: RowPart::Path(path),
            ..
        }
        | LockName::PathClass { path, .. } => path.steps.len() > PATH_STEPS_MAX,
        _ => false,
    }
}

/// The steps of a name.
pub(super) fn segments(name: &LockName) -> Segments<'_> {
    let mut segments = Segments::new();
    segments.push(number(Kind::Table, name.table()));
    match name {
        LockName::Table(_) => {}
        LockName::Row { key, part, .. } => {
            segments.push(borrowed(Kind::Row, key));
            match part {
                RowPart::Row => {}
                RowPart::Identity => segments.push(borrowed(Kind::Identity, &[])),
                RowPart::Data => segments.push(borrowed(Kind::Data, &[])),
                RowPart::Path(path) => {
                    segments.push(borrowed(Kind::Data, &[]));
                    push_path(&mut segments, path, Kind::Column, Kind::Member);
                }
            }
        }
        LockName::IndexValue { index, value, row, .. } => {
            segments.push(number(Kind::Index, *index));
            segments.push(borrowed(Kind::Value, value));
            if let Some(row) = row {
                segments.push(borrowed(Kind::Entry, row));
            }
        }
        LockName::IndexInterval { index, from, to, .. } => {
            segments.push(number(Kind::Index, *index));
            let key = SegmentKey::Built(interval::encode(from, to.as_deref()));
            segments.push(Segment {
                kind: Kind::Interval,
                key,
            });
        }
        LockName::PathClass { path, .. } => {
            segments.push(borrowed(Kind::Class, &[]));
            push_path(&mut segments, path, Kind::ClassColumn, Kind::ClassMember);
        }
        LockName::RowSet { .. } => segments.push(borrowed(Kind::RowSet, &[])),
    }
    segments
}

fn borrowed(kind: Kind, key: &[u8]) -> Segment<'_> {
    Segment {
        kind,
        key: SegmentKey::Borrowed(key),
    }
}

fn number(kind: Kind, number: u32) -> Segment<'static> {
    Segment {
        kind,
        key: SegmentKey::Built(StepKey::from_slice(&number.to_be_bytes())),
    }
}

fn push_path<'a>(segments: &mut Segments<'a>, path: &'a Path, column: Kind, member: Kind) {
    let key = SegmentKey::Built(StepKey::from_slice(&path.column.to_be_bytes()));
    segments.push(Segment { kind: column, key });
    for step in path.steps.iter().take(PATH_STEPS_MAX) {
        segments.push(match step {
            Step::Member(name) => borrowed(member, name.as_bytes()),
            // A digit step is one lock name for member and element (DESIGN L3).
            Step::Element(position) => {
                let digits = position.to_string();
                Segment {
                    kind: member,
                    key: SegmentKey::Built(StepKey::from_slice(digits.as_bytes())),
                }
            }
        });
    }
}

/// The step that leads to the class of a row's node.
pub(super) fn class_step(kind: Kind, key: &StepKey) -> Option<Segment<'static>> {
    let kind = match kind {
        Kind::Column => Kind::ClassColumn,
        Kind::Member => Kind::ClassMember,
        _ => return None,
    };
    Some(Segment {
        kind,
        key: SegmentKey::Built(key.clone()),
    })
}

/// `table/*`
pub(super) const CLASS: Segment<'static> = Segment {
    kind: Kind::Class,
    key: SegmentKey::Borrowed(&[]),
};
/// `#data`
pub(super) const DATA: Segment<'static> = Segment {
    kind: Kind::Data,
    key: SegmentKey::Borrowed(&[]),
};

impl Tree {
    /// The name of a node. An index, a path class root and the shard have none of their own: the nearest thing that
    /// contains them is named.
    pub(super) fn name(&self, node: NodeId) -> LockName {
        let steps = self.steps_below(node, ROOT);
        let key = |at: usize| Bytes::copy_from_slice(&self[steps[at]].key);
        let number = |at: usize| read_u32(&self[steps[at]].key);
        let table = if steps.is_empty() { 0 } else { number(0) };
        let kind = |at: usize| steps.get(at).map(|&step| self[step].kind);
        match kind(1) {
            Some(Kind::Row) => {
                let part = match (kind(2), kind(3)) {
                    (Some(Kind::Identity), _) => RowPart::Identity,
                    (Some(Kind::Data), Some(_)) => RowPart::Path(self.path(&steps[3..])),
                    (Some(Kind::Data), None) => RowPart::Data,
                    _ => RowPart::Row,
                };
                LockName::Row {
                    table,
                    key: key(1),
                    part,
                }
            }
            Some(Kind::Index) => match kind(2) {
                Some(Kind::Value) => {
                    let row = kind(3).map(|_| key(3));
                    // Whether an index is global decides the shard, not the lock: reports do not say.
                    LockName::IndexValue {
                        table,
                        index: number(1),
                        global: false,
                        value: key(2),
                        row,
                    }
                }
                Some(_) => {
                    let (from, to) = interval::decode(&self[steps[2]].key);
                    let (from, to) = (Bytes::copy_from_slice(from), to.map(Bytes::copy_from_slice));
                    LockName::IndexInterval {
                        table,
                        index: number(1),
                        global: false,
                        from,
                        to,
                    }
                }
                None => LockName::IndexInterval {
                    table,
                    index: number(1),
                    global: false,
                    from: Bytes::new(),
                    to: None,
                },
            },
            Some(Kind::Class) if kind(2).is_some() => LockName::PathClass {
                table,
                path: self.path(&steps[2..]),
            },
            Some(Kind::RowSet) => LockName::RowSet { table, row: None },
            _ => LockName::Table(table),
        }
    }

    /// The lock folded at a node, and its modes.
    pub(super) fn folded_lock(&self, node: NodeId) -> Option<(LockName, ModeSet)> {
        let folded = self.folded(node)?;
        let LockName::Row { table, key, .. } = self.name(node) else {
            return None;
        };
        let part = part_of(folded.segments());
        Some((LockName::Row { table, key, part }, folded.modes))
    }

    fn path(&self, steps: &[NodeId]) -> Path {
        let member = |&step: &NodeId| Step::Member(String::from_utf8_lossy(&self[step].key).into());
        let column = self[steps[0]]
            .key
            .as_slice()
            .try_into()
            .map(u16::from_be_bytes)
            .unwrap_or_default();
        Path {
            column,
            steps: steps[1..].iter().map(member).collect(),
        }
    }
}

/// The part of a row that steps below it lead to, `#data` first.
pub(super) fn part_of<'a>(segments: impl Iterator<Item = Segment<'a>>) -> RowPart {
    let mut segments = segments.skip(1);
    let Some(column) = segments.next() else {
        return RowPart::Data;
    };
    let column = column.key().try_into().map(u16::from_be_bytes).unwrap_or_default();
    let member = |segment: Segment<'_>| Step::Member(String::from_utf8_lossy(segment.key()).into());
    let steps = segments.map(member).collect();
    RowPart::Path(Path { column, steps })
}

fn read_u32(key: &[u8]) -> u32 {
    key.try_into().map(u32::from_be_bytes).unwrap_or_default()
}
