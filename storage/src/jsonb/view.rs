//! JsonRef: reading a value in place.

use std::borrow::Cow;

use num_bigint::BigInt;

use super::Jsonb;
use crate::Numeric;

pub(super) const TAG_NULL: u8 = 0;
pub(super) const TAG_FALSE: u8 = 1;
pub(super) const TAG_TRUE: u8 = 2;
pub(super) const TAG_INTEGER: u8 = 3;
pub(super) const TAG_DECIMAL: u8 = 4;
pub(super) const TAG_STRING: u8 = 5;
pub(super) const TAG_ARRAY: u8 = 6;
pub(super) const TAG_OBJECT: u8 = 7;
/// The high half of a container's tag: its offsets take 1, 2 or 4 bytes.
pub(super) const WIDTH_SHIFT: u32 = 4;

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "the types of their names; the order is PostgreSQL's btree order of types"
)]
pub enum JsonKind {
    Null,
    String,
    Number,
    Bool,
    Array,
    Object,
}

impl JsonKind {
    /// The name `jsonb_typeof` gives.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// A borrowed JSON value.
#[derive(Clone, Copy)]
pub struct JsonRef<'a>(pub(super) &'a [u8]);

impl<'a> JsonRef<'a> {
    pub(super) fn tag(self) -> u8 {
        self.0.last().map_or(TAG_NULL, |tag| tag & 0x0F)
    }

    /// Reads bytes that [`JsonRef::as_bytes`] gave.
    pub fn from_trusted_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The stored form.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Copies the value into a document of its own.
    pub fn to_owned(self) -> Jsonb {
        Jsonb(bytes::Bytes::copy_from_slice(self.0))
    }

    /// The JSON type.
    pub fn kind(self) -> JsonKind {
        match self.tag() {
            TAG_FALSE | TAG_TRUE => JsonKind::Bool,
            TAG_INTEGER | TAG_DECIMAL => JsonKind::Number,
            TAG_STRING => JsonKind::String,
            TAG_ARRAY => JsonKind::Array,
            TAG_OBJECT => JsonKind::Object,
            _ => JsonKind::Null,
        }
    }

    /// Whether this is JSON null.
    pub fn is_null(self) -> bool {
        self.kind() == JsonKind::Null
    }

    /// Whether this is an array.
    pub fn is_array(self) -> bool {
        self.tag() == TAG_ARRAY
    }

    /// Whether this is an object.
    pub fn is_object(self) -> bool {
        self.tag() == TAG_OBJECT
    }

    /// Whether this is neither array nor object.
    pub fn is_scalar(self) -> bool {
        !self.is_array() && !self.is_object()
    }

    /// The boolean.
    pub fn as_bool(self) -> Option<bool> {
        match self.tag() {
            TAG_TRUE => Some(true),
            TAG_FALSE => Some(false),
            _ => None,
        }
    }

