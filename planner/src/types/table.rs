//! The type table: what `pg_type` says of every built-in type Cambium knows.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::user;

/// Facts about one built-in type, as in `pg_type`.
#[derive(Clone, Copy, Debug)]
pub struct TypeInfo {
    /// `oid`
    pub oid: u32,
    /// `typname`
    pub name: &'static str,
    /// What `format_type` prints without a modifier.
    pub sql_name: &'static str,
    /// `typlen`
    pub length: i16,
    /// `typcategory`
    pub category: u8,
    /// `typispreferred`
    pub preferred: bool,
    /// `typelem`: element type of an array (and of `name`), or 0.
    pub element: u32,
    /// `typarray`: the array type over this type, or 0.
    pub array: u32,
    /// `typtype`: b base, p pseudo.
    pub kind: u8,
    /// `typalign`
    pub align: u8,
    /// `typstorage`
    pub storage: u8,
    /// `typcollation`
    pub collation: u32,
}

impl TypeInfo {
    /// Whether it is a pseudo-type, which no column can have.
    pub fn is_pseudo(&self) -> bool {
        self.kind == b'p'
    }

    /// Whether it is a true array type (`int2vector` and `oidvector` are not).
    pub fn is_array(&self) -> bool {
        self.element != 0 && self.name.starts_with('_')
    }

    const fn preferred(mut self) -> Self {
        self.preferred = true;
        self
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "one row of the table below, in pg_type's order"
)]
const fn entry(
    oid: u32,
    name: &'static str,
    sql_name: &'static str,
    length: i16,
    category: u8,
    element: u32,
    array: u32,
    kind_align_storage: &[u8; 3],
    collation: u32,
) -> TypeInfo {
    let [kind, align, storage] = *kind_align_storage;
    TypeInfo {
        oid,
        name,
        sql_name,
        length,
        category,
        preferred: false,
        element,
        array,
        kind,
        align,
        storage,
        collation,
    }
}

static BY_OID: LazyLock<HashMap<u32, &'static TypeInfo, ahash::RandomState>> =
    LazyLock::new(|| TYPES.iter().map(|info| (info.oid, info)).collect());

static BY_NAME: LazyLock<HashMap<&'static str, &'static TypeInfo, ahash::RandomState>> =
    LazyLock::new(|| TYPES.iter().map(|info| (info.name, info)).collect());

/// Every built-in type, by OID.
pub fn all() -> &'static [TypeInfo] {
    TYPES
}

/// The facts of a built-in type.
pub fn info(oid: u32) -> Option<&'static TypeInfo> {
    BY_OID.get(&oid).copied()
}

/// Finds a type by its `pg_type` name or by the SQL standard's one-word spelling (`integer`, `decimal`, …).
pub fn lookup_name(name: &str) -> Option<u32> {
    if let Some(info) = BY_NAME.get(name) {
        return Some(info.oid);
    }
    let known = match name {
        "boolean" => "bool",
        "smallint" => "int2",
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "float" => "float8",
        "decimal" | "dec" => "numeric",
        "character" => "bpchar",
        _ => return None,
    };
    BY_NAME.get(known).map(|info| info.oid)
}

/// The array type over a type, or `None` (pseudo-types, arrays themselves).
pub fn array_of(oid: u32) -> Option<u32> {
    match info(oid) {
        Some(info) => Some(info.array).filter(|&array| array != 0),
        None => (oid != 0 && !user::is_array(oid)).then_some(oid | user::ARRAY),
    }
}

/// The element type of a true array type, or `None`.
pub fn element_of(oid: u32) -> Option<u32> {
    if user::is_array(oid) {
        return Some(oid & !user::ARRAY);
    }
    info(oid).filter(|info| info.is_array()).map(|info| info.element)
}

/// Whether a type is a row type: of a table, of CREATE TYPE … AS, or an anonymous record.
pub fn is_row(oid: u32) -> bool {
    oid == super::oid::RECORD || (user::is_plain(oid) && info(oid).is_none())
}

