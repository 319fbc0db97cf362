//! Types: PostgreSQL's type OIDs, names, categories, and values as text and binary.

pub mod oid;

/// A PostgreSQL type with its modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Type {
    /// `pg_type.oid`.
    pub oid: u32,
    /// `atttypmod`: -1 for none; varchar(n) is n + 4, numeric(p, s) is ((p << 16) | s) + 4.
    pub modifier: i32,
}

impl Type {
    /// A type without modifier.
    pub const fn new(oid: u32) -> Self {
        Self { oid, modifier: -1 }
    }

    /// A type with a modifier.
    pub const fn with_modifier(oid: u32, modifier: i32) -> Self {
        Self { oid, modifier }
    }
}

macro_rules! types {
    ($($name:ident $oid:ident),* $(,)?) => {
        impl Type { $(#[doc = concat!("The type `oid::", stringify!($oid), "`.")] pub const $name: Type = Type::new(oid::$oid);)* }
    };
}

types! {
    BOOL BOOL, BYTEA BYTEA, CHAR CHAR, NAME NAME, INT8 INT8, INT2 INT2, INT4 INT4, REGPROC REGPROC, TEXT TEXT, OID OID,
    JSON JSON, FLOAT4 FLOAT4, FLOAT8 FLOAT8, UNKNOWN UNKNOWN, BPCHAR BPCHAR, VARCHAR VARCHAR, DATE DATE, TIME TIME,
    TIMESTAMP TIMESTAMP, TIMESTAMPTZ TIMESTAMPTZ, INTERVAL INTERVAL, TIMETZ TIMETZ, NUMERIC NUMERIC, UUID UUID, JSONB JSONB,
    JSONPATH JSONPATH, REGCLASS REGCLASS, REGTYPE REGTYPE, RECORD RECORD, VOID VOID,
}