    /// The string.
    pub fn as_str(self) -> Option<&'a str> {
        (self.tag() == TAG_STRING).then(|| std::str::from_utf8(self.payload()).unwrap_or(""))
    }

    /// Bytes of the string.
    pub(super) fn string_bytes(self) -> &'a [u8] {
        self.payload()
    }

    /// The number.
    pub fn as_number(self) -> Option<Numeric> {
        match self.tag() {
            TAG_INTEGER => Some(integer(self.payload(), 0)),
            TAG_DECIMAL => match self.payload() {
                [low, high, mantissa @ ..] => Some(integer(mantissa, u16::from_le_bytes([*low, *high]))),
                _ => Some(Numeric::ZERO),
            },
            _ => None,
        }
    }

    /// Text of a scalar as `->>` gives it: strings unquoted, null as `None`; containers as JSON.
    pub fn to_text(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            JsonKind::Null => None,
            JsonKind::String => self.as_str().map(Cow::Borrowed),
            JsonKind::Bool | JsonKind::Number | JsonKind::Array | JsonKind::Object => {
                Some(Cow::Owned(self.to_string()))
            }
        }
    }

    /// Number of elements or members; 0 for scalars.
    pub fn len(self) -> usize {
        self.table().map_or(0, |table| table.count)
    }

    /// Whether there are no elements or members.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Member of an object.
    pub fn get(self, key: &str) -> Option<JsonRef<'a>> {
        self.find(key.as_bytes())
            .ok()
            .and_then(|index| self.member(index))
            .map(|(_, value)| value)
    }

    /// Whether a string is a member of this object, or an element of this array, or this string (`?`).
    pub fn exists(self, key: &str) -> bool {
        match self.kind() {
            JsonKind::Object => self.find(key.as_bytes()).is_ok(),
            JsonKind::Array => self.elements().any(|element| element.as_str() == Some(key)),
            JsonKind::String => self.as_str() == Some(key),
            JsonKind::Null | JsonKind::Number | JsonKind::Bool => false,
        }
    }

    /// Element of an array, counted from the end if negative.
    pub fn element(self, index: i64) -> Option<JsonRef<'a>> {
        if !self.is_array() {
            return None;
        }
        let index = if index < 0 {
            index.checked_add(self.len() as i64)?
        } else {
            index
        };
        self.element_at(usize::try_from(index).ok()?)
    }

    /// Value at a path of member names and array positions.
    pub fn path<S: AsRef<str>>(self, steps: &[S]) -> Option<JsonRef<'a>> {
        steps.iter().try_fold(self, |value, step| value.step(step.as_ref()))
    }

    /// One step of a path: a member of an object, or an element if this is an array and the step a number.
    pub fn step(self, step: &str) -> Option<JsonRef<'a>> {
        match self.kind() {
            JsonKind::Object => self.get(step),
            JsonKind::Array => self.element(parse_index(step)?),
            JsonKind::Null | JsonKind::String | JsonKind::Number | JsonKind::Bool => None,
        }
    }

    /// Elements of an array; none for anything else.
    pub fn elements(self) -> Elements<'a> {
        Elements {
            array: self,
            next: 0,
            count: if self.is_array() { self.len() } else { 0 },
        }
    }

    /// Members of an object in stored order (key length, then bytes); none for anything else.
    pub fn members(self) -> Members<'a> {
        Members {
            object: self,
            next: 0,
            count: if self.is_object() { self.len() } else { 0 },
        }
    }

    pub(super) fn element_at(self, index: usize) -> Option<JsonRef<'a>> {
        let table = self.table().filter(|table| self.is_array() && index < table.count)?;
        let start = if index == 0 { 0 } else { table.entry(index - 1) };
        Some(JsonRef(table.data.get(start..table.entry(index)).unwrap_or(&[])))
    }

    /// Key bytes and value of the member at a position of the table.
    pub(crate) fn member(self, index: usize) -> Option<(&'a [u8], JsonRef<'a>)> {
        let table = self.table().filter(|table| self.is_object() && index < table.count)?;
        let [key, value, end] = [0, 1, 2].map(|part| table.entry(index * 3 + part));
        Some((
            table.data.get(key..value).unwrap_or(&[]),
            JsonRef(table.data.get(value..end).unwrap_or(&[])),
        ))
    }

    /// Position of a key in the table, or where it would be.
    pub(super) fn find(self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, if self.is_object() { self.len() } else { 0 });
        while low < high {
            let middle = low + (high - low) / 2;
            let Some((found, _)) = self.member(middle) else {
                return Err(low);
            };
            match compare_keys(found, key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// What stands before the tag.
    pub(super) fn payload(self) -> &'a [u8] {
        self.0.split_last().map_or(&[], |(_, payload)| payload)
    }

    /// The table of a container; `None` for scalars and for bytes that break the format.
    pub(super) fn table(self) -> Option<Table<'a>> {
        let (&tag, body) = self.0.split_last()?;
        let per_entry = match tag & 0x0F {
            TAG_ARRAY => 1,
            TAG_OBJECT => 3,
            _ => return None,
        };
        let width = 1_usize << (tag >> WIDTH_SHIFT).min(2);
        let (body, count) = body.split_at(body.len().checked_sub(width)?);
        let count = read_offset(count, width);
        let table_size = count.checked_mul(per_entry * width)?;
        let (data, offsets) = body.split_at(body.len().checked_sub(table_size)?);
        Some(Table {
            data,
            offsets,
            width,
            count,
        })
    }
}

/// The parts of a container.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) data: &'a [u8],
    pub(super) offsets: &'a [u8],
    pub(super) width: usize,
    pub(super) count: usize,
}

impl Table<'_> {
    pub(super) fn entry(&self, index: usize) -> usize {
        read_offset(self.offsets.get(index * self.width..).unwrap_or(&[]), self.width)
    }
}

fn read_offset(bytes: &[u8], width: usize) -> usize {
    match (width, bytes) {
        (1, [a, ..]) => usize::from(*a),
        (2, [a, b, ..]) => usize::from(u16::from_le_bytes([*a, *b])),
        (4, [a, b, c, d, ..]) => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
        _ => 0,
    }
}

/// PostgreSQL's order of object keys: length, then bytes.
pub(crate) fn compare_keys(left: &[u8], right: &[u8]) -> std::cmp::Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// An array position in a text path, as C's `strtoint` reads it.
pub fn parse_index(text: &str) -> Option<i64> {
    let trimmed = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    trimmed.parse::<i32>().ok().map(i64::from)
}

fn integer(bytes: &[u8], scale: u16) -> Numeric {
    if bytes.len() <= 16 {
        let fill = if bytes.last().is_some_and(|high| high & 0x80 != 0) {
            0xFF
        } else {
            0
        };
        let mut wide = [fill; 16];
        wide[..bytes.len()].copy_from_slice(bytes);
        return Numeric::from_parts(i128::from_le_bytes(wide), u32::from(scale)).unwrap_or_default();
    }
    Numeric::from_big_parts(BigInt::from_signed_bytes_le(bytes), u32::from(scale)).unwrap_or_default()
}

/// Iterator over the elements of an array.
#[derive(Clone)]
pub struct Elements<'a> {
    array: JsonRef<'a>,
    next: usize,
    count: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = JsonRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.count {
            return None;
        }
        self.next += 1;
        self.array.element_at(self.next - 1)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.next, Some(self.count - self.next))
    }
}

/// Iterator over the members of an object.
#[derive(Clone)]
pub struct Members<'a> {
    object: JsonRef<'a>,
    next: usize,
    count: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, JsonRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.count {
            return None;
        }
        self.next += 1;
        self.object
            .member(self.next - 1)
            .map(|(key, value)| (std::str::from_utf8(key).unwrap_or(""), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.next, Some(self.count - self.next))
    }
}
