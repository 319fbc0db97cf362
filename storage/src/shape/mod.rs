//! Shape: which paths the documents of one column have, and of which JSON types their values are (DESIGN C7).
//!
//! ```text
//!   {"id": 1, "items": [{"qty": 2}, {"qty": null}]}          $                object
//!                                                            $.id             number
//!   array positions are one step                             $.items          array
//!                                                            $.items[*]       object
//!                                                            $.items[*].qty   null, number
//! ```
//! A shape is a trie that only grows: [`Shape::learn`] adds what a document shows, [`Shape::merge`] what another shape
//! knows. It is shared freely: nodes are reference-counted and a change copies the nodes on its way, so that readers keep
//! the shape they have, and [`Shape::changes_from`] finds what to write down by looking only where two shapes differ.
//!
//! Invariants
//!  S1  Merging is commutative, associative and idempotent as long as no place has to become opaque, and learning a document
//!      is merging the shape of it.
//!  S2  Whatever is learned, what was learned before stays covered: by its own path, by `{*}` above it, or by an opaque place above it.
//!  S3  A shape is bounded whatever the documents are: [`PATHS_MAX`] paths of at most [`STEPS_MAX`] steps and
//!      [`PATH_BYTES_MAX`] bytes.
//!
//! What bounds it: an object with more than [`MEMBERS_MAX`] different members, or with a member name that is too long to be
//! a name, is a map whose keys are data; its members become the one step `{*}`. Where there is no room for another path the
//! place that would get it becomes *opaque*: it may have anything below it, known or not, and what it has is not learned any
//! more. Which place that is depends on the order of the documents; everything else does not.
//!
//! A place that has no types is one that somebody has locked, and that no committed document was seen to have.

mod codec;
mod cover;
mod learn;
mod print;

use std::sync::Arc;

pub use codec::Changes;
pub use print::path_text;

use crate::JsonKind;

/// Most different members of one object; with more of them it is a map.
pub const MEMBERS_MAX: usize = 256;
/// Most paths of a column.
pub const PATHS_MAX: usize = 10_000;
/// Most steps of a path; deeper places are not told apart.
pub const STEPS_MAX: usize = 64;
/// Longest member name that is a name and not data.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest path in its stored form.
pub const PATH_BYTES_MAX: usize = 1024;

/// A set of JSON types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types(u8);

/// One step from a place of a shape to the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShapeStep {
    /// A member of an object.
    Member(Arc<str>),
    /// Any member of a map.
    AnyMember,
    /// Any element of an array.
    AnyElement,
}

/// The paths of one column.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    root: Arc<Node>,
    /// Places below the root.
    count: usize,
}

/// One place, and what is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    types: Types,
    is_opaque: bool,
    members: Members,
    elements: Option<Arc<Node>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Members {
    /// By name, in the order of jsonb (length, then bytes), so that a document's members are met in step.
    Named(Vec<(Arc<str>, Arc<Node>)>),
    /// Of a map.
    Any(Arc<Node>),
}

impl Default for Members {
    fn default() -> Members {
        Members::Named(Vec::new())
    }
}

impl Types {
    const KINDS: [JsonKind; 6] = [
        JsonKind::Array,
        JsonKind::Bool,
        JsonKind::Null,
        JsonKind::Number,
        JsonKind::Object,
        JsonKind::String,
    ];

    fn of(kind: JsonKind) -> Types {
        Types(match kind {
            JsonKind::Array => 1,
            JsonKind::Bool => 2,
            JsonKind::Null => 4,
            JsonKind::Number => 8,
            JsonKind::Object => 16,
            JsonKind::String => 32,
        })
    }

    /// Whether a type is in the set.
    pub fn contains(self, kind: JsonKind) -> bool {
        self.0 & Types::of(kind).0 != 0
    }

    /// Whether the set has no types.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Names of the types as `jsonb_typeof` gives them, in their order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Types::KINDS
            .into_iter()
            .filter(move |kind| self.contains(*kind))
            .map(JsonKind::name)
    }

    fn insert(&mut self, kind: JsonKind) {
        self.0 |= Types::of(kind).0;
    }

    fn add(&mut self, other: Types) {
        self.0 |= other.0;
    }
}

