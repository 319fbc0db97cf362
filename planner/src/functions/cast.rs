//! Casts: which type converts to which, how, and when without being asked, as in `pg_cast`.

use super::{Function, by_oid};
use crate::types::oid::*;

/// When a cast is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// Anywhere.
    Implicit,
    /// In assignments to a column, and explicitly.
    Assignment,
    /// Only where written.
    Explicit,
}

/// How a cast converts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastMethod {
    /// By this function; one with further arguments takes the modifier, and whether the cast is explicit.
    Function(u32),
    /// The value is taken as it is.
    Binary,
    /// Through its text.
    Text,
}

/// A cast.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Source type.
    pub source: u32,
    /// Target type.
    pub target: u32,
    /// How.
    pub method: CastMethod,
    /// When.
    pub context: CastContext,
}

impl Cast {
    /// The converting function, if there is one.
    pub fn function(&self) -> Option<&'static Function> {
        match self.method {
            CastMethod::Function(oid) => by_oid(oid),
            CastMethod::Binary | CastMethod::Text => None,
        }
    }
}

const fn by(source: u32, target: u32, function: u32, context: CastContext) -> Cast {
    Cast {
        source,
        target,
        method: CastMethod::Function(function),
        context,
    }
}

const fn same(source: u32, target: u32, context: CastContext) -> Cast {
    Cast {
        source,
        target,
        method: CastMethod::Binary,
        context,
    }
}

const fn through_text(source: u32, target: u32, context: CastContext) -> Cast {
    Cast {
        source,
        target,
        method: CastMethod::Text,
        context,
    }
}

use CastContext::{Assignment, Explicit, Implicit};

/// The vectors as the arrays they are.
pub static VECTOR_CASTS: &[Cast] = &[
    same(INT2VECTOR, INT2_ARRAY, Implicit),
    same(OIDVECTOR, OID_ARRAY, Implicit),
];

