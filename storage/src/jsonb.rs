//! jsonb: our own binary format with indexed members; a path is read without decoding the rest.

use bytes::Bytes;

/// A binary JSON document. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Jsonb(pub(crate) Bytes);