impl Shape {
    /// The place of the column's value as a whole.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Number of paths.
    pub fn path_count(&self) -> usize {
        self.count
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self.root == Node::default()
    }

    /// Every place with the steps to it, a place before those below it.
    pub fn for_each(&self, visit: &mut dyn FnMut(&[ShapeStep], &Node)) {
        self.root.walk(&mut Vec::new(), visit);
    }

    /// Counts anew what `count` says, and looks at the order of names.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_invariants(&self) -> Result<(), String> {
        let counted = self.root.below();
        if counted != self.count {
            return Err(format!("{} paths, not {}", counted, self.count));
        }
        if counted > PATHS_MAX {
            return Err(format!("{counted} paths are too many"));
        }
        let mut wrong = None;
        self.for_each(&mut |steps, node| {
            if let Members::Named(named) = &node.members {
                let in_order = named
                    .windows(2)
                    .all(|pair| codec::compare(&pair[0].0, &pair[1].0).is_lt());
                if !in_order || named.len() > MEMBERS_MAX {
                    wrong = Some(format!("members of {} are not in order", path_text(steps)));
                }
            }
            if steps.len() > STEPS_MAX {
                wrong = Some(format!("{} is too deep", path_text(steps)));
            }
        });
        wrong.map_or(Ok(()), Err)
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Shape) -> bool {
        self.root == other.root
    }
}

impl Node {
    /// Types of the values seen here.
    pub fn types(&self) -> Types {
        self.types
    }

    /// Whether anything may be below this place.
    pub fn is_opaque(&self) -> bool {
        self.is_opaque
    }

    /// Whether a committed document was seen to have this place.
    pub fn is_seen(&self) -> bool {
        !self.types.is_empty()
    }

    /// Members told apart by name.
    pub fn named_members(&self) -> impl Iterator<Item = (&str, &Node)> {
        let named = match &self.members {
            Members::Named(named) => named.as_slice(),
            Members::Any(_) => &[],
        };
        named.iter().map(|(name, node)| (&**name, &**node))
    }

    /// The place one step below.
    pub fn child(&self, step: &ShapeStep) -> Option<&Node> {
        match (step, &self.members) {
            (ShapeStep::AnyElement, _) => self.elements.as_deref(),
            (ShapeStep::AnyMember, Members::Any(any)) => Some(any),
            (ShapeStep::AnyMember, Members::Named(_)) => None,
            (ShapeStep::Member(name), _) => self.member(name),
        }
    }

    /// The place of a member: its own, or that of any member.
    fn member(&self, name: &str) -> Option<&Node> {
        match &self.members {
            Members::Any(any) => Some(any),
            Members::Named(named) => {
                let at = named.binary_search_by(|(known, _)| codec::compare(known, name)).ok()?;
                Some(&named[at].1)
            }
        }
    }

    /// Number of places below.
    fn below(&self) -> usize {
        let one = |node: &Arc<Node>| 1 + node.below();
        let members = match &self.members {
            Members::Named(named) => named.iter().map(|(_, node)| one(node)).sum(),
            Members::Any(any) => one(any),
        };
        members + self.elements.as_ref().map_or(0, one)
    }

    fn walk(&self, steps: &mut Vec<ShapeStep>, visit: &mut dyn FnMut(&[ShapeStep], &Node)) {
        visit(steps, self);
        let mut below = |step: ShapeStep, node: &Node| {
            steps.push(step);
            node.walk(steps, visit);
            steps.pop();
        };
        match &self.members {
            Members::Named(named) => named
                .iter()
                .for_each(|(name, node)| below(ShapeStep::Member(name.clone()), node)),
            Members::Any(any) => below(ShapeStep::AnyMember, any),
        }
        if let Some(elements) = &self.elements {
            below(ShapeStep::AnyElement, elements);
        }
    }
}

#[cfg(test)]
mod tests;
