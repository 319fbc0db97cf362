//! Parts: what of a row somebody needs, so that a large document is not put together for one leaf of it.
//!
//! ```text
//!   wanted: a/b, items/1        {"a": {"b": 1, "c": 2}, "items": [x, y, z], "k": …1 MB…}
//!   read:                       {"a": {"b": 1},         "items": [null, y, null]}
//! ```
//! A document read in parts holds what was wanted and, on the way there, the types of its containers and the lengths of its
//! arrays; of everything else it says nothing. So an expression whose reads were derived right (DESIGN L3) gives the same on
//! it as on the whole, and so does a path function whose written path is among the parts.
//!
//! Invariants
//!  R1  A value at a wanted path is whole, and it is missing exactly if it is missing in the document.
//!  R2  What a written path *resolves* to is the same: where it would resolve to an array (a position that is not there, or
//!      one that shifts others), the array is whole, because all of it will be written.

use super::{Path, Step};
use crate::jsonb::compare_keys;
use crate::{Row, StorageResult};

/// Parts of a row. Columns that are not documents are always read; a document without a wanted path keeps its type alone.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Parts {
    columns: Vec<(u16, Part)>,
}

/// What is wanted of one value.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Part {
    pub(crate) is_whole: bool,
    /// If the value turns out to be an array it is wanted whole.
    pub(crate) is_whole_array: bool,
    /// By name, in the order of stored members.
    pub(crate) children: Vec<(Box<str>, Part)>,
}

impl Parts {
    /// Nothing but what every read gives.
    pub fn new() -> Parts {
        Parts::default()
    }

    /// Adds a path that is read, or written in a way that moves nothing.
    pub fn add(&mut self, path: &Path) {
        self.part(&path.steps, path.column).make_whole();
    }

    /// Adds a path that is written by moving others: at an array it means the array.
    pub fn add_moving(&mut self, path: &Path) {
        if let Some((_, parents)) = path.steps.split_last() {
            self.part(parents, path.column).is_whole_array = true;
        }
        self.add(path);
    }

    /// Takes the parts of a row, as a read of a large one does.
    ///
    /// # Errors
    /// None for a row that was read.
    pub fn take(&self, row: &mut Row) -> StorageResult<()> {
        super::take_parts(row, [], self)
    }

    fn part(&mut self, steps: &[Step], column: u16) -> &mut Part {
        let at = match self.columns.binary_search_by_key(&column, |(column, _)| *column) {
            Ok(found) => found,
            Err(at) => {
                self.columns.insert(at, (column, Part::default()));
                at
            }
        };
        steps.iter().fold(&mut self.columns[at].1, Part::below)
    }

    /// What is wanted of a column.
    pub(crate) fn of_column(&self, column: u16) -> &Part {
        static SHAPE: Part = Part {
            is_whole: false,
            is_whole_array: false,
            children: Vec::new(),
        };
        match self.columns.binary_search_by_key(&column, |(column, _)| *column) {
            Ok(found) => &self.columns[found].1,
            Err(_) => &SHAPE,
        }
    }
}

impl Part {
    fn make_whole(&mut self) {
        self.is_whole = true;
        self.children.clear();
    }

    /// The part one step below, made if it is not there; what is whole stays whole.
    fn below(&mut self, step: &Step) -> &mut Part {
        if self.is_whole {
            return self;
        }
        let name = step.to_string();
        let at = match self.find(&name) {
            Ok(found) => found,
            Err(at) => {
                self.children.insert(at, (name.into(), Part::default()));
                at
            }
        };
        &mut self.children[at].1
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.children
            .binary_search_by(|(known, _)| compare_keys(known.as_bytes(), name.as_bytes()))
    }

    /// What is wanted of an element.
    pub(crate) fn child(&self, element: usize) -> Option<&Part> {
        if self.children.is_empty() {
            return None;
        }
        let found = self.find(&element.to_string()).ok()?;
        Some(&self.children[found].1)
    }

    /// Whether every child is a position of an array of this length, so that the others need not be read.
    pub(crate) fn fits_array(&self, length: usize) -> bool {
        let is_inside = |name: &str| Step::from_text(name).element().is_some_and(|at| (at as usize) < length);
        !self.is_whole_array && self.children.iter().all(|(name, _)| is_inside(name))
    }

    /// Whether an operation at these steps could make a difference to what is wanted; `true` where that is not certain.
    /// The document must be one before and after it (an operation on the whole column always makes a difference).
    pub(crate) fn may_meet<'s>(&self, mut steps: impl Iterator<Item = StepRef<'s>>, creates_parents: bool) -> bool {
        let mut part = self;
        let mut depth = 0;
        let mut is_in_array = false;
        while !part.is_whole {
            let Some(step) = steps.next() else { return true };
            // An array is wanted whole if one of its parts is no place in it, and then all that is done inside of it counts.
            if step.is_position() && (part.is_whole_array || part.children.len() != 1) {
                return true;
            }
            let found = match step {
                StepRef::Member(name) => part.find(name),
                StepRef::Element(at) => part.find(&at.to_string()),
            };
            match found {
                Ok(found) => part = &part.children[found].1,
                // Beside all parts: but it may move elements, lie in an array that is wanted whole (be it that another operation
                // makes it too short for its part), or create what lies above.
                Err(_) => return is_in_array || step.is_position() || (creates_parents && depth > 0),
            }
            is_in_array |= step.is_position();
            depth += 1;
        }
        true
    }
}

/// A step where it stands in an encoded operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StepRef<'a> {
    Member(&'a str),
    Element(u32),
}

impl StepRef<'_> {
    /// The step with its name copied.
    pub(crate) fn to_step(self) -> Step {
        match self {
            StepRef::Member(name) => Step::Member(name.into()),
            StepRef::Element(at) => Step::Element(at),
        }
    }

    fn is_position(self) -> bool {
        match self {
            StepRef::Element(_) => true,
            StepRef::Member(name) => name.bytes().all(|byte| byte.is_ascii_digit()),
        }
    }
}