/// Every cast between built-in types.
#[rustfmt::skip]
pub static CASTS: &[Cast] = &[
    by(BOOL, INT4, 2558, Explicit),
    by(BOOL, TEXT, 2971, Assignment),
    by(BOOL, BPCHAR, 2971, Assignment),
    by(BOOL, VARCHAR, 2971, Assignment),
    by(CHAR, INT4, 77, Explicit),
    by(CHAR, TEXT, 946, Implicit),
    by(CHAR, BPCHAR, 860, Assignment),
    by(CHAR, VARCHAR, 946, Assignment),
    by(NAME, TEXT, 406, Implicit),
    by(NAME, BPCHAR, 408, Assignment),
    by(NAME, VARCHAR, 1401, Assignment),
    by(INT8, INT2, 714, Assignment),
    by(INT8, INT4, 480, Assignment),
    by(INT8, REGPROC, 1287, Implicit),
    by(INT8, OID, 1287, Implicit),
    by(INT8, FLOAT4, 652, Implicit),
    by(INT8, FLOAT8, 482, Implicit),
    by(INT8, NUMERIC, 1781, Implicit),
    by(INT8, REGPROCEDURE, 1287, Implicit),
    by(INT8, REGOPER, 1287, Implicit),
    by(INT8, REGOPERATOR, 1287, Implicit),
    by(INT8, REGCLASS, 1287, Implicit),
    by(INT8, REGTYPE, 1287, Implicit),
    by(INT8, REGNAMESPACE, 1287, Implicit),
    by(INT8, REGROLE, 1287, Implicit),
    by(INT8, REGCOLLATION, 1287, Implicit),
    by(INT2, INT8, 754, Implicit),
    by(INT2, INT4, 313, Implicit),
    by(INT2, REGPROC, 313, Implicit),
    by(INT2, OID, 313, Implicit),
    by(INT2, FLOAT4, 236, Implicit),
    by(INT2, FLOAT8, 235, Implicit),
    by(INT2, NUMERIC, 1782, Implicit),
    by(INT2, REGPROCEDURE, 313, Implicit),
    by(INT2, REGOPER, 313, Implicit),
    by(INT2, REGOPERATOR, 313, Implicit),
    by(INT2, REGCLASS, 313, Implicit),
    by(INT2, REGTYPE, 313, Implicit),
    by(INT2, REGNAMESPACE, 313, Implicit),
    by(INT2, REGROLE, 313, Implicit),
    by(INT2, REGCOLLATION, 313, Implicit),
    by(INT4, BOOL, 2557, Explicit),
    by(INT4, CHAR, 78, Explicit),
    by(INT4, INT8, 481, Implicit),
    by(INT4, INT2, 314, Assignment),
    same(INT4, REGPROC, Implicit),
    same(INT4, OID, Implicit),
    by(INT4, FLOAT4, 318, Implicit),
    by(INT4, FLOAT8, 316, Implicit),
    by(INT4, NUMERIC, 1740, Implicit),
    same(INT4, REGPROCEDURE, Implicit),
    same(INT4, REGOPER, Implicit),
    same(INT4, REGOPERATOR, Implicit),
    same(INT4, REGCLASS, Implicit),
    same(INT4, REGTYPE, Implicit),
    same(INT4, REGNAMESPACE, Implicit),
    same(INT4, REGROLE, Implicit),
    same(INT4, REGCOLLATION, Implicit),
    by(REGPROC, INT8, 1288, Assignment),
    same(REGPROC, INT4, Assignment),
    same(REGPROC, OID, Implicit),
    same(REGPROC, REGPROCEDURE, Implicit),
    by(TEXT, CHAR, 944, Assignment),
    by(TEXT, NAME, 407, Implicit),
    same(TEXT, BPCHAR, Implicit),
    same(TEXT, VARCHAR, Implicit),
    by(TEXT, REGCLASS, 1079, Implicit),
    by(OID, INT8, 1288, Assignment),
    same(OID, INT4, Assignment),
    same(OID, REGPROC, Implicit),
    same(OID, REGPROCEDURE, Implicit),
    same(OID, REGOPER, Implicit),
    same(OID, REGOPERATOR, Implicit),
    same(OID, REGCLASS, Implicit),
    same(OID, REGTYPE, Implicit),
    same(OID, REGNAMESPACE, Implicit),
    same(OID, REGROLE, Implicit),
    same(OID, REGCOLLATION, Implicit),
    through_text(JSON, JSONB, Assignment),
    same(PG_NODE_TREE, TEXT, Implicit),
    by(FLOAT4, INT8, 653, Assignment),
    by(FLOAT4, INT2, 238, Assignment),
    by(FLOAT4, INT4, 319, Assignment),
    by(FLOAT4, FLOAT8, 311, Implicit),
    by(FLOAT4, NUMERIC, 1742, Assignment),
    by(FLOAT8, INT8, 483, Assignment),
    by(FLOAT8, INT2, 237, Assignment),
    by(FLOAT8, INT4, 317, Assignment),
    by(FLOAT8, FLOAT4, 312, Assignment),
    by(FLOAT8, NUMERIC, 1743, Assignment),
    by(BPCHAR, CHAR, 944, Assignment),
    by(BPCHAR, NAME, 409, Implicit),
    by(BPCHAR, TEXT, 401, Implicit),
    by(BPCHAR, BPCHAR, 668, Implicit),
    by(BPCHAR, VARCHAR, 401, Implicit),
    by(VARCHAR, CHAR, 944, Assignment),
    by(VARCHAR, NAME, 1400, Implicit),
    same(VARCHAR, TEXT, Implicit),
    same(VARCHAR, BPCHAR, Implicit),
    by(VARCHAR, VARCHAR, 669, Implicit),
    by(VARCHAR, REGCLASS, 1079, Implicit),
    by(DATE, TIMESTAMP, 2024, Implicit),
    by(DATE, TIMESTAMPTZ, 1174, Implicit),
    by(TIME, TIME, 1968, Implicit),
    by(TIME, INTERVAL, 1370, Implicit),
    by(TIME, TIMETZ, 2047, Implicit),
    by(TIMESTAMP, DATE, 2029, Assignment),
    by(TIMESTAMP, TIME, 1316, Assignment),
    by(TIMESTAMP, TIMESTAMP, 1961, Implicit),
    by(TIMESTAMP, TIMESTAMPTZ, 2028, Implicit),
    by(TIMESTAMPTZ, DATE, 1178, Assignment),
    by(TIMESTAMPTZ, TIME, 2019, Assignment),
    by(TIMESTAMPTZ, TIMESTAMP, 2027, Assignment),
    by(TIMESTAMPTZ, TIMESTAMPTZ, 1967, Implicit),
    by(TIMESTAMPTZ, TIMETZ, 1388, Assignment),
    by(INTERVAL, TIME, 1419, Assignment),
    by(INTERVAL, INTERVAL, 1200, Implicit),
    by(TIMETZ, TIME, 2046, Assignment),
    by(TIMETZ, TIMETZ, 1969, Implicit),
    by(NUMERIC, INT8, 1779, Assignment),
    by(NUMERIC, INT2, 1783, Assignment),
    by(NUMERIC, INT4, 1744, Assignment),
    by(NUMERIC, FLOAT4, 1745, Implicit),
    by(NUMERIC, FLOAT8, 1746, Implicit),
    by(NUMERIC, NUMERIC, 1703, Implicit),
    by(REGPROCEDURE, INT8, 1288, Assignment),
    same(REGPROCEDURE, INT4, Assignment),
    same(REGPROCEDURE, REGPROC, Implicit),
    same(REGPROCEDURE, OID, Implicit),
    by(REGOPER, INT8, 1288, Assignment),
    same(REGOPER, INT4, Assignment),
    same(REGOPER, OID, Implicit),
    same(REGOPER, REGOPERATOR, Implicit),
    by(REGOPERATOR, INT8, 1288, Assignment),
    same(REGOPERATOR, INT4, Assignment),
    same(REGOPERATOR, OID, Implicit),
    same(REGOPERATOR, REGOPER, Implicit),
    by(REGCLASS, INT8, 1288, Assignment),
    same(REGCLASS, INT4, Assignment),
    same(REGCLASS, OID, Implicit),
    by(REGTYPE, INT8, 1288, Assignment),
    same(REGTYPE, INT4, Assignment),
    same(REGTYPE, OID, Implicit),
    by(JSONB, BOOL, 3556, Explicit),
    by(JSONB, INT8, 3452, Explicit),
    by(JSONB, INT2, 3450, Explicit),
    by(JSONB, INT4, 3451, Explicit),
    through_text(JSONB, JSON, Assignment),
    by(JSONB, FLOAT4, 3453, Explicit),
    by(JSONB, FLOAT8, 2580, Explicit),
    by(JSONB, NUMERIC, 3449, Explicit),
    by(REGNAMESPACE, INT8, 1288, Assignment),
    same(REGNAMESPACE, INT4, Assignment),
    same(REGNAMESPACE, OID, Implicit),
    by(REGROLE, INT8, 1288, Assignment),
    same(REGROLE, INT4, Assignment),
    same(REGROLE, OID, Implicit),
    by(REGCOLLATION, INT8, 1288, Assignment),
    same(REGCOLLATION, INT4, Assignment),
    same(REGCOLLATION, OID, Implicit),
    by(XID8, XID, 5071, Explicit),
];
