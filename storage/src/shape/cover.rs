//! Covering: whether a shape knows a document or a path already. This is what every statement asks, so it copies nothing.

use super::learn::seek;
use super::{Members, Node, Shape, ShapeStep};
use crate::{JsonKind, JsonRef, Step};

impl Shape {
    /// Whether learning a document would change nothing.
    pub fn covers(&self, document: JsonRef<'_>) -> bool {
        self.root.covers(document)
    }

    /// Whether learning the value at a path would change nothing; without a value, whether there is such a path.
    pub fn covers_at(&self, steps: &[Step], value: Option<JsonRef<'_>>) -> bool {
        match self.root.at(steps) {
            Found::Place(node) => value.is_none_or(|value| node.covers(value)),
            Found::Opaque => true,
            Found::Nothing => false,
        }
    }

    /// The first path of a value, itself at `steps`, that no committed document was seen to have.
    pub fn first_unknown(&self, steps: &[Step], value: JsonRef<'_>) -> Option<Vec<ShapeStep>> {
        let mut path = Vec::new();
        let mut node = &*self.root;
        for step in steps {
            if node.is_opaque {
                return None;
            }
            let (below, next) = node.step(step);
            path.push(below);
            match next.filter(|next| next.is_seen()) {
                Some(next) => node = next,
                None => return Some(path),
            }
        }
        node.find_unknown(value, &mut path).then_some(path)
    }
}

/// Where a path leads.
enum Found<'a> {
    Place(&'a Node),
    /// Into a place that may have anything below it.
    Opaque,
    Nothing,
}

impl Node {
    fn covers(&self, value: JsonRef<'_>) -> bool {
        let kind = value.kind();
        if !self.types.contains(kind) {
            return false;
        }
        if self.is_opaque {
            return true;
        }
        match kind {
            JsonKind::Object => self.covers_members(value),
            JsonKind::Array => match &self.elements {
                Some(elements) => value.elements().all(|element| elements.covers(element)),
                None => value.is_empty(),
            },
            JsonKind::Null | JsonKind::Bool | JsonKind::Number | JsonKind::String => true,
        }
    }

    fn covers_members(&self, value: JsonRef<'_>) -> bool {
        let named = match &self.members {
            Members::Any(any) => {
                return (0..value.len()).all(|at| value.member(at).is_none_or(|(_, child)| any.covers(child)));
            }
            Members::Named(named) => named,
        };
        let mut from = 0;
        for at in 0..value.len() {
            let Some((name, child)) = value.member(at) else {
                continue;
            };
            match seek(named, from, name) {
                Ok(found) => {
                    if !named[found].1.covers(child) {
                        return false;
                    }
                    from = found + 1;
                }
                Err(_) => return false,
            }
        }
        true
    }

    fn at(&self, steps: &[Step]) -> Found<'_> {
        let mut node = self;
        for step in steps {
            if node.is_opaque {
                return Found::Opaque;
            }
            match node.step(step).1 {
                Some(next) => node = next,
                None => return Found::Nothing,
            }
        }
        Found::Place(node)
    }

    /// One step down. Digits as a name mean a member where one is known, otherwise an element where those are.
    pub(super) fn step(&self, step: &Step) -> (ShapeStep, Option<&Node>) {
        let elements = self.elements.as_deref();
        match step {
            Step::Element(_) => (ShapeStep::AnyElement, elements),
            Step::Member(name) => match (self.member(name), step.element().and(elements)) {
                (None, Some(elements)) => (ShapeStep::AnyElement, Some(elements)),
                (member, _) => (ShapeStep::Member(name.clone()), member),
            },
        }
    }

    /// Goes to the first place of a value that is not known; `path` leads there.
    fn find_unknown(&self, value: JsonRef<'_>, path: &mut Vec<ShapeStep>) -> bool {
        if self.is_opaque {
            return false;
        }
        let mut below = |step: ShapeStep, known: Option<&Node>, child: JsonRef<'_>| {
            path.push(step);
            let is_unknown = match known.filter(|known| known.is_seen()) {
                Some(known) => known.find_unknown(child, path),
                None => true,
            };
            if !is_unknown {
                path.pop();
            }
            is_unknown
        };
        match value.kind() {
            JsonKind::Object => value
                .members()
                .any(|(name, child)| below(ShapeStep::Member(name.into()), self.member(name), child)),
            JsonKind::Array => {
                let elements = self.elements.as_deref();
                value
                    .elements()
                    .any(|child| below(ShapeStep::AnyElement, elements, child))
            }
            JsonKind::Null | JsonKind::Bool | JsonKind::Number | JsonKind::String => false,
        }
    }
}
