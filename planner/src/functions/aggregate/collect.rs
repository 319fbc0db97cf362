//! Aggregates that keep all values: string_agg, array_agg.

use std::sync::Arc;

use storage::{Array, Datum};

use super::at;
use crate::functions::call::argument;
use crate::functions::{Accumulator, CallTypes};
use crate::types::array::{DIMENSIONS_MAX, too_many_dimensions};
use crate::{SqlError, SqlResult, SqlState, types};

/// string_agg(text, delimiter): the delimiter of a row stands before its value.
#[derive(Default)]
pub struct StringJoin(Option<String>);

impl Accumulator for StringJoin {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let Some(value) = argument::<Option<&str>>(args, 0)? else {
            return Ok(());
        };
        match &mut self.0 {
            Some(joined) => {
                joined.push_str(argument::<Option<&str>>(args, 1)?.unwrap_or_default());
                joined.push_str(value);
            }
            None => self.0 = Some(value.to_owned()),
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.0.as_deref().map_or(Datum::Null, Datum::text))
    }

    fn size(&self) -> usize {
        64 + self.0.as_ref().map_or(0, String::capacity)
    }
}

/// string_agg(bytea, delimiter)
#[derive(Default)]
pub struct BytesJoin(Option<Vec<u8>>);

impl Accumulator for BytesJoin {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let Some(value) = argument::<Option<&[u8]>>(args, 0)? else {
            return Ok(());
        };
        match &mut self.0 {
            Some(joined) => {
                joined.extend(argument::<Option<&[u8]>>(args, 1)?.unwrap_or_default());
                joined.extend(value);
            }
            None => self.0 = Some(value.to_owned()),
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.0.clone().map_or(Datum::Null, Datum::bytea))
    }

    fn size(&self) -> usize {
        64 + self.0.as_ref().map_or(0, Vec::capacity)
    }
}

/// array_agg of values that are no arrays.
pub struct Elements {
    element_type: u32,
    elements: Vec<Datum>,
    size: usize,
}

impl Elements {
    pub fn new(types: &CallTypes<'_>) -> Self {
        let element_type = types::element_of(types.result.oid)
            .or_else(|| types.args.first().map(|ty| ty.oid))
            .unwrap_or(types::oid::TEXT);
        Self {
            element_type,
            elements: Vec::new(),
            size: 64,
        }
    }
}

impl Accumulator for Elements {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = at(args, 0)?;
        self.size += value.size() + size_of::<Datum>();
        self.elements.push(value.clone());
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        if self.elements.is_empty() {
            return Ok(Datum::Null);
        }
        Ok(types::array::from_elements(self.element_type, self.elements.clone()))
    }

    fn size(&self) -> usize {
        self.size
    }
}

/// array_agg of arrays: one more dimension in front.
#[derive(Default)]
pub struct Stack {
    result: Option<Array>,
    size: usize,
}

impl Accumulator for Stack {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let refuse = |code, message| Err(SqlError::new(code, message));
        let Some(value) = argument::<Option<&Array>>(args, 0)? else {
            return refuse(SqlState::NULL_VALUE_NOT_ALLOWED, "cannot accumulate null arrays");
        };
        if value.dimensions.is_empty() {
            return refuse(SqlState::ARRAY_SUBSCRIPT_ERROR, "cannot accumulate empty arrays");
        }
        self.size += value
            .elements
            .iter()
            .map(|element| element.size() + size_of::<Datum>())
            .sum::<usize>();
        match &mut self.result {
            None => {
                if value.dimensions.len() == DIMENSIONS_MAX {
                    return Err(too_many_dimensions(DIMENSIONS_MAX + 1));
                }
                let mut dimensions = vec![(1, 1)];
                dimensions.extend(&value.dimensions);
                let elements = value.elements.clone();
                self.result = Some(Array {
                    element_type: value.element_type,
                    dimensions,
                    elements,
                });
            }
            Some(result) => {
                if result.dimensions[1..] != value.dimensions[..] {
                    return refuse(
                        SqlState::ARRAY_SUBSCRIPT_ERROR,
                        "cannot accumulate arrays of different dimensionality",
                    );
                }
                result.dimensions[0].0 += 1;
                result.elements.extend(value.elements.iter().cloned());
            }
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self
            .result
            .clone()
            .map_or(Datum::Null, |array| Datum::Array(Arc::new(array))))
    }

    fn size(&self) -> usize {
        64 + self.size
    }
}
