//! Methods: type, size, abs, floor, ceiling, double, keyvalue.

use storage::jsonb::JsonKind;
use storage::{JsonBuilder, JsonRef, Numeric};

use super::evaluate::{Base, Evaluator, Fault, Found, Outcome};
use super::item::{Item, Kind};
use super::syntax::{Method, Step};
use super::{datetime, layout};
use crate::SqlState;
use crate::types::number::parse_float8;

impl<'a> Evaluator<'a> {
    pub(super) fn method(&mut self, method: Method, rest: &[Step], item: Item<'a>, found: Found<'_, 'a>) -> Outcome {
        match method {
            Method::Type => {
                let name = match item.kind() {
                    Kind::Json(kind) => kind.name(),
                    Kind::DateTime => datetime::type_name(&item),
                };
                self.next(rest, Item::string(name), found)
            }
            Method::Size => match item.array_size() {
                Some(size) => self.next(rest, Item::Number(Numeric::from_i64(size as i64)), found),
                None if self.lax => self.next(rest, Item::Number(Numeric::ONE), found),
                None => self.structural(
                    SqlState::SQL_JSON_ARRAY_NOT_FOUND,
                    "jsonpath item method .size() can only be applied to an array",
                ),
            },
            Method::Abs | Method::Floor | Method::Ceiling => {
                let Some(number) = item.as_number() else {
                    let name = method.name();
                    let message = format!("jsonpath item method .{name}() can only be applied to a numeric value");
                    return Err(Fault::soft(SqlState::NON_NUMERIC_SQL_JSON_ITEM, message));
                };
                let result = match method {
                    Method::Floor => number.floor(),
                    Method::Ceiling => number.ceil(),
                    _ => Ok(number.abs()),
                };
                let result = result.map_err(|error| Fault::Soft(error.into()))?;
                self.next(rest, Item::Number(result), found)
            }
            Method::Double => {
                let result = double(&item)?;
                self.next(rest, result.map_or(item, Item::Number), found)
            }
            Method::KeyValue => self.key_value(rest, &item, found),
        }
    }

    /// One object `{"id", "key", "value"}` per member. The id tells members of different objects apart.
    fn key_value(&mut self, rest: &[Step], item: &Item<'a>, mut found: Found<'_, 'a>) -> Outcome {
        const BASE_FACTOR: i64 = 10_000_000_000;
        if !item.is_object() {
            let message = "jsonpath item method .keyvalue() can only be applied to an object";
            return Err(Fault::soft(SqlState::SQL_JSON_OBJECT_NOT_FOUND, message));
        }
        let Some(object) = item.view() else { return Ok(false) };
        let offset = self.base.object.view().map_or(0, |base| layout::offset(base, object));
        let id = offset + self.base.id * BASE_FACTOR;
        let mut any = false;
        for (key, value) in object.members() {
            if rest.is_empty() && found.is_none() {
                return Ok(true);
            }
            let member = self.member_object(id, key, value)?;
            let base = Base {
                object: member.clone(),
                id: self.next_object,
            };
            self.next_object += 1;
            let saved = std::mem::replace(&mut self.base, base);
            let outcome = self.next(rest, member, found.as_deref_mut());
            self.base = saved;
            any |= outcome?;
            if any && found.is_none() {
                return Ok(true);
            }
        }
        Ok(any)
    }

    fn member_object(&self, id: i64, key: &str, value: JsonRef<'_>) -> Result<Item<'a>, Fault> {
        let mut builder = JsonBuilder::new();
        builder.begin_object();
        builder.key("id");
        builder.integer(id);
        builder.key("key");
        builder.string(key);
        builder.key("value");
        builder.value(value);
        builder.end();
        builder
            .finish()
            .map(Item::Owned)
            .map_err(|error| Fault::Hard(error.into()))
    }
}

/// The number `.double()` makes of a string; `None` for a number that is a double already.
fn double(item: &Item<'_>) -> Result<Option<Numeric>, Fault> {
    let refused = |message: &str| Fault::soft(SqlState::NON_NUMERIC_SQL_JSON_ITEM, message);
    match item.kind() {
        Kind::Json(JsonKind::Number) => match item.as_number().and_then(|number| number.to_f64()) {
            Some(_) => Ok(None),
            None => Err(refused(
                "numeric argument of jsonpath item method .double() is out of range for type double precision",
            )),
        },
        Kind::Json(JsonKind::String) => {
            let parsed = item
                .as_str()
                .and_then(|text| parse_float8(text).ok())
                .filter(|value| value.is_finite());
            parsed.map(|value| Some(Numeric::from_f64(value))).ok_or_else(|| {
                refused(
                    "string argument of jsonpath item method .double() is not a valid representation of a double precision number",
                )
            })
        }
        _ => Err(refused(
            "jsonpath item method .double() can only be applied to a string or numeric value",
        )),
    }
}
