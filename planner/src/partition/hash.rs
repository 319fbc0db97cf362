//! PostgreSQL's hash of partition keys (hashfn.c, `compute_partition_hash_value`), so that rows are where they are there.
//!
//! Integers, dates and times, text, oid, uuid, bytea and boolean hash as in PostgreSQL. Other types hash their key encoding,
//! which is equal for equal values: their rows may be in other partitions than PostgreSQL's.

use storage::Datum;
use storage::key::{KeyOrder, encode_column};

use crate::Type;
use crate::modify::index::as_key;

/// HASH_PARTITION_SEED
const SEED: u64 = 0x7A5B_2236_7996_DCFD;

/// The hash of a row's key; NULLs do not count.
pub fn row_hash<'v>(values: impl IntoIterator<Item = (&'v Datum, Type)>) -> u64 {
    let mut hash = 0u64;
    for (value, ty) in values {
        if !value.is_null() {
            hash = combine(hash, datum_hash(value, ty));
        }
    }
    hash
}

/// hash_combine64
fn combine(a: u64, b: u64) -> u64 {
    a ^ b
        .wrapping_add(0x49a0_f4dd_15e5_a8e3)
        .wrapping_add(a << 54)
        .wrapping_add(a >> 7)
}

fn datum_hash(value: &Datum, ty: Type) -> u64 {
    match &*as_key(value, ty) {
        Datum::Bool(value) => hash_u32(u32::from(*value)),
        Datum::Int2(value) => hash_u32(i32::from(*value) as u32),
        Datum::Int4(value) | Datum::Date(value) => hash_u32(*value as u32),
        Datum::Oid(value) => hash_u32(*value),
        Datum::Int8(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) | Datum::Time(value) => {
            let (low, high) = (*value as u32, (*value >> 32) as u32);
            hash_u32(low ^ if *value >= 0 { high } else { !high })
        }
        Datum::Text(text) => hash_bytes(text.as_bytes()),
        Datum::Bytea(bytes) => hash_bytes(bytes),
        Datum::Uuid(bytes) => hash_bytes(bytes),
        other => {
            let mut key = Vec::new();
            encode_column(&mut key, other, KeyOrder::default());
            hash_bytes(&key)
        }
    }
}

struct State {
    a: u32,
    b: u32,
    c: u32,
}

impl State {
    fn new(length: usize) -> Self {
        let start = 0x9e37_79b9_u32.wrapping_add(length as u32).wrapping_add(3_923_095);
        let mut state = State {
            a: start.wrapping_add((SEED >> 32) as u32),
            b: start.wrapping_add(SEED as u32),
            c: start,
        };
        state.mix();
        state
    }

    fn mix(&mut self) {
        let State { a, b, c } = self;
        *a = a.wrapping_sub(*c) ^ c.rotate_left(4);
        *c = c.wrapping_add(*b);
        *b = b.wrapping_sub(*a) ^ a.rotate_left(6);
        *a = a.wrapping_add(*c);
        *c = c.wrapping_sub(*b) ^ b.rotate_left(8);
        *b = b.wrapping_add(*a);
        *a = a.wrapping_sub(*c) ^ c.rotate_left(16);
        *c = c.wrapping_add(*b);
        *b = b.wrapping_sub(*a) ^ a.rotate_left(19);
        *a = a.wrapping_add(*c);
        *c = c.wrapping_sub(*b) ^ b.rotate_left(4);
        *b = b.wrapping_add(*a);
    }

    fn finish(mut self) -> u64 {
        let State { a, b, c } = &mut self;
        *c = (*c ^ *b).wrapping_sub(b.rotate_left(14));
        *a = (*a ^ *c).wrapping_sub(c.rotate_left(11));
        *b = (*b ^ *a).wrapping_sub(a.rotate_left(25));
        *c = (*c ^ *b).wrapping_sub(b.rotate_left(16));
        *a = (*a ^ *c).wrapping_sub(c.rotate_left(4));
        *b = (*b ^ *a).wrapping_sub(a.rotate_left(14));
        *c = (*c ^ *b).wrapping_sub(b.rotate_left(24));
        (u64::from(*b) << 32) | u64::from(*c)
    }
}

/// hash_bytes_uint32_extended
fn hash_u32(value: u32) -> u64 {
    let mut state = State::new(4);
    state.a = state.a.wrapping_add(value);
    state.finish()
}

/// hash_bytes_extended
fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = State::new(bytes.len());
    let mut chunks = bytes.chunks_exact(12);
    let word = |bytes: &[u8]| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        u32::from_le_bytes(word)
    };
    for chunk in &mut chunks {
        state.a = state.a.wrapping_add(word(&chunk[..4]));
        state.b = state.b.wrapping_add(word(&chunk[4..8]));
        state.c = state.c.wrapping_add(word(&chunk[8..]));
        state.mix();
    }
    let rest = chunks.remainder();
    let part = |from: usize, to: usize| &rest[from.min(rest.len())..to.min(rest.len())];
    state.a = state.a.wrapping_add(word(part(0, 4)));
    state.b = state.b.wrapping_add(word(part(4, 8)));
    // The lowest byte of c is reserved for the length.
    state.c = state.c.wrapping_add(word(part(8, 11)) << 8);
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SELECT hashint4extended(1, 8816678312871386365)` and so on, from PostgreSQL 15.
    #[test]
    fn hashes_are_those_of_postgresql() {
        let signed = |value: &Datum, ty| datum_hash(value, ty) as i64;
        assert_eq!(signed(&Datum::Int4(1), Type::INT4), HASH_INT4_1);
        assert_eq!(signed(&Datum::Int8(-7), Type::INT8), HASH_INT8_MINUS_7);
        assert_eq!(signed(&Datum::text("abcdefghijklmnop"), Type::TEXT), HASH_TEXT);
    }

    const HASH_INT4_1: i64 = 5968994663651403477;
    const HASH_INT8_MINUS_7: i64 = -7298374200968567817;
    const HASH_TEXT: i64 = -2963246452690924729;
}
