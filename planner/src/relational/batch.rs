//! Batch: rows between operators, all values in one allocation.

use storage::Datum;

/// Rows an operator asks its input for when it has no reason to ask for fewer.
pub const BATCH_ROWS: usize = 1024;

/// Rows of one width, row after row.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    width: usize,
    count: usize,
    values: Vec<Datum>,
}

impl Batch {
    /// An empty batch.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            count: 0,
            values: Vec::new(),
        }
    }

    /// An empty batch with room for rows.
    pub fn with_capacity(width: usize, rows: usize) -> Self {
        Self {
            width,
            count: 0,
            values: Vec::with_capacity(width * rows),
        }
    }

    /// A batch of rows that have `width` values each.
    pub fn from_rows(width: usize, rows: impl IntoIterator<Item = Vec<Datum>>) -> Self {
        let mut batch = Self::new(width);
        for row in rows {
            batch.push(row);
        }
        batch
    }

    /// A batch of `count` rows whose values stand one after another.
    pub fn from_values(width: usize, count: usize, values: Vec<Datum>) -> Self {
        debug_assert_eq!(values.len(), width * count, "as many values as rows times columns");
        Self { width, count, values }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row.
    pub fn row(&self, index: usize) -> &[Datum] {
        &self.values[index * self.width..(index + 1) * self.width]
    }

    /// A row, mutably.
    pub fn row_mut(&mut self, index: usize) -> &mut [Datum] {
        &mut self.values[index * self.width..(index + 1) * self.width]
    }

    /// Adds a row.
    pub fn push(&mut self, row: impl IntoIterator<Item = Datum>) {
        self.values.extend(row);
        self.count += 1;
        debug_assert_eq!(
            self.values.len(),
            self.count * self.width,
            "a row has as many values as the batch is wide"
        );
    }

    /// Adds a copy of a row.
    pub fn push_slice(&mut self, row: &[Datum]) {
        self.values.extend_from_slice(row);
        self.count += 1;
    }

    /// Adds a row made of two parts.
    pub fn push_pair(&mut self, left: &[Datum], right: &[Datum]) {
        self.values.extend_from_slice(left);
        self.values.extend_from_slice(right);
        self.count += 1;
    }

    /// Adds a row made of a part and NULLs.
    pub fn push_padded(&mut self, left: &[Datum], nulls: usize) {
        self.values.extend_from_slice(left);
        self.values.extend(std::iter::repeat_n(Datum::Null, nulls));
        self.count += 1;
    }

    /// Adds a row made of NULLs and a part.
    pub fn push_left_padded(&mut self, nulls: usize, right: &[Datum]) {
        self.values.extend(std::iter::repeat_n(Datum::Null, nulls));
        self.values.extend_from_slice(right);
        self.count += 1;
    }

    /// Removes the last row.
    pub fn pop(&mut self) {
        self.count -= 1;
        self.values.truncate(self.count * self.width);
    }

    /// Appends another batch of the same width.
    pub fn append(&mut self, mut other: Batch) {
        if self.values.is_empty() {
            self.values = other.values;
        } else {
            self.values.append(&mut other.values);
        }
        self.count += other.count;
    }

    /// Splits off the rows from `at` on.
    pub fn split_off(&mut self, at: usize) -> Batch {
        let at = at.min(self.count);
        let values = self.values.split_off(at * self.width);
        let rest = Batch {
            width: self.width,
            count: self.count - at,
            values,
        };
        self.count = at;
        rest
    }

    /// All rows, one vector each.
    pub fn into_rows(self) -> Vec<Vec<Datum>> {
        if self.width == 0 {
            return vec![Vec::new(); self.count];
        }
        let mut values = self.values.into_iter();
        (0..self.count)
            .map(|_| values.by_ref().take(self.width).collect())
            .collect()
    }

    /// The rows, borrowed.
    pub fn rows(&self) -> impl Iterator<Item = &[Datum]> {
        (0..self.count).map(|index| self.row(index))
    }

    /// Bytes held, roughly.
    pub fn size(&self) -> usize {
        self.values.iter().map(datum_size).sum::<usize>() + size_of::<Self>()
    }
}

/// Bytes a value holds, roughly: what is shared is counted wherever it is seen.
pub fn datum_size(datum: &Datum) -> usize {
    size_of::<Datum>()
        + match datum {
            Datum::Text(text) | Datum::Json(text) => text.len() + 16,
            Datum::Bytea(bytes) => bytes.len(),
            Datum::Jsonb(document) => document.size(),
            Datum::Array(array) => array.elements.iter().map(datum_size).sum(),
            Datum::Record(fields) => fields.iter().map(datum_size).sum(),
            _ => 0,
        }
}
