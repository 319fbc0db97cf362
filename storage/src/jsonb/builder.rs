//! JsonBuilder: writes a document front to back.

use super::view::{
    JsonRef, TAG_ARRAY, TAG_DECIMAL, TAG_FALSE, TAG_INTEGER, TAG_NULL, TAG_OBJECT, TAG_STRING, TAG_TRUE, WIDTH_SHIFT,
    compare_keys,
};
use super::{BYTES_MAX, JsonError, Jsonb};
use crate::Numeric;

/// Writes a document front to back: containers are begun and ended, keys come before their values.
///
/// The caller keeps the nesting right; what a builder is told out of order gives a wrong document, never a panic.
#[derive(Default)]
pub struct JsonBuilder {
    out: Vec<u8>,
    frames: Vec<Frame>,
    /// Children of all open containers, innermost last.
    children: Vec<Child>,
}

struct Frame {
    /// Where the container's data begin.
    start: usize,
    /// Its first entry in `children`.
    first: usize,
    object: bool,
}

/// Positions in the container's data; key and value start coincide for array elements.
#[derive(Clone, Copy)]
struct Child {
    key: usize,
    value: usize,
    end: usize,
}

impl JsonBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder with room for a document of about this size.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Number of open containers.
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    /// Opens an object.
    pub fn begin_object(&mut self) {
        self.begin(true);
    }

    /// Opens an array.
    pub fn begin_array(&mut self) {
        self.begin(false);
    }

    /// The key of the next member.
    pub fn key(&mut self, key: &str) {
        self.key_bytes(key.as_bytes());
    }

    pub(super) fn key_bytes(&mut self, key: &[u8]) {
        let start = self.frames.last().map_or(0, |frame| frame.start);
        let at = self.out.len() - start;
        self.out.extend_from_slice(key);
        self.children.push(Child {
            key: at,
            value: at + key.len(),
            end: at + key.len(),
        });
    }

    /// Takes back a key whose value has not been written.
    pub(super) fn take_back_key(&mut self) {
        if let Some(child) = self.children.pop() {
            self.out.truncate(self.out.len() - (child.value - child.key));
        }
    }

    /// JSON null.
    pub fn null(&mut self) {
        self.out.push(TAG_NULL);
        self.ended();
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        self.out.push(if value { TAG_TRUE } else { TAG_FALSE });
        self.ended();
    }

    /// A number; NaN and infinities become strings, as in PostgreSQL.
    pub fn number(&mut self, value: &Numeric) {
        write_number(&mut self.out, value);
        self.ended();
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        write_integer(&mut self.out, i128::from(value));
        self.out.push(TAG_INTEGER);
        self.ended();
    }

    /// A string.
    pub fn string(&mut self, value: &str) {
        write_string(&mut self.out, value);
        self.ended();
    }

    /// A value that exists already.
    pub fn value(&mut self, value: JsonRef<'_>) {
        if value.0.is_empty() {
            self.out.push(TAG_NULL);
        } else {
            self.out.extend_from_slice(value.0);
        }
        self.ended();
    }

    /// Closes the innermost container. A key given twice keeps its last value.
    pub fn end(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        if frame.object {
            self.sort_members(&frame);
        }
        let children = &self.children[frame.first..];
        let (data_size, count) = (self.out.len() - frame.start, children.len());
        let width_code = match data_size.max(count) {
            0..=0xFF => 0,
            0x100..=0xFFFF => 1,
            _ => 2,
        };
        let width = 1 << width_code;
        let out = &mut self.out;
        let mut offset = |value: usize| out.extend_from_slice(&(value as u32).to_le_bytes()[..width]);
        for child in children {
            if frame.object {
                offset(child.key);
                offset(child.value);
            }
            offset(child.end);
        }
        offset(count);
        self.out
            .push((if frame.object { TAG_OBJECT } else { TAG_ARRAY }) | (width_code as u8) << WIDTH_SHIFT);
        self.children.truncate(frame.first);
        self.ended();
    }

    /// The finished document; null if nothing was written.
    ///
    /// # Errors
    /// [`JsonError`] of kind `Size` beyond [`BYTES_MAX`].
    pub fn finish(mut self) -> Result<Jsonb, JsonError> {
        while !self.frames.is_empty() {
            self.end();
        }
        if self.out.len() > BYTES_MAX {
            return Err(JsonError::size());
        }
        if self.out.is_empty() {
            self.out.push(TAG_NULL);
        }
        Ok(Jsonb(self.out.into()))
    }

    /// Bytes written so far.
    pub fn size(&self) -> usize {
        self.out.len()
    }

    fn begin(&mut self, object: bool) {
        self.frames.push(Frame {
            start: self.out.len(),
            first: self.children.len(),
            object,
        });
    }

    /// A value has been written: notes where it ends in its container.
    fn ended(&mut self) {
        let Some(frame) = self.frames.last() else { return };
        let end = self.out.len() - frame.start;
        if frame.object {
            if let Some(child) = self.children.last_mut() {
                child.end = end;
            }
        } else {
            self.children.push(Child {
                key: end,
                value: end,
                end,
            });
        }
    }

    /// Sorts the members of the innermost object by key, and drops all but the last of equal ones.
    fn sort_members(&mut self, frame: &Frame) {
        let data = &self.out[frame.start..];
        let key = |child: &Child| &data[child.key..child.value];
        let children = &mut self.children[frame.first..];
        let ascending = |pair: &[Child]| compare_keys(key(&pair[0]), key(&pair[1])).is_lt();
        if children.windows(2).all(ascending) {
            return;
        }
        children.sort_by(|a, b| compare_keys(key(a), key(b)));
        if children.windows(2).all(ascending) {
            return;
        }
        // Equal keys: keep the last of each run, then close the gaps in the data (J2).
        let mut kept: Vec<Child> = Vec::with_capacity(children.len());
        for child in children.iter() {
            match kept.last_mut() {
                Some(last) if key(last) == key(child) => *last = *child,
                _ => kept.push(*child),
            }
        }
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by_key(|index| kept[*index].key);
        let mut compact = Vec::with_capacity(data.len());
        for index in order {
            let child = kept[index];
            let at = compact.len();
            compact.extend_from_slice(&data[child.key..child.end]);
            kept[index] = Child {
                key: at,
                value: at + child.value - child.key,
                end: at + child.end - child.key,
            };
        }
        self.out.truncate(frame.start);
        self.out.extend_from_slice(&compact);
        self.children.truncate(frame.first);
        self.children.extend_from_slice(&kept);
    }
}

pub(super) fn write_string(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(value.as_bytes());
    out.push(TAG_STRING);
}

pub(super) fn write_number(out: &mut Vec<u8>, value: &Numeric) {
    if let Some((mantissa, scale)) = value.small_parts() {
        if scale == 0 {
            write_integer(out, mantissa);
            out.push(TAG_INTEGER);
        } else {
            out.extend_from_slice(&(scale as u16).to_le_bytes());
            write_integer(out, mantissa);
            out.push(TAG_DECIMAL);
        }
    } else if let Some((mantissa, scale)) = value.big_parts() {
        out.extend_from_slice(&(scale as u16).to_le_bytes());
        out.extend_from_slice(&mantissa.to_signed_bytes_le());
        out.push(TAG_DECIMAL);
    } else {
        write_string(out, &value.to_string());
    }
}

/// Two's complement, little-endian, in as few bytes as hold the sign; zero takes none.
fn write_integer(out: &mut Vec<u8>, value: i128) {
    if value == 0 {
        return;
    }
    let bits = 129
        - if value < 0 {
            value.leading_ones()
        } else {
            value.leading_zeros()
        };
    let size = (bits.div_ceil(8) as usize).min(16);
    out.extend_from_slice(&value.to_le_bytes()[..size]);
}
