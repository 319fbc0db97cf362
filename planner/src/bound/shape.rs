//! Shapes of anonymous records: names and types of the fields of `ROW(…)` and of a subquery's rows.
//!
//! A record's type is [`Type::RECORD`] with the number of its shape as modifier, as PostgreSQL does with blessed row
//! types. Shapes are interned for the life of the process; past [`SHAPES_MAX`] new ones stay anonymous (modifier -1), and
//! functions that print field names fall back to `f1`, `f2`, ….

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;

use crate::Type;

/// Names and types of a record's fields.
pub type Shape = Arc<[(String, Type)]>;

/// Most shapes a process remembers.
pub const SHAPES_MAX: usize = 65_536;

#[derive(Default)]
struct Shapes {
    by_number: Vec<Shape>,
    numbers: HashMap<Shape, i32>,
}

static SHAPES: LazyLock<RwLock<Shapes>> = LazyLock::new(RwLock::default);

/// The record type with these fields.
pub fn record_type(fields: Vec<(String, Type)>) -> Type {
    let shape: Shape = fields.into();
    if let Some(&number) = SHAPES.read().numbers.get(&shape) {
        return Type::with_modifier(Type::RECORD.oid, number);
    }
    let mut shapes = SHAPES.write();
    if let Some(&number) = shapes.numbers.get(&shape) {
        return Type::with_modifier(Type::RECORD.oid, number);
    }
    if shapes.by_number.len() >= SHAPES_MAX {
        return Type::RECORD;
    }
    let number = shapes.by_number.len() as i32;
    shapes.by_number.push(shape.clone());
    shapes.numbers.insert(shape, number);
    Type::with_modifier(Type::RECORD.oid, number)
}

/// The fields of a record type; `None` if it is no record or its shape is unknown.
pub fn fields(ty: Type) -> Option<Shape> {
    if ty.oid != Type::RECORD.oid || ty.modifier < 0 {
        return None;
    }
    SHAPES.read().by_number.get(ty.modifier as usize).cloned()
}
