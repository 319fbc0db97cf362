//! Types, functions, operators and casts: pg_type, pg_proc, pg_operator, pg_cast, pg_aggregate, pg_am, pg_language, ….

use storage::Datum;

use super::SystemContext;
use super::builder::{Builder, id, text};
use crate::catalog::{BOOTSTRAP_ROLE, PG_CATALOG};
use crate::functions::{self, FunctionKind, Volatility};
use crate::types::{self, oid};

/// OID of the language `internal`.
const INTERNAL_LANGUAGE: u32 = 12;

/// Fills one of these relations; `false` if it is not one of them.
pub(super) fn fill(name: &str, rows: &mut Builder, _context: &SystemContext<'_>) -> bool {
    match name {
        "pg_type" => pg_type(rows),
        "pg_proc" => pg_proc(rows),
        "pg_operator" => pg_operator(rows),
        "pg_cast" => pg_cast(rows),
        "pg_aggregate" => pg_aggregate(rows),
        "pg_am" => pg_am(rows),
        "pg_language" => pg_language(rows),
        "pg_collation" => pg_collation(rows),
        _ => return false,
    }
    true
}

fn pg_type(rows: &mut Builder) {
    for info in types::all() {
        rows.row([
            ("oid", id(info.oid)),
            ("typname", text(info.name)),
            ("typnamespace", id(PG_CATALOG)),
            ("typowner", id(BOOTSTRAP_ROLE)),
            ("typlen", Datum::Int2(info.length)),
            ("typbyval", Datum::Bool((1..=8).contains(&info.length))),
            ("typtype", text(char::from(info.kind).to_string())),
            ("typcategory", text(char::from(info.category).to_string())),
            ("typispreferred", Datum::Bool(info.preferred)),
            ("typisdefined", Datum::Bool(true)),
            ("typdelim", text(",")),
            ("typelem", id(info.element)),
            ("typarray", id(info.array)),
            ("typalign", text(char::from(info.align).to_string())),
            ("typstorage", text(char::from(info.storage).to_string())),
            ("typtypmod", Datum::Int4(-1)),
            ("typcollation", id(info.collation)),
            ("typinput", Datum::Oid(io_function(info.name, "in"))),
            ("typoutput", Datum::Oid(io_function(info.name, "out"))),
            ("typreceive", Datum::Oid(io_function(info.name, "recv"))),
            ("typsend", Datum::Oid(io_function(info.name, "send"))),
        ]);
    }
}

/// The conversion function of a type, where the function table has it (drivers tell arrays by `array_in`).
fn io_function(name: &str, direction: &str) -> u32 {
    let candidates = match name.strip_prefix('_') {
        Some(_) => [format!("array_{direction}"), String::new()],
        None => [format!("{name}{direction}"), format!("{name}_{direction}")],
    };
    candidates
        .iter()
        .find_map(|candidate| functions::by_name(candidate).first())
        .map_or(0, |function| function.oid)
}

fn oids(values: &[u32]) -> Datum {
    Datum::array(oid::OID, values.iter().map(|value| Datum::Oid(*value)).collect())
}

fn pg_proc(rows: &mut Builder) {
    for function in functions::all() {
        rows.row([
            ("oid", id(function.oid)),
            ("proname", text(function.name)),
            ("pronamespace", id(PG_CATALOG)),
            ("proowner", id(BOOTSTRAP_ROLE)),
            ("prolang", id(INTERNAL_LANGUAGE)),
            ("procost", Datum::Float4(1.0)),
            (
                "provariadic",
                id(if function.variadic {
                    function.args.last().copied().unwrap_or(0)
                } else {
                    0
                }),
            ),
            (
                "prokind",
                text(match function.kind {
                    FunctionKind::Scalar | FunctionKind::Set => "f",
                    FunctionKind::Aggregate => "a",
                    FunctionKind::Window => "w",
                }),
            ),
            ("proisstrict", Datum::Bool(function.strict)),
            ("proretset", Datum::Bool(function.kind == FunctionKind::Set)),
            (
                "provolatile",
                text(match function.volatility {
                    Volatility::Immutable => "i",
                    Volatility::Stable => "s",
                    Volatility::Volatile => "v",
                }),
            ),
            ("proparallel", text("s")),
            ("pronargs", Datum::Int2(function.args.len() as i16)),
            ("pronargdefaults", Datum::Int2(function.defaults.len() as i16)),
            ("prorettype", id(function.returns)),
            ("proargtypes", oids(function.args)),
            ("prosrc", text(function.name)),
        ]);
    }
}

fn pg_operator(rows: &mut Builder) {
    for operator in functions::all_operators() {
        rows.row([
            ("oid", id(operator.oid)),
            ("oprname", text(operator.name)),
            ("oprnamespace", id(PG_CATALOG)),
            ("oprowner", id(BOOTSTRAP_ROLE)),
            ("oprkind", text(if operator.left == 0 { "l" } else { "b" })),
            ("oprleft", id(operator.left)),
            ("oprright", id(operator.right)),
            ("oprresult", id(operator.result)),
            ("oprcom", id(operator.commutator)),
            ("oprnegate", id(operator.negator)),
            ("oprcode", Datum::Oid(operator.function)),
        ]);
    }
}

fn pg_cast(rows: &mut Builder) {
    use functions::{CastContext, CastMethod};
    for (i, cast) in functions::all_casts().iter().enumerate() {
        rows.row([
            // PostgreSQL's casts have OIDs of no meaning to clients; these are ours.
            ("oid", id(10_000 + i as u32)),
            ("castsource", id(cast.source)),
            ("casttarget", id(cast.target)),
            ("castfunc", id(cast.function().map_or(0, |function| function.oid))),
            (
                "castcontext",
                text(match cast.context {
                    CastContext::Implicit => "i",
                    CastContext::Assignment => "a",
                    CastContext::Explicit => "e",
                }),
            ),
            (
                "castmethod",
                text(match cast.method {
                    CastMethod::Function(_) => "f",
                    CastMethod::Binary => "b",
                    CastMethod::Text => "i",
                }),
            ),
        ]);
    }
}

fn pg_aggregate(rows: &mut Builder) {
    for function in functions::all()
        .iter()
        .filter(|function| function.kind == FunctionKind::Aggregate)
    {
        rows.row([("aggfnoid", Datum::Oid(function.oid)), ("aggkind", text("n"))]);
    }
}

fn pg_am(rows: &mut Builder) {
    for (number, name, kind) in [(2, "heap", "t"), (403, "btree", "i"), (405, "hash", "i")] {
        rows.row([("oid", id(number)), ("amname", text(name)), ("amtype", text(kind))]);
    }
}

fn pg_language(rows: &mut Builder) {
    for (number, name) in [(INTERNAL_LANGUAGE, "internal"), (14, "sql")] {
        rows.row([
            ("oid", id(number)),
            ("lanname", text(name)),
            ("lanowner", id(BOOTSTRAP_ROLE)),
        ]);
    }
}

fn pg_collation(rows: &mut Builder) {
    for (number, name, provider) in [(100, "default", "d"), (950, "C", "c"), (951, "POSIX", "c")] {
        rows.row([
            ("oid", id(number)),
            ("collname", text(name)),
            ("collnamespace", id(PG_CATALOG)),
            ("collowner", id(BOOTSTRAP_ROLE)),
            ("collprovider", text(provider)),
            ("collisdeterministic", Datum::Bool(true)),
            ("collencoding", Datum::Int4(-1)),
        ]);
    }
}
