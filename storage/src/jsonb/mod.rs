//! jsonb: our own binary format with indexed members; a path is read without decoding the rest.
//!
//! ```text
//!   {"b": [1, 2], "a": "x"}
//!   └ members in the order written ─┐ table, sorted by key ─┐ count ─┐ tag
//!   [b][1][2][1 2][2][array] [a][x][string]   [a.. b..]       [2]      [object]
//! ```
//! A value ends with its tag, and a container's table of offsets stands behind its members: a document is written front to
//! back in one pass, whatever its depth, and a member's bytes are a value by themselves. So `get` is a binary search and a
//! slice that shares the document's memory, and a change to one path copies siblings as they are.
//!
//! Invariants
//!  J1  The members of an object are unique and its table is sorted as PostgreSQL sorts them: by key length, then bytes.
//!  J2  The data part of a container is exactly its members, without gaps: size is what is stored, nothing hides.
//!  J3  Numbers are finite and keep their scale: `1.50` stays `1.50`.
//!  J4  Nothing here recurses: any depth is printed, compared and searched with a stack on the heap. The parser alone bounds
//!      depth ([`DEPTH_MAX`]), where PostgreSQL runs out of stack.
//!
//! Views of bytes that break the format (which a checksum or [`Jsonb::from_bytes`] should have refused) read as `null`; they
//! never panic. The bytes are defined in `FORMAT.md`.

mod builder;
mod check;
mod compare;
mod contains;
mod delete;
mod edit;
mod error;
mod lexer;
mod overlay;
mod parser;
mod print;
mod value;
mod view;

use bytes::Bytes;

pub use builder::JsonBuilder;
pub use delete::{delete_index, delete_key, delete_keys, delete_path};
pub use edit::{EditError, SetMode, concat, set, strip_nulls};
pub use error::{JsonError, JsonErrorKind};
pub use lexer::{Lexer, Token};
pub use overlay::Overlay;
pub use parser::{JsonEvents, parse_events, validate};
pub use print::write_escaped;
pub use value::JsonValue;
pub(crate) use view::compare_keys;
pub use view::{Elements, JsonKind, JsonRef, Members, parse_index};

use crate::{Numeric, StorageResult};

/// Deepest nesting the parser accepts; beyond it PostgreSQL's 54001 is given. Not configuration: part of what is stored.
pub const DEPTH_MAX: usize = 6_400;
/// Largest document in bytes, as in PostgreSQL.
pub const BYTES_MAX: usize = 0x0FFF_FFFF;

/// A binary JSON document. Cloning shares the bytes.
#[derive(Clone)]
pub struct Jsonb(pub(crate) Bytes);

impl Jsonb {
    /// Parses JSON text (RFC 8259).
    ///
    /// # Errors
    /// What PostgreSQL's `jsonb_in` says.
    pub fn parse(text: &str) -> Result<Jsonb, JsonError> {
        parser::parse(text)
    }

    /// Takes over bytes from outside after checking every one of them.
    ///
    /// # Errors
    /// [`crate::StorageError::Corrupted`]
    pub fn from_bytes(bytes: Bytes) -> StorageResult<Jsonb> {
        check::check(&bytes)?;
        Ok(Jsonb(bytes))
    }

    /// Takes over bytes that a checksum vouches for.
    pub fn from_trusted_bytes(bytes: Bytes) -> Jsonb {
        Jsonb(bytes)
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// JSON null.
    pub fn null() -> Jsonb {
        Jsonb(Bytes::from_static(&[view::TAG_NULL]))
    }

    /// true or false
    pub fn bool(value: bool) -> Jsonb {
        Jsonb(Bytes::from_static(if value {
            &[view::TAG_TRUE]
        } else {
            &[view::TAG_FALSE]
        }))
    }

    /// A number; NaN and infinities, which JSON lacks, become strings as in PostgreSQL.
    pub fn number(value: &Numeric) -> Jsonb {
        let mut out = Vec::new();
        builder::write_number(&mut out, value);
        Jsonb(out.into())
    }

    /// A string.
    pub fn string(value: &str) -> Jsonb {
        let mut out = Vec::with_capacity(value.len() + 1);
        builder::write_string(&mut out, value);
        Jsonb(out.into())
    }

    /// `{}`
    pub fn empty_object() -> Jsonb {
        Jsonb(Bytes::from_static(&[0, view::TAG_OBJECT]))
    }

    /// `[]`
    pub fn empty_array() -> Jsonb {
        Jsonb(Bytes::from_static(&[0, view::TAG_ARRAY]))
    }

    /// The borrowed view, which all reading goes through.
    pub fn view(&self) -> JsonRef<'_> {
        JsonRef(&self.0)
    }

    /// Member of an object (`->` with text).
    pub fn get(&self, key: &str) -> Option<Jsonb> {
        self.view().get(key).map(|found| self.share(found))
    }

    /// Element of an array, counted from the end if negative (`->` with integer).
    pub fn element(&self, index: i64) -> Option<Jsonb> {
        self.view().element(index).map(|found| self.share(found))
    }

    /// Value at a path of member names and array positions (`#>`).
    pub fn path<S: AsRef<str>>(&self, steps: &[S]) -> Option<Jsonb> {
        self.view().path(steps).map(|found| self.share(found))
    }

    /// A part of this document as a document of its own that shares its memory.
    pub fn share(&self, part: JsonRef<'_>) -> Jsonb {
        let (start, outer) = (part.0.as_ptr() as usize, self.0.as_ptr() as usize);
        // A small part should not keep a large document alive, and bytes from elsewhere cannot be shared.
        let inside = start >= outer && start + part.0.len() <= outer + self.0.len();
        if inside && part.0.len() >= 64 {
            Jsonb(self.0.slice_ref(part.0))
        } else {
            part.to_owned()
        }
    }

    /// Bytes of the stored form.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for Jsonb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.view(), f)
    }
}

impl std::fmt::Debug for Jsonb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Jsonb {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Self, JsonError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
