//! Types, functions, operators and casts: pg_type, pg_proc, pg_operator, pg_cast, pg_aggregate, pg_am, pg_language, ….

use storage::Datum;

use super::SystemContext;
use super::builder::{Builder, id, text};
use crate::Type;
use crate::catalog::user_type::{LABEL_BASE, LABEL_GAP};
use crate::catalog::{BOOTSTRAP_ROLE, CAMBIUM_SCHEMA, PG_CATALOG, RelationKind, UserTypeKind};
use crate::functions::{self, FunctionKind, Volatility};
use crate::types::{self, oid};

/// OID of the language `internal`.
const INTERNAL_LANGUAGE: u32 = 12;

/// Schema of a function: our own have it in their name.
pub(super) fn namespace(function: &str) -> u32 {
    if function.starts_with("cambium.") {
        CAMBIUM_SCHEMA
    } else {
        PG_CATALOG
    }
}

/// Fills one of these relations; `false` if it is not one of them.
pub(super) fn fill(name: &str, rows: &mut Builder, context: &SystemContext<'_>) -> bool {
    match name {
        "pg_type" => {
            pg_type(rows);
            user_types(rows, context);
        }
        "pg_enum" => enums(rows, context),
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

/// A type of users, and the array type over it.
struct UserRow<'a> {
    id: u32,
    name: &'a str,
    schema: u32,
    owner: u32,
    kind: char,
    category: char,
    relation: u32,
    base: Type,
    not_null: bool,
}

fn user_types(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in super::schema::visible(context).filter(|relation| relation.kind != RelationKind::Sequence) {
        user_type(
            rows,
            &UserRow {
                id: relation.id,
                name: &relation.name,
                schema: relation.schema,
                owner: relation.owner,
                kind: 'c',
                category: 'C',
                relation: relation.id,
                base: Type::new(0),
                not_null: false,
            },
        );
    }
    let database = context.catalog.session_database(context.session);
    for user in context.catalog.types.values() {
        let schema = context.catalog.schemas.get(&user.schema);
        if schema.is_none_or(|schema| schema.database != database) {
            continue;
        }
        let (kind, category, base, not_null) = match &user.kind {
            UserTypeKind::Enum { .. } => ('e', 'E', Type::new(0), false),
            UserTypeKind::Domain(domain) => (
                'd',
                char::from(types::category(domain.base.oid)),
                domain.base,
                domain.not_null,
            ),
        };
        user_type(
            rows,
            &UserRow {
                id: user.id,
                name: &user.name,
                schema: user.schema,
                owner: user.owner,
                kind,
                category,
                relation: 0,
                base,
                not_null,
            },
        );
    }
}

fn user_type(rows: &mut Builder, user: &UserRow<'_>) {
    let array = types::array_of(user.id).unwrap_or(0);
    let array_name = format!("_{}", user.name);
    let both = [
        (user.id, user.name, user.kind, user.category, 0, array, user.relation),
        (array, array_name.as_str(), 'b', 'A', user.id, 0, 0),
    ];
    for (type_oid, name, kind, category, element, array, relation) in both {
        let storage = match kind {
            'e' => 'p',
            'd' => types::info(user.base.oid).map_or('x', |info| char::from(info.storage)),
            _ => 'x',
        };
        rows.row([
            ("oid", id(type_oid)),
            ("typname", text(name)),
            ("typnamespace", id(user.schema)),
            ("typowner", id(user.owner)),
            ("typlen", Datum::Int2(if kind == 'e' { 4 } else { -1 })),
            ("typbyval", Datum::Bool(kind == 'e')),
            ("typtype", text(kind.to_string())),
            ("typcategory", text(category.to_string())),
            ("typispreferred", Datum::Bool(false)),
            ("typisdefined", Datum::Bool(true)),
            ("typdelim", text(",")),
            ("typrelid", id(relation)),
            ("typelem", id(element)),
            ("typarray", id(array)),
            ("typalign", text("i")),
            ("typstorage", text(storage.to_string())),
            ("typnotnull", Datum::Bool(kind == 'd' && user.not_null)),
            ("typbasetype", id(if kind == 'd' { user.base.oid } else { 0 })),
            (
                "typtypmod",
                Datum::Int4(if kind == 'd' { user.base.modifier } else { -1 }),
            ),
            (
                "typinput",
                Datum::Oid(io_function(if element == 0 { "" } else { "_" }, "in")),
            ),
        ]);
    }
}

fn enums(rows: &mut Builder, context: &SystemContext<'_>) {
    for user in context.catalog.types.values() {
        if let UserTypeKind::Enum { labels } = &user.kind {
            for (number, label) in labels {
                rows.row([
                    ("oid", id(*number)),
                    ("enumtypid", id(user.id)),
                    (
                        "enumsortorder",
                        Datum::Float4((f64::from(*number) - f64::from(LABEL_BASE)) as f32 / LABEL_GAP as f32),
                    ),
                    ("enumlabel", text(label)),
                ]);
            }
        }
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
        .map(|function| function.oid)
        .or_else(|| functions::io_function_oid(&candidates[0]))
        .unwrap_or(0)
}

fn oids(values: &[u32]) -> Datum {
    Datum::array(oid::OID, values.iter().map(|value| Datum::Oid(*value)).collect())
}

fn pg_proc(rows: &mut Builder) {
    for function in functions::all() {
        rows.row([
            ("oid", id(function.oid)),
            (
                "proname",
                text(function.name.strip_prefix("cambium.").unwrap_or(function.name)),
            ),
            ("pronamespace", id(namespace(function.name))),
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
