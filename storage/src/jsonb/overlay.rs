//! Overlay: a document with changes laid over it, opened only where they are, and written once.
//!
//! ```text
//!   stored root ──opened──► object ── "a"  stored (copied as it is)
//!                             └─ "items"   ──opened──► array ── 0 stored
//!                                                        └──── 1 changed
//! ```
//! A chain of a thousand small changes to a large document costs the containers on their paths, and one copy of the rest.

use std::borrow::Cow;

use super::builder::write_number;
use super::view::compare_keys;
use super::{JsonBuilder, JsonError, JsonRef, Jsonb};
use crate::path::Part;
use crate::{Numeric, NumericError, Step};

/// A document with changes laid over it. Nesting is bounded by the steps of the paths that opened it.
pub struct Overlay<'a> {
    root: Node<'a>,
    changed: bool,
    size: usize,
}

enum Node<'a> {
    Stored(JsonRef<'a>),
    /// A scalar that was computed.
    Owned(Jsonb),
    /// Members sorted as stored (J1).
    Object(Vec<(Cow<'a, [u8]>, Node<'a>)>),
    Array(Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    /// Opens a stored container, so that a child can be changed.
    fn open(&mut self) {
        if let Node::Stored(value) = self {
            let value = *value;
            if value.is_object() {
                let member = |index| {
                    value
                        .member(index)
                        .map(|(key, part)| (Cow::Borrowed(key), Node::Stored(part)))
                };
                *self = Node::Object((0..value.len()).filter_map(member).collect());
            } else if value.is_array() {
                *self = Node::Array(value.elements().map(Node::Stored).collect());
            }
        }
    }

    /// The child a step leads to.
    fn child(&mut self, step: &Step) -> Option<&mut Node<'a>> {
        self.open();
        match self {
            Node::Object(members) => {
                let found = find(members, &step.to_string()).ok()?;
                Some(&mut members[found].1)
            }
            Node::Array(elements) => elements.get_mut(step.element()? as usize),
            Node::Stored(_) | Node::Owned(_) => None,
        }
    }

    fn write(&self, builder: &mut JsonBuilder) {
        match self {
            Node::Stored(value) => builder.value(*value),
            Node::Owned(value) => builder.value(value.view()),
            Node::Object(members) => {
                builder.begin_object();
                for (key, value) in members {
                    builder.key_bytes(key);
                    value.write(builder);
                }
                builder.end();
            }
            Node::Array(elements) => {
                builder.begin_array();
                elements.iter().for_each(|element| element.write(builder));
                builder.end();
            }
        }
    }
}

impl<'a> Node<'a> {
    /// Writes what is wanted; what lies beside it is left out of objects and null in arrays.
    fn write_part(&self, part: &Part, builder: &mut JsonBuilder) {
        match self {
            _ if part.is_whole => self.write(builder),
            Node::Stored(value) if value.is_object() => {
                builder.begin_object();
                for (name, part) in &part.children {
                    if let Some(value) = value.get(name) {
                        builder.key(name);
                        Node::Stored(value).write_part(part, builder);
                    }
                }
                builder.end();
            }
            Node::Object(members) => {
                builder.begin_object();
                for (name, part) in &part.children {
                    if let Ok(found) = find(members, name) {
                        builder.key(name);
                        members[found].1.write_part(part, builder);
                    }
                }
                builder.end();
            }
            Node::Stored(value) if value.is_array() && part.fits_array(value.len()) => {
                builder.begin_array();
                for (at, element) in value.elements().enumerate() {
                    match part.child(at) {
                        Some(part) => Node::Stored(element).write_part(part, builder),
                        None => builder.null(),
                    }
                }
                builder.end();
            }
            Node::Array(elements) if part.fits_array(elements.len()) => {
                builder.begin_array();
                for (at, element) in elements.iter().enumerate() {
                    match part.child(at) {
                        Some(part) => element.write_part(part, builder),
                        None => builder.null(),
                    }
                }
                builder.end();
            }
            Node::Stored(_) | Node::Owned(_) | Node::Array(_) => self.write(builder),
        }
    }
}

fn find(members: &[(Cow<'_, [u8]>, Node<'_>)], key: &str) -> Result<usize, usize> {
    members.binary_search_by(|(member, _)| compare_keys(member, key.as_bytes()))
}

