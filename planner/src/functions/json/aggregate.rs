//! Aggregates: json_agg, jsonb_agg, json_object_agg, jsonb_object_agg.

use storage::{Datum, JsonBuilder};

use super::encode::{is_structured, key_text, quote, write_json, write_jsonb};
use super::{built, invalid};
use crate::eval::SessionView;
use crate::eval::session::FixedSession;
use crate::functions::define::aggregate;
use crate::functions::{Accumulator, Function};
use crate::types::oid::*;
use crate::{SqlResult, Type};

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    aggregate(3175, "json_agg", &[ANYELEMENT], JSON, |t| Box::new(JsonAgg { types: t.args.to_vec(), out: None })).lenient().stable(),
    aggregate(3267, "jsonb_agg", &[ANYELEMENT], JSONB, |t| Box::new(JsonbAgg { types: t.args.to_vec(), items: None, object: false })).lenient().stable(),
    aggregate(3197, "json_object_agg", &[ANY, ANY], JSON, |t| Box::new(JsonObjectAgg { types: t.args.to_vec(), out: None })).lenient().stable(),
    aggregate(3270, "jsonb_object_agg", &[ANY, ANY], JSONB, |t| Box::new(JsonbAgg { types: t.args.to_vec(), items: None, object: true })).lenient(),
];

fn type_at(types: &[Type], index: usize) -> Type {
    types.get(index).copied().unwrap_or(Type::UNKNOWN)
}

/// json_agg: the text so far, without its closing bracket; `None` before the first row.
struct JsonAgg {
    types: Vec<Type>,
    out: Option<String>,
}

impl Accumulator for JsonAgg {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        self.add_with(&FixedSession::default(), args)
    }

    fn add_with(&mut self, session: &dyn SessionView, args: &[Datum]) -> SqlResult<()> {
        let value = args.first().unwrap_or(&Datum::Null);
        let first = self.out.is_none();
        let out = self.out.get_or_insert_with(|| String::from("["));
        if !first {
            out.push_str(if is_structured(value) { ", \n " } else { ", " });
        }
        write_json(out, value, type_at(&self.types, 0), session, false)
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self
            .out
            .as_ref()
            .map_or(Datum::Null, |out| Datum::Json(format!("{out}]").into())))
    }

    fn size(&self) -> usize {
        64 + self.out.as_ref().map_or(0, String::capacity)
    }
}

/// json_object_agg
struct JsonObjectAgg {
    types: Vec<Type>,
    out: Option<String>,
}

impl Accumulator for JsonObjectAgg {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        self.add_with(&FixedSession::default(), args)
    }

    fn add_with(&mut self, session: &dyn SessionView, args: &[Datum]) -> SqlResult<()> {
        let [key, value] = args else { return Ok(()) };
        if key.is_null() {
            return Err(invalid("field name must not be null"));
        }
        let key = key_text(key, type_at(&self.types, 0), session)?;
        let first = self.out.is_none();
        let out = self.out.get_or_insert_with(|| String::from("{ "));
        if !first {
            out.push_str(", ");
        }
        quote(out, &key);
        out.push_str(" : ");
        write_json(out, value, type_at(&self.types, 1), session, false)
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self
            .out
            .as_ref()
            .map_or(Datum::Null, |out| Datum::Json(format!("{out} }}").into())))
    }

    fn size(&self) -> usize {
        64 + self.out.as_ref().map_or(0, String::capacity)
    }
}

/// jsonb_agg and jsonb_object_agg: the encoded values, put together at the end, because `finish` may come repeatedly.
struct JsonbAgg {
    types: Vec<Type>,
    items: Option<Items>,
    object: bool,
}

#[derive(Default)]
struct Items {
    /// Keys of an object's members; empty for arrays.
    keys: Vec<String>,
    values: Vec<storage::Jsonb>,
    bytes: usize,
}

impl Accumulator for JsonbAgg {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        self.add_with(&FixedSession::default(), args)
    }

    fn add_with(&mut self, session: &dyn SessionView, args: &[Datum]) -> SqlResult<()> {
        let Some(value) = args.last() else { return Ok(()) };
        let key = match args.first() {
            Some(key) if self.object && key.is_null() => return Err(invalid("field name must not be null")),
            Some(key) if self.object => Some(key_text(key, type_at(&self.types, 0), session)?),
            _ => None,
        };
        let document = if let Datum::Jsonb(document) = value {
            document.clone()
        } else {
            let mut builder = JsonBuilder::new();
            write_jsonb(&mut builder, value, type_at(&self.types, args.len() - 1), session)?;
            built(builder.finish())?
        };
        let items = self.items.get_or_insert_default();
        items.bytes += document.size() + key.as_ref().map_or(0, String::len) + 64;
        items.keys.extend(key);
        items.values.push(document);
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        let Some(items) = &self.items else {
            return Ok(Datum::Null);
        };
        let mut builder = JsonBuilder::with_capacity(items.bytes);
        if self.object {
            builder.begin_object()
        } else {
            builder.begin_array()
        }
        for (index, value) in items.values.iter().enumerate() {
            if let Some(key) = items.keys.get(index) {
                builder.key(key);
            }
            builder.value(value.view());
        }
        builder.end();
        built(builder.finish()).map(Datum::Jsonb)
    }

    fn size(&self) -> usize {
        64 + self.items.as_ref().map_or(0, |items| items.bytes)
    }
}
