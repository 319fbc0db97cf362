//! Paths into a row, and the operations that change one path.

use std::sync::Arc;

use crate::{Datum, Jsonb, Numeric};

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
    /// Inserts before the array position that is the path's last step.
    Insert(Jsonb),
    /// Adds to the number at the path (a jsonb number, or the whole column of an exact numeric type).
    Add(Numeric),
}
