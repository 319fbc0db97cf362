//! Item: a value on its way through a path.

use storage::jsonb::JsonKind;
use storage::{Datum, JsonRef, Jsonb, Numeric};

/// A value: part of the document, computed, or a date or time (which JSON lacks).
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    Stored(JsonRef<'a>),
    Owned(Jsonb),
    Number(Numeric),
    /// A date or time; a timestamptz remembers the zone it was written in (seconds west of UTC).
    DateTime(Datum, i32),
}

/// An [`Item`]'s type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json(JsonKind),
    DateTime,
}

impl<'a> Item<'a> {
    pub(super) fn bool(value: Option<bool>) -> Self {
        Self::Owned(value.map_or_else(Jsonb::null, Jsonb::bool))
    }

    pub(super) fn string(value: &str) -> Self {
        Self::Owned(Jsonb::string(value))
    }

    /// The value's binary form, if it is in one.
    pub(super) fn view(&self) -> Option<JsonRef<'_>> {
        match self {
            Self::Stored(value) => Some(*value),
            Self::Owned(value) => Some(value.view()),
            Self::Number(_) | Self::DateTime(..) => None,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Stored(value) => Kind::Json(value.kind()),
            Self::Owned(value) => Kind::Json(value.view().kind()),
            Self::Number(_) => Kind::Json(JsonKind::Number),
            Self::DateTime(..) => Kind::DateTime,
        }
    }

    pub(super) fn is_array(&self) -> bool {
        self.kind() == Kind::Json(JsonKind::Array)
    }

    pub(super) fn is_object(&self) -> bool {
        self.kind() == Kind::Json(JsonKind::Object)
    }

    pub(super) fn as_number(&self) -> Option<Numeric> {
        match self {
            Self::Number(value) => Some(value.clone()),
            other => other.view().and_then(JsonRef::as_number),
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        self.view().and_then(JsonRef::as_str)
    }

    /// The part of this value that `select` finds in it.
    pub(super) fn part(&self, select: impl Fn(JsonRef<'_>) -> Option<JsonRef<'_>>) -> Option<Item<'a>> {
        match self {
            Self::Stored(value) => select_in(*value, select).map(Item::Stored),
            Self::Owned(value) => select(value.view()).map(|found| Item::Owned(value.share(found))),
            Self::Number(_) | Self::DateTime(..) => None,
        }
    }

    /// Elements of an array or values of an object's members.
    pub(super) fn children(&self) -> Vec<Item<'a>> {
        match self {
            Self::Stored(value) => values(*value).map(Item::Stored).collect(),
            Self::Owned(value) => values(value.view())
                .map(|part| Item::Owned(value.share(part)))
                .collect(),
            Self::Number(_) | Self::DateTime(..) => Vec::new(),
        }
    }

    /// Number of elements of an array.
    pub(super) fn array_size(&self) -> Option<usize> {
        self.view().filter(|value| value.is_array()).map(JsonRef::len)
    }
}

/// Ties the lifetime of what is found to that of what is searched.
fn select_in<'a>(value: JsonRef<'a>, select: impl Fn(JsonRef<'_>) -> Option<JsonRef<'_>>) -> Option<JsonRef<'a>> {
    select(value)
}

fn values<'a>(value: JsonRef<'a>) -> impl Iterator<Item = JsonRef<'a>> {
    value.elements().chain(value.members().map(|(_, member)| member))
}