/// `typcategory`; row types are composite (`C`).
pub fn category(oid: u32) -> u8 {
    match info(oid) {
        Some(info) => info.category,
        None if user::is_array(oid) => b'A',
        None if user::is_enum(oid) => b'E',
        None => b'C',
    }
}

/// `typispreferred`
pub fn is_preferred(oid: u32) -> bool {
    info(oid).is_some_and(|info| info.preferred)
}

#[rustfmt::skip]
static TYPES: &[TypeInfo] = &[
    // oid, typname, format_type, typlen, typcategory, typelem, typarray, typtype typalign typstorage, typcollation
    entry(16, "bool", "boolean", 1, b'B', 0, 1000, b"bcp", 0).preferred(),
    entry(17, "bytea", "bytea", -1, b'U', 0, 1001, b"bix", 0),
    entry(18, "char", "\"char\"", 1, b'Z', 0, 1002, b"bcp", 0),
    entry(19, "name", "name", 64, b'S', 18, 1003, b"bcp", 950),
    entry(20, "int8", "bigint", 8, b'N', 0, 1016, b"bdp", 0),
    entry(21, "int2", "smallint", 2, b'N', 0, 1005, b"bsp", 0),
    entry(22, "int2vector", "int2vector", -1, b'A', 21, 1006, b"bip", 0),
    entry(23, "int4", "integer", 4, b'N', 0, 1007, b"bip", 0),
    entry(24, "regproc", "regproc", 4, b'N', 0, 1008, b"bip", 0),
    entry(25, "text", "text", -1, b'S', 0, 1009, b"bix", 100).preferred(),
    entry(26, "oid", "oid", 4, b'N', 0, 1028, b"bip", 0).preferred(),
    entry(27, "tid", "tid", 6, b'U', 0, 1010, b"bsp", 0),
    entry(28, "xid", "xid", 4, b'U', 0, 1011, b"bip", 0),
    entry(29, "cid", "cid", 4, b'U', 0, 1012, b"bip", 0),
    entry(30, "oidvector", "oidvector", -1, b'A', 26, 1013, b"bip", 0),
    entry(114, "json", "json", -1, b'U', 0, 199, b"bix", 0),
    entry(194, "pg_node_tree", "pg_node_tree", -1, b'Z', 0, 0, b"bix", 100),
    entry(199, "_json", "json[]", -1, b'A', 114, 0, b"bix", 0),
    entry(271, "_xid8", "xid8[]", -1, b'A', 5069, 0, b"bdx", 0),
    entry(700, "float4", "real", 4, b'N', 0, 1021, b"bip", 0),
    entry(701, "float8", "double precision", 8, b'N', 0, 1022, b"bdp", 0).preferred(),
    entry(705, "unknown", "unknown", -2, b'X', 0, 0, b"pcp", 0),
    entry(1000, "_bool", "boolean[]", -1, b'A', 16, 0, b"bix", 0),
    entry(1001, "_bytea", "bytea[]", -1, b'A', 17, 0, b"bix", 0),
    entry(1002, "_char", "\"char\"[]", -1, b'A', 18, 0, b"bix", 0),
    entry(1003, "_name", "name[]", -1, b'A', 19, 0, b"bix", 950),
    entry(1005, "_int2", "smallint[]", -1, b'A', 21, 0, b"bix", 0),
    entry(1006, "_int2vector", "int2vector[]", -1, b'A', 22, 0, b"bix", 0),
    entry(1007, "_int4", "integer[]", -1, b'A', 23, 0, b"bix", 0),
    entry(1008, "_regproc", "regproc[]", -1, b'A', 24, 0, b"bix", 0),
    entry(1009, "_text", "text[]", -1, b'A', 25, 0, b"bix", 100),
    entry(1010, "_tid", "tid[]", -1, b'A', 27, 0, b"bix", 0),
    entry(1011, "_xid", "xid[]", -1, b'A', 28, 0, b"bix", 0),
    entry(1012, "_cid", "cid[]", -1, b'A', 29, 0, b"bix", 0),
    entry(1013, "_oidvector", "oidvector[]", -1, b'A', 30, 0, b"bix", 0),
    entry(1014, "_bpchar", "character[]", -1, b'A', 1042, 0, b"bix", 100),
    entry(1015, "_varchar", "character varying[]", -1, b'A', 1043, 0, b"bix", 100),
    entry(1016, "_int8", "bigint[]", -1, b'A', 20, 0, b"bdx", 0),
    entry(1021, "_float4", "real[]", -1, b'A', 700, 0, b"bix", 0),
    entry(1022, "_float8", "double precision[]", -1, b'A', 701, 0, b"bdx", 0),
    entry(1028, "_oid", "oid[]", -1, b'A', 26, 0, b"bix", 0),
    entry(1033, "aclitem", "aclitem", 12, b'U', 0, 1034, b"bip", 0),
    entry(1034, "_aclitem", "aclitem[]", -1, b'A', 1033, 0, b"bix", 0),
    entry(1042, "bpchar", "character", -1, b'S', 0, 1014, b"bix", 100),
    entry(1043, "varchar", "character varying", -1, b'S', 0, 1015, b"bix", 100),
    entry(1082, "date", "date", 4, b'D', 0, 1182, b"bip", 0),
    entry(1083, "time", "time without time zone", 8, b'D', 0, 1183, b"bdp", 0),
    entry(1114, "timestamp", "timestamp without time zone", 8, b'D', 0, 1115, b"bdp", 0),
    entry(1115, "_timestamp", "timestamp without time zone[]", -1, b'A', 1114, 0, b"bdx", 0),
    entry(1182, "_date", "date[]", -1, b'A', 1082, 0, b"bix", 0),
    entry(1183, "_time", "time without time zone[]", -1, b'A', 1083, 0, b"bdx", 0),
    entry(1184, "timestamptz", "timestamp with time zone", 8, b'D', 0, 1185, b"bdp", 0).preferred(),
    entry(1185, "_timestamptz", "timestamp with time zone[]", -1, b'A', 1184, 0, b"bdx", 0),
    entry(1186, "interval", "interval", 16, b'T', 0, 1187, b"bdp", 0).preferred(),
    entry(1187, "_interval", "interval[]", -1, b'A', 1186, 0, b"bdx", 0),
    entry(1231, "_numeric", "numeric[]", -1, b'A', 1700, 0, b"bix", 0),
    entry(1263, "_cstring", "cstring[]", -1, b'A', 2275, 0, b"bix", 0),
    entry(1266, "timetz", "time with time zone", 12, b'D', 0, 1270, b"bdp", 0),
    entry(1270, "_timetz", "time with time zone[]", -1, b'A', 1266, 0, b"bdx", 0),
    entry(1700, "numeric", "numeric", -1, b'N', 0, 1231, b"bim", 0),
    entry(1790, "refcursor", "refcursor", -1, b'U', 0, 2201, b"bix", 0),
    entry(2201, "_refcursor", "refcursor[]", -1, b'A', 1790, 0, b"bix", 0),
    entry(2202, "regprocedure", "regprocedure", 4, b'N', 0, 2207, b"bip", 0),
    entry(2203, "regoper", "regoper", 4, b'N', 0, 2208, b"bip", 0),
    entry(2204, "regoperator", "regoperator", 4, b'N', 0, 2209, b"bip", 0),
    entry(2205, "regclass", "regclass", 4, b'N', 0, 2210, b"bip", 0),
    entry(2206, "regtype", "regtype", 4, b'N', 0, 2211, b"bip", 0),
    entry(2207, "_regprocedure", "regprocedure[]", -1, b'A', 2202, 0, b"bix", 0),
    entry(2208, "_regoper", "regoper[]", -1, b'A', 2203, 0, b"bix", 0),
    entry(2209, "_regoperator", "regoperator[]", -1, b'A', 2204, 0, b"bix", 0),
    entry(2210, "_regclass", "regclass[]", -1, b'A', 2205, 0, b"bix", 0),
    entry(2211, "_regtype", "regtype[]", -1, b'A', 2206, 0, b"bix", 0),
    entry(2249, "record", "record", -1, b'P', 0, 2287, b"pdx", 0),
    entry(2275, "cstring", "cstring", -2, b'P', 0, 1263, b"pcp", 0),
    entry(2276, "any", "\"any\"", 4, b'P', 0, 0, b"pip", 0),
    entry(2277, "anyarray", "anyarray", -1, b'P', 0, 0, b"pdx", 0),
    entry(2278, "void", "void", 4, b'P', 0, 0, b"pip", 0),
    entry(2279, "trigger", "trigger", 4, b'P', 0, 0, b"pip", 0),
    entry(2280, "language_handler", "language_handler", 4, b'P', 0, 0, b"pip", 0),
    entry(2281, "internal", "internal", 8, b'P', 0, 0, b"pdp", 0),
    entry(2283, "anyelement", "anyelement", 4, b'P', 0, 0, b"pip", 0),
    entry(2287, "_record", "record[]", -1, b'P', 2249, 0, b"pdx", 0),
    entry(2776, "anynonarray", "anynonarray", 4, b'P', 0, 0, b"pip", 0),
    entry(2950, "uuid", "uuid", 16, b'U', 0, 2951, b"bcp", 0),
    entry(2951, "_uuid", "uuid[]", -1, b'A', 2950, 0, b"bix", 0),
    entry(3220, "pg_lsn", "pg_lsn", 8, b'U', 0, 3221, b"bdp", 0),
    entry(3221, "_pg_lsn", "pg_lsn[]", -1, b'A', 3220, 0, b"bdx", 0),
    entry(3500, "anyenum", "anyenum", 4, b'P', 0, 0, b"pip", 0),
    entry(3734, "regconfig", "regconfig", 4, b'N', 0, 3735, b"bip", 0),
    entry(3735, "_regconfig", "regconfig[]", -1, b'A', 3734, 0, b"bix", 0),
    entry(3769, "regdictionary", "regdictionary", 4, b'N', 0, 3770, b"bip", 0),
    entry(3770, "_regdictionary", "regdictionary[]", -1, b'A', 3769, 0, b"bix", 0),
    entry(3802, "jsonb", "jsonb", -1, b'U', 0, 3807, b"bix", 0),
    entry(3807, "_jsonb", "jsonb[]", -1, b'A', 3802, 0, b"bix", 0),
    entry(3831, "anyrange", "anyrange", -1, b'P', 0, 0, b"pdx", 0),
    entry(3838, "event_trigger", "event_trigger", 4, b'P', 0, 0, b"pip", 0),
    entry(4072, "jsonpath", "jsonpath", -1, b'U', 0, 4073, b"bix", 0),
    entry(4073, "_jsonpath", "jsonpath[]", -1, b'A', 4072, 0, b"bix", 0),
    entry(4089, "regnamespace", "regnamespace", 4, b'N', 0, 4090, b"bip", 0),
    entry(4090, "_regnamespace", "regnamespace[]", -1, b'A', 4089, 0, b"bix", 0),
    entry(4096, "regrole", "regrole", 4, b'N', 0, 4097, b"bip", 0),
    entry(4097, "_regrole", "regrole[]", -1, b'A', 4096, 0, b"bix", 0),
    entry(4191, "regcollation", "regcollation", 4, b'N', 0, 4192, b"bip", 0),
    entry(4192, "_regcollation", "regcollation[]", -1, b'A', 4191, 0, b"bix", 0),
    entry(4537, "anymultirange", "anymultirange", -1, b'P', 0, 0, b"pdx", 0),
    entry(5069, "xid8", "xid8", 8, b'U', 0, 271, b"bdp", 0),
    entry(5077, "anycompatible", "anycompatible", 4, b'P', 0, 0, b"pip", 0),
    entry(5078, "anycompatiblearray", "anycompatiblearray", -1, b'P', 0, 0, b"pdx", 0),
    entry(5079, "anycompatiblenonarray", "anycompatiblenonarray", 4, b'P', 0, 0, b"pip", 0),
];
