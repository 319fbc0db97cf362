//! numeric: exact decimals with a scale per value, NaN and infinities, as PostgreSQL computes and prints them.

/// An exact decimal.
#[derive(Clone, Debug)]
pub struct Numeric(pub(crate) num_bigint::BigInt, pub(crate) u16);