impl<'a> Overlay<'a> {
    /// Nothing changed yet.
    pub fn new(document: JsonRef<'a>) -> Self {
        Self {
            root: Node::Stored(document),
            changed: false,
            size: document.as_bytes().len(),
        }
    }

    /// Replaces or adds the value at a path. A missing parent is created as an object, or makes this a no-op.
    pub fn set(&mut self, steps: &[Step], value: JsonRef<'a>, create_parents: bool) {
        let mut node = &mut self.root;
        for (index, step) in steps.iter().enumerate() {
            let last = index + 1 == steps.len();
            node.open();
            node = match node {
                Node::Object(members) => {
                    let name = step.to_string();
                    let at = match find(members, &name) {
                        Ok(found) => found,
                        Err(at) if last || create_parents => {
                            let created = if last {
                                Node::Stored(value)
                            } else {
                                Node::Object(Vec::new())
                            };
                            members.insert(at, (Cow::Owned(name.into_bytes()), created));
                            at
                        }
                        Err(_) => return,
                    };
                    &mut members[at].1
                }
                Node::Array(elements) => match step.element().and_then(|at| elements.get_mut(at as usize)) {
                    Some(element) => element,
                    None => return,
                },
                Node::Stored(_) | Node::Owned(_) => return,
            };
        }
        *node = Node::Stored(value);
        self.note(value.as_bytes().len());
    }

    /// Removes the member or element at a path, if it is there.
    pub fn remove(&mut self, steps: &[Step]) {
        let Some((last, parents)) = steps.split_last() else {
            return;
        };
        let Some(parent) = self.node(parents) else { return };
        parent.open();
        match parent {
            Node::Object(members) => {
                if let Ok(found) = find(members, &last.to_string()) {
                    members.remove(found);
                    self.note(0);
                }
            }
            Node::Array(elements) => {
                if let Some(at) = last.element().map(|at| at as usize).filter(|at| *at < elements.len()) {
                    elements.remove(at);
                    self.note(0);
                }
            }
            Node::Stored(_) | Node::Owned(_) => {}
        }
    }

    /// Inserts before an array position, or at the end; beyond the end, or elsewhere than in an array, it does nothing.
    pub fn insert(&mut self, steps: &[Step], value: JsonRef<'a>) {
        let Some((last, parents)) = steps.split_last() else {
            return;
        };
        let Some(parent) = self.node(parents) else { return };
        parent.open();
        if let (Node::Array(elements), Some(at)) = (parent, last.element())
            && at as usize <= elements.len()
        {
            elements.insert(at as usize, Node::Stored(value));
            self.note(value.as_bytes().len());
        }
    }

    /// Adds to the number at a path, if there is one.
    ///
    /// # Errors
    /// [`NumericError::Overflow`]
    pub fn add(&mut self, steps: &[Step], by: &Numeric) -> Result<(), NumericError> {
        let Some(node) = self.node(steps) else { return Ok(()) };
        let number = match node {
            Node::Stored(value) => value.as_number(),
            Node::Owned(value) => value.view().as_number(),
            Node::Object(_) | Node::Array(_) => None,
        };
        if let Some(number) = number {
            let mut out = Vec::new();
            write_number(&mut out, &number.add(by)?);
            *node = Node::Owned(Jsonb::from_trusted_bytes(out.into()));
            self.note(16);
        }
        Ok(())
    }

    /// The changed document; `None` if nothing changed.
    ///
    /// # Errors
    /// [`JsonError`] of kind `Size`.
    pub fn finish(self) -> Result<Option<Jsonb>, JsonError> {
        if !self.changed {
            return Ok(None);
        }
        let mut builder = JsonBuilder::with_capacity(self.size + 64);
        self.root.write(&mut builder);
        builder.finish().map(Some)
    }

    /// The parts that are wanted of the changed document (see [`Parts`](crate::path::Parts)).
    ///
    /// # Errors
    /// [`JsonError`] of kind `Size`.
    pub(crate) fn finish_part(self, part: &Part) -> Result<Jsonb, JsonError> {
        let mut builder = JsonBuilder::new();
        self.root.write_part(part, &mut builder);
        builder.finish()
    }

    fn node(&mut self, steps: &[Step]) -> Option<&mut Node<'a>> {
        steps.iter().try_fold(&mut self.root, |node, step| node.child(step))
    }

    fn note(&mut self, grown: usize) {
        self.changed = true;
        self.size += grown;
    }
}
