//! The binary output functions, one for each type.

use super::send;
use crate::functions::Function;
use crate::functions::call::unary_with;
use crate::functions::define::scalar;
use crate::types::oid::*;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(324, "json_send", &[JSON], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2401, "array_send", &[ANYARRAY], BYTEA, |c, a| unary_with(send, c, a)).stable(),
    scalar(2403, "record_send", &[RECORD], BYTEA, |c, a| unary_with(send, c, a)).stable(),
    scalar(2405, "int2send", &[INT2], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2407, "int4send", &[INT4], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2409, "int8send", &[INT8], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2411, "int2vectorsend", &[INT2VECTOR], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2413, "byteasend", &[BYTEA], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2415, "textsend", &[TEXT], BYTEA, |c, a| unary_with(send, c, a)).stable(),
    scalar(2419, "oidsend", &[OID], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2421, "oidvectorsend", &[OIDVECTOR], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2423, "namesend", &[NAME], BYTEA, |c, a| unary_with(send, c, a)).stable(),
    scalar(2425, "float4send", &[FLOAT4], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2427, "float8send", &[FLOAT8], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2431, "bpcharsend", &[BPCHAR], BYTEA, |c, a| unary_with(send, c, a)).stable(),
    scalar(2433, "varcharsend", &[VARCHAR], BYTEA, |c, a| unary_with(send, c, a)).stable(),
    scalar(2435, "charsend", &[CHAR], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2437, "boolsend", &[BOOL], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2439, "tidsend", &[TID], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2441, "xidsend", &[XID], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2443, "cidsend", &[CID], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2445, "regprocsend", &[REGPROC], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2447, "regproceduresend", &[REGPROCEDURE], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2449, "regopersend", &[REGOPER], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2451, "regoperatorsend", &[REGOPERATOR], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2453, "regclasssend", &[REGCLASS], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2455, "regtypesend", &[REGTYPE], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2461, "numeric_send", &[NUMERIC], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2469, "date_send", &[DATE], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2471, "time_send", &[TIME], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2473, "timetz_send", &[TIMETZ], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2475, "timestamp_send", &[TIMESTAMP], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2477, "timestamptz_send", &[TIMESTAMPTZ], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2479, "interval_send", &[INTERVAL], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(2962, "uuid_send", &[UUID], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(3803, "jsonb_send", &[JSONB], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(4004, "jsonpath_send", &[JSONPATH], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(4088, "regnamespacesend", &[REGNAMESPACE], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(4095, "regrolesend", &[REGROLE], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(4197, "regcollationsend", &[REGCOLLATION], BYTEA, |c, a| unary_with(send, c, a)),
    scalar(5083, "xid8send", &[XID8], BYTEA, |c, a| unary_with(send, c, a)),
];
