//! serde for values: inside larger structures a value is its stored bytes.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{decode_datum, encode_datum};
use crate::path::{decode_operations, encode_operations};
use crate::{Datum, Jsonb, Numeric, PathOp};

/// Collects a byte string, from formats that have them and from those that write sequences.
struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a value")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

impl Serialize for Datum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = Vec::new();
        encode_datum(&mut out, self);
        serializer.serialize_bytes(&out)
    }
}

impl<'de> Deserialize<'de> for Datum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes::from(deserializer.deserialize_byte_buf(BytesVisitor)?);
        let value = decode_datum(&bytes).map_err(D::Error::custom)?;
        // Such bytes may come from another process: a document among them is checked once, here.
        match value {
            Datum::Jsonb(document) => Jsonb::from_bytes(document.as_bytes().clone())
                .map(Datum::Jsonb)
                .map_err(D::Error::custom),
            other => Ok(other),
        }
    }
}

impl Serialize for Numeric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Numeric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for PathOp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = Vec::new();
        encode_operations(&mut out, std::slice::from_ref(self));
        serializer.serialize_bytes(&out)
    }
}

impl<'de> Deserialize<'de> for PathOp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes::from(deserializer.deserialize_byte_buf(BytesVisitor)?);
        let operations = decode_operations(&bytes).map_err(D::Error::custom)?;
        operations
            .into_iter()
            .next()
            .ok_or_else(|| D::Error::custom("no path operation"))
    }
}
