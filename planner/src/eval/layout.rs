//! Layout: where a row keeps each column; OuterScope: which columns a subquery takes from outside.

use ahash::AHashMap;

use crate::bound::ColumnId;

/// Positions of columns in a row.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    columns: Vec<ColumnId>,
    slots: AHashMap<ColumnId, usize>,
}

impl Layout {
    /// A layout with these columns in order.
    pub fn new(columns: impl IntoIterator<Item = ColumnId>) -> Self {
        let mut layout = Self::default();
        for column in columns {
            layout.push(column);
        }
        layout
    }

    /// A layout in which columns have given slots; the slots between them belong to no column.
    pub fn with_slots(columns: impl IntoIterator<Item = (ColumnId, usize)>) -> Self {
        let slots: AHashMap<ColumnId, usize> = columns.into_iter().collect();
        Self {
            columns: slots.keys().copied().collect(),
            slots,
        }
    }

    /// Adds a column and returns its slot. A column added twice is found at its first slot.
    pub fn push(&mut self, column: ColumnId) -> usize {
        let slot = self.columns.len();
        self.columns.push(column);
        self.slots.entry(column).or_insert(slot);
        slot
    }

    /// Slot of a column.
    pub fn slot(&self, column: ColumnId) -> Option<usize> {
        self.slots.get(&column).copied()
    }

    /// Columns in slot order.
    pub fn columns(&self) -> &[ColumnId] {
        &self.columns
    }

    /// Number of slots.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Whether a column has a slot.
    pub fn contains(&self, column: ColumnId) -> bool {
        self.slots.contains_key(&column)
    }

    /// This layout followed by another one.
    pub fn concat(&self, other: &Layout) -> Layout {
        let mut layout = self.clone();
        for column in &other.columns {
            layout.push(*column);
        }
        layout
    }
}

/// The columns a (sub)plan takes from outside, in the order of its frame; grows while the plan is compiled.
#[derive(Debug, Default)]
pub struct OuterScope {
    columns: Vec<ColumnId>,
    uses: u64,
}

impl OuterScope {
    /// Slot of an outer column in the frame.
    pub fn slot(&mut self, column: ColumnId) -> usize {
        self.uses += 1;
        match self.columns.iter().position(|known| *known == column) {
            Some(slot) => slot,
            None => {
                self.columns.push(column);
                self.columns.len() - 1
            }
        }
    }

    /// Outer columns in frame order.
    pub fn columns(&self) -> &[ColumnId] {
        &self.columns
    }

    /// How often outer columns were named so far: unchanged over the compilation of a part means that the part does not
    /// depend on the frame.
    pub fn uses(&self) -> u64 {
        self.uses
    }
}
