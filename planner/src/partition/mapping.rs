//! Mapping: a parent's row as a child's, and back. Columns pair by name.

use storage::{Datum, Row};

use crate::bound::ColumnId;
use crate::catalog::Relation;

/// Where a parent's columns are in a child.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// For each column of the parent, its position in the child.
    places: Vec<Option<u16>>,
    /// Columns of the child.
    width: usize,
    is_same: bool,
}

impl Mapping {
    /// The mapping from a parent to a child, or to itself.
    pub fn between(parent: &Relation, child: &Relation) -> Mapping {
        let place = |name: &str| child.live_columns().find(|(_, column)| column.name == name);
        let places: Vec<Option<u16>> = parent
            .columns
            .iter()
            .map(|column| match column.dropped {
                true => None,
                false => place(&column.name).map(|(at, _)| at),
            })
            .collect();
        let width = child.columns.len();
        let is_in_place = |(at, place): (usize, &Option<u16>)| place.is_none_or(|place| usize::from(place) == at);
        let is_same = parent.columns.len() == width && places.iter().enumerate().all(is_in_place);
        Mapping { places, width, is_same }
    }

    /// Whether rows of both look alike.
    pub fn is_same(&self) -> bool {
        self.is_same
    }

    /// A parent's column in the child.
    pub fn place(&self, at: u16) -> Option<u16> {
        self.places.get(usize::from(at)).copied().flatten()
    }

    /// A child's column in the parent.
    pub fn origin(&self, at: u16) -> Option<u16> {
        let found = self.places.iter().position(|place| *place == Some(at));
        found.map(|found| found as u16)
    }

    /// Ids of a parent's columns by their positions in the child.
    pub fn columns(&self, columns: &[(u16, ColumnId)]) -> Vec<(u16, ColumnId)> {
        let placed = |(at, id): &(u16, ColumnId)| Some((self.place(*at)?, *id));
        columns.iter().filter_map(placed).collect()
    }

    /// A parent's row as the child has it.
    pub fn to_child(&self, row: Row) -> Row {
        if self.is_same {
            return row;
        }
        let mut child = vec![Datum::Null; self.width];
        for (place, value) in self.places.iter().zip(row) {
            if let Some(place) = place {
                child[usize::from(*place)] = value;
            }
        }
        child
    }

    /// A child's row as the parent has it; columns of the child's own are lost.
    pub fn to_parent(&self, row: &[Datum]) -> Row {
        let value = |place: &Option<u16>| place.and_then(|place| row.get(usize::from(place)).cloned());
        self.places
            .iter()
            .map(|place| value(place).unwrap_or(Datum::Null))
            .collect()
    }
}
