//! Learning: a shape grows by a document, by a path, by another shape.
//!
//! Everything here goes down at most [`STEPS_MAX`] steps, so recursion is bounded whatever a document is.

use std::sync::Arc;

use super::{MEMBERS_MAX, Members, NAME_BYTES_MAX, Node, PATH_BYTES_MAX, PATHS_MAX, STEPS_MAX, Shape, ShapeStep};
use crate::jsonb::compare_keys;
use crate::{JsonKind, JsonRef, Step};

/// Room for paths, and how far down the place at hand is.
struct Room {
    /// Paths that may still be added.
    left: usize,
    steps: usize,
    bytes: usize,
}

impl Shape {
    /// Learns what a document shows.
    pub fn learn(&mut self, document: JsonRef<'_>) {
        self.change(|root, room| root.learn(document, room));
    }

    /// Learns the value at a path of documents; without a value, only that there is such a path.
    pub fn learn_at(&mut self, steps: &[Step], value: Option<JsonRef<'_>>) {
        self.change(|root, room| root.learn_at(steps, value, room));
    }

    /// Learns what another shape knows.
    pub fn merge(&mut self, other: &Shape) {
        if Arc::ptr_eq(&self.root, &other.root) {
            return;
        }
        self.change(|root, room| root.merge(&other.root, room));
    }

    fn change(&mut self, change: impl FnOnce(&mut Node, &mut Room)) {
        let mut room = Room {
            left: PATHS_MAX.saturating_sub(self.count),
            steps: 0,
            bytes: 0,
        };
        let before = room.left;
        change(Arc::make_mut(&mut self.root), &mut room);
        self.count = self.count + before - room.left;
    }
}

impl Room {
    /// Goes one step down; `None` where no path may be longer.
    fn below<T>(&mut self, name: Option<&str>, visit: impl FnOnce(&mut Room) -> T) -> Option<T> {
        // In the stored form a name has a tag and an end, any other step is one byte.
        let bytes = name.map_or(1, |name| name.len() + 2);
        if self.steps == STEPS_MAX || self.bytes + bytes > PATH_BYTES_MAX {
            return None;
        }
        self.steps += 1;
        self.bytes += bytes;
        let result = visit(self);
        self.steps -= 1;
        self.bytes -= bytes;
        Some(result)
    }
}

impl Node {
    fn learn(&mut self, value: JsonRef<'_>, room: &mut Room) {
        let kind = value.kind();
        self.types.insert(kind);
        if self.is_opaque {
            return;
        }
        match kind {
            JsonKind::Object => self.learn_members(value, room),
            JsonKind::Array => {
                for element in value.elements() {
                    if !self.with_elements(room, |elements, room| elements.learn(element, room)) {
                        return;
                    }
                }
            }
            JsonKind::Null | JsonKind::Bool | JsonKind::Number | JsonKind::String => {}
        }
    }

    fn learn_members(&mut self, value: JsonRef<'_>, room: &mut Room) {
        if value.len() > MEMBERS_MAX {
            self.become_map(room);
        }
        let mut from = 0;
        for (name, child) in value.members() {
            if self.is_opaque {
                return;
            }
            self.with_member(name, &mut from, room, |node, room| node.learn(child, room));
        }
    }

    /// Changes the place of a member, made if there is room for it. `from` is where the search begins: members come in order.
    fn with_member(
        &mut self,
        name: &str,
        from: &mut usize,
        room: &mut Room,
        change: impl FnOnce(&mut Node, &mut Room),
    ) {
        if name.len() > NAME_BYTES_MAX {
            self.become_map(room);
        }
        if let Members::Named(named) = &self.members
            && named.len() >= MEMBERS_MAX
            && seek(named, *from, name.as_bytes()).is_err()
        {
            self.become_map(room);
        }
        let (place, name) = match &mut self.members {
            Members::Any(any) => (any, None),
            Members::Named(named) => {
                let at = match seek(named, *from, name.as_bytes()) {
                    Ok(at) => at,
                    Err(_) if room.left == 0 || room.below(Some(name), |_| ()).is_none() => {
                        self.is_opaque = true;
                        return;
                    }
                    Err(at) => {
                        room.left -= 1;
                        named.insert(at, (name.into(), Arc::default()));
                        at
                    }
                };
                *from = at + 1;
                (&mut named[at].1, Some(name))
            }
        };
        room.below(name, |room| change(Arc::make_mut(place), room));
    }

    /// Changes the place of elements, made if there is room for it; `false` if there is none.
    fn with_elements(&mut self, room: &mut Room, change: impl FnOnce(&mut Node, &mut Room)) -> bool {
        if self.elements.is_none() {
            if room.left == 0 || room.below(None, |_| ()).is_none() {
                self.is_opaque = true;
                return false;
            }
            room.left -= 1;
        }
        let place = self.elements.get_or_insert_default();
        room.below(None, |room| change(Arc::make_mut(place), room));
        true
    }

    /// Makes members told apart by name one `{*}`. That needs no more room than they had, nor longer paths.
    fn become_map(&mut self, room: &mut Room) {
        let Members::Named(named) = &mut self.members else {
            return;
        };
        if named.is_empty() && (room.left == 0 || room.below(None, |_| ()).is_none()) {
            self.is_opaque = true;
            return;
        }
        let named = std::mem::take(named);
        room.left += named.iter().map(|(_, node)| 1 + node.below()).sum::<usize>();
        room.left -= 1;
        let mut any = Node::default();
        room.below(None, |room| {
            for (_, node) in &named {
                any.merge(node, room);
            }
        });
        self.members = Members::Any(Arc::new(any));
    }

    fn merge(&mut self, other: &Node, room: &mut Room) {
        self.types.add(other.types);
        self.is_opaque |= other.is_opaque;
        if let Some(elements) = &other.elements {
            self.with_elements(room, |own, room| own.merge(elements, room));
        }
        match &other.members {
            Members::Any(any) => {
                self.become_map(room);
                if let Members::Any(own) = &mut self.members {
                    room.below(None, |room| Arc::make_mut(own).merge(any, room));
                }
            }
            Members::Named(named) => {
                let mut from = 0;
                for (name, node) in named {
                    self.with_member(name, &mut from, room, |own, room| own.merge(node, room));
                }
            }
        }
    }

    fn learn_at(&mut self, steps: &[Step], value: Option<JsonRef<'_>>, room: &mut Room) {
        let Some((step, rest)) = steps.split_first() else {
            if let Some(value) = value {
                self.learn(value, room);
            }
            return;
        };
        if self.is_opaque {
            return;
        }
        let (below, _) = self.step(step);
        if value.is_some() {
            let is_element = matches!(below, ShapeStep::AnyElement);
            self.types
                .insert(if is_element { JsonKind::Array } else { JsonKind::Object });
        }
        match below {
            ShapeStep::Member(name) => {
                self.with_member(&name, &mut 0, room, |member, room| member.learn_at(rest, value, room));
            }
            ShapeStep::AnyElement | ShapeStep::AnyMember => {
                self.with_elements(room, |elements, room| elements.learn_at(rest, value, room));
            }
        }
    }
}

/// Place of a name among names in order from a position on: nearly always the one at that position.
pub(super) fn seek(named: &[(Arc<str>, Arc<Node>)], from: usize, name: &[u8]) -> Result<usize, usize> {
    let from = from.min(named.len());
    if let Some((known, _)) = named.get(from)
        && known.as_bytes() == name
    {
        return Ok(from);
    }
    let found = named[from..].binary_search_by(|(known, _)| compare_keys(known.as_bytes(), name));
    found.map(|at| from + at).map_err(|at| from + at)
}
