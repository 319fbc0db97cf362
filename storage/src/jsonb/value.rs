//! JsonValue: a document as a tree, for code that builds one.

use super::{JsonBuilder, JsonError, JsonKind, JsonRef, Jsonb};
use crate::Numeric;

/// A document as a tree. Parts that exist already stay in their binary form.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// A number.
    Number(Numeric),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<JsonValue>),
    /// An object; of equal keys the last counts.
    Object(Vec<(String, JsonValue)>),
    /// A part that is encoded already.
    Encoded(Jsonb),
}

impl JsonValue {
    /// Encodes the tree. It recurses: trees are as deep as the code that builds them, never as deep as input.
    ///
    /// # Errors
    /// [`JsonError`] of kind `Size`.
    pub fn encode(&self) -> Result<Jsonb, JsonError> {
        let mut builder = JsonBuilder::new();
        self.write(&mut builder);
        builder.finish()
    }

    fn write(&self, builder: &mut JsonBuilder) {
        match self {
            Self::Null => builder.null(),
            Self::Bool(value) => builder.bool(*value),
            Self::Number(value) => builder.number(value),
            Self::String(value) => builder.string(value),
            Self::Encoded(value) => builder.value(value.view()),
            Self::Array(elements) => {
                builder.begin_array();
                elements.iter().for_each(|element| element.write(builder));
                builder.end();
            }
            Self::Object(members) => {
                builder.begin_object();
                for (key, value) in members {
                    builder.key(key);
                    value.write(builder);
                }
                builder.end();
            }
        }
    }
}

impl From<JsonRef<'_>> for JsonValue {
    /// Opens one level: children that are containers stay encoded, so that input's depth never becomes recursion.
    fn from(value: JsonRef<'_>) -> Self {
        let child = |part: JsonRef<'_>| {
            if part.is_scalar() {
                Self::from(part)
            } else {
                Self::Encoded(part.to_owned())
            }
        };
        match value.kind() {
            JsonKind::Null => Self::Null,
            JsonKind::Bool => Self::Bool(value.as_bool() == Some(true)),
            JsonKind::Number => Self::Number(value.as_number().unwrap_or_default()),
            JsonKind::String => Self::String(value.as_str().unwrap_or("").to_owned()),
            JsonKind::Array => Self::Array(value.elements().map(child).collect()),
            JsonKind::Object => Self::Object(
                value
                    .members()
                    .map(|(key, part)| (key.to_owned(), child(part)))
                    .collect(),
            ),
        }
    }
}
