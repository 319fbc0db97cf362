//! Paths into a row, and the operations that change one path.
//!
//! ```text
//!   row ── column 2 ── "items" ── 0 ── "qty"        a Path: column, then steps into its JSON value
//!                         └── Set, Remove, Insert, Add: a PathOp does one thing at one path
//! ```
//! An operation is what a version stores instead of a document (`Version::Delta`), and what a path lock is taken for: two
//! operations that commute need no order between them.
//!
//! Invariants
//!  P1  Operations commute when their footprints do not overlap, or when both add at the same path. (A footprint is the path,
//!      or the array around it where an operation moves elements.) The property test `law` holds it, and shows that the
//!      other direction fails for some document.
//!  P2  Applying an operation never fails for the shape of the document: where its path leads nowhere it does nothing, so
//!      that every replica and every reader folds alike.
//!  P3  A step made of digits is one name whether it addresses a member or an element (`Member("3")` is `Element(3)`).

mod apply;
mod codec;
mod overlap;
mod parts;

use std::sync::Arc;

pub(crate) use apply::take_parts;
pub use apply::{apply, apply_all};
pub(crate) use codec::decode_operations_where;
pub use codec::{decode_operations, encode_operations, read_path, write_path};
pub use overlap::overlaps;
pub use parts::Parts;
pub(crate) use parts::{Part, StepRef};

use crate::{Datum, Jsonb, Numeric};

/// Most steps of a path. Deeper places are locked and changed through their ancestor at this depth.
pub const STEPS_MAX: usize = 256;

/// One step into a JSON value. A text path element made of digits addresses a member of an object or an element of an
/// array, whichever the value turns out to be; it is one lock name (`Member("3")` and `Element(3)` are the same name).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Step {
    /// Member of an object, or an element if the name is a number and the value an array.
    Member(Arc<str>),
    /// Element of an array counted from zero. Negative and past-the-end positions never become a step (DESIGN L3).
    Element(u32),
}

/// A place in a row: a column (attnum - 1) and the steps into its JSON value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Path {
    /// Position of the column in its row (attnum - 1).
    pub column: u16,
    /// Steps from the column's value downwards; empty for the whole column.
    pub steps: Vec<Step>,
}

/// A change to one path of a row. Two operations commute exactly when their paths do not overlap, or both add.
#[derive(Clone, Debug)]
pub struct PathOp {
    /// Where.
    pub path: Path,
    /// What.
    pub action: Action,
}

/// What a [`PathOp`] does at its path.
#[derive(Clone, Debug)]
pub enum Action {
    /// Replaces the whole column (the path has no steps).
    SetColumn(Datum),
    /// Sets the JSON value at the path; missing parents are created as objects when `create_parents`.
    Set {
        /// The new value.
        value: Jsonb,
        /// Whether missing parent objects are created; otherwise a missing parent makes the operation a no-op.
        create_parents: bool,
    },
    /// Removes the member or element at the path; a no-op when it is absent.
    Remove,
    /// Inserts before the array position that is the path's last step; at the array's length it appends.
    Insert(Jsonb),
    /// Adds to the number at the path (a jsonb number, or the whole column of an exact numeric type).
    Add(Numeric),
}

impl Step {
    /// A step by text: the canonical form, digits becoming an element.
    pub fn from_text(text: &str) -> Step {
        match element_number(text) {
            Some(number) => Step::Element(number),
            None => Step::Member(text.into()),
        }
    }

    /// The array position, if the step can be one.
    pub fn element(&self) -> Option<u32> {
        match self {
            Step::Element(number) => Some(*number),
            Step::Member(name) => element_number(name),
        }
    }

    /// Whether two steps are one name (P3).
    pub fn same_name(&self, other: &Step) -> bool {
        match (self, other) {
            (Step::Member(a), Step::Member(b)) => a == b,
            (Step::Element(a), Step::Element(b)) => a == b,
            (Step::Member(name), Step::Element(number)) | (Step::Element(number), Step::Member(name)) => {
                element_number(name) == Some(*number)
            }
        }
    }
}

/// The number a name spells canonically: no sign, no leading zero. Other spellings are names of members only.
fn element_number(name: &str) -> Option<u32> {
    let canonical =
        name == "0" || (name.starts_with(|c: char| matches!(c, '1'..='9')) && name.bytes().all(|b| b.is_ascii_digit()));
    if canonical { name.parse().ok() } else { None }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Member(name) => f.write_str(name),
            Step::Element(number) => write!(f, "{number}"),
        }
    }
}

impl Path {
    /// A whole column.
    pub fn column(column: u16) -> Path {
        Path {
            column,
            steps: Vec::new(),
        }
    }

    /// A place inside a column.
    pub fn new(column: u16, steps: impl IntoIterator<Item = Step>) -> Path {
        Path {
            column,
            steps: steps.into_iter().collect(),
        }
    }

    /// The path one step up; the column itself is its own parent.
    pub fn parent(&self) -> Path {
        let kept = self.steps.len().saturating_sub(1);
        Path {
            column: self.column,
            steps: self.steps[..kept].to_vec(),
        }
    }

    /// Whether this is the other path or an ancestor of it.
    pub fn covers(&self, other: &Path) -> bool {
        self.column == other.column && overlap::is_prefix(&self.steps, &other.steps)
    }

    /// Whether one of the two paths lies on the way to the other.
    pub fn overlaps(&self, other: &Path) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl PathOp {
    /// Replaces a column.
    pub fn set_column(column: u16, value: Datum) -> PathOp {
        PathOp {
            path: Path::column(column),
            action: Action::SetColumn(value),
        }
    }

    /// Sets the value at a path, adding the last member if it is missing; a missing parent makes it a no-op.
    pub fn set(path: Path, value: Jsonb) -> PathOp {
        PathOp {
            path,
            action: Action::Set {
                value,
                create_parents: false,
            },
        }
    }

    /// What the operation may change in any document: its path, or the array around it when elements move. Creating parents
    /// may start at the column, which may be NULL; who knows the document sets the topmost missing place instead, and
    /// touches only that.
    pub fn footprint(&self) -> Path {
        match self.action {
            Action::Insert(_) => self.path.parent(),
            Action::Remove if self.path.steps.last().is_some_and(|step| step.element().is_some()) => self.path.parent(),
            Action::Set {
                create_parents: true, ..
            } => Path::column(self.path.column),
            Action::Remove | Action::SetColumn(_) | Action::Set { .. } | Action::Add(_) => self.path.clone(),
        }
    }

    /// Whether the order of two operations never matters (P1).
    pub fn commutes_with(&self, other: &PathOp) -> bool {
        let both_add = matches!((&self.action, &other.action), (Action::Add(_), Action::Add(_)));
        let (a, b) = (self.footprint(), other.footprint());
        !a.overlaps(&b) || (both_add && a.covers(&b) && b.covers(&a))
    }
}

#[cfg(test)]
pub(crate) mod tests;
