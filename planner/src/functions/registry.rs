//! Registry: the lookups the binder and the catalogs make over the static tables.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::cast::{self, Cast};
use super::operator::{self, Operator};
use super::{FAMILIES, Function};
use crate::types::{element_of, oid};

type Map<K, V> = HashMap<K, V, ahash::RandomState>;

struct Registry {
    functions: Vec<&'static Function>,
    by_name: Map<&'static str, Vec<&'static Function>>,
    by_oid: Map<u32, &'static Function>,
    operators: Vec<&'static Operator>,
    operators_by_name: Map<&'static str, Vec<&'static Operator>>,
    operators_by_oid: Map<u32, &'static Operator>,
    casts: Map<(u32, u32), &'static Cast>,
    /// (equality, less) of each type that has a btree order.
    orders: Map<u32, (&'static Function, &'static Function)>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::build);

impl Registry {
    fn build() -> Self {
        let mut registry = Registry {
            functions: FAMILIES.iter().flat_map(|family| family.iter()).collect(),
            by_name: Map::default(),
            by_oid: Map::default(),
            operators: operator::TABLES.iter().flat_map(|table| table.iter()).collect(),
            operators_by_name: Map::default(),
            operators_by_oid: Map::default(),
            casts: cast::CASTS
                .iter()
                .map(|cast| ((cast.source, cast.target), cast))
                .collect(),
            orders: Map::default(),
        };
        for &function in &registry.functions {
            registry.by_name.entry(function.name).or_default().push(function);
            registry.by_oid.insert(function.oid, function);
        }
        // An operator without its function would be found and then fail.
        let by_oid = &registry.by_oid;
        registry
            .operators
            .retain(|operator| by_oid.contains_key(&operator.function));
        for &operator in &registry.operators {
            registry
                .operators_by_name
                .entry(operator.name)
                .or_default()
                .push(operator);
            registry.operators_by_oid.insert(operator.oid, operator);
        }
        for &equal in registry.operators_by_name.get("=").into_iter().flatten() {
            if equal.left != equal.right {
                continue;
            }
            let less = registry.operators_by_name.get("<").and_then(|operators| {
                operators
                    .iter()
                    .find(|less| less.left == equal.left && less.right == equal.left)
            });
            let functions = less.and_then(|less| {
                Some((
                    *registry.by_oid.get(&equal.function)?,
                    *registry.by_oid.get(&less.function)?,
                ))
            });
            if let Some(functions) = functions {
                registry.orders.insert(equal.left, functions);
            }
        }
        registry
    }
}

/// Every function.
pub fn all() -> &'static [&'static Function] {
    &REGISTRY.functions
}

/// Every operator.
pub fn all_operators() -> &'static [&'static Operator] {
    &REGISTRY.operators
}

/// Every cast.
pub fn all_casts() -> &'static [Cast] {
    cast::CASTS
}

/// Functions of a name, in any argument types.
pub fn by_name(name: &str) -> &'static [&'static Function] {
    REGISTRY.by_name.get(name).map_or(&[], Vec::as_slice)
}

/// The function of an OID.
pub fn by_oid(oid: u32) -> Option<&'static Function> {
    REGISTRY.by_oid.get(&oid).copied()
}

/// Operators of a symbol, prefix ones (`left` is 0) included.
pub fn operators(name: &str) -> &'static [&'static Operator] {
    REGISTRY.operators_by_name.get(name).map_or(&[], Vec::as_slice)
}

/// Prefix operators of a symbol.
pub fn prefix_operators(name: &str) -> impl Iterator<Item = &'static Operator> {
    operators(name).iter().copied().filter(|operator| operator.left == 0)
}

/// The operator of an OID.
pub fn operator_by_oid(oid: u32) -> Option<&'static Operator> {
    REGISTRY.operators_by_oid.get(&oid).copied()
}

/// The cast from a type to another, as `pg_cast` has it; conversions by text and of arrays are the binder's.
pub fn cast(source: u32, target: u32) -> Option<&'static Cast> {
    // The vectors of the catalogs are arrays by another name; pg_cast does not list these two, as in PostgreSQL.
    REGISTRY.casts.get(&(source, target)).copied().or_else(|| {
        cast::VECTOR_CASTS
            .iter()
            .find(|cast| cast.source == source && cast.target == target)
    })
}

/// The type whose btree operators a type uses: varchar has text's, the reg* types oid's, arrays anyarray's.
fn order_type(type_oid: u32) -> u32 {
    match type_oid {
        oid::VARCHAR => oid::TEXT,
        oid::REGPROC
        | oid::REGPROCEDURE
        | oid::REGOPER
        | oid::REGOPERATOR
        | oid::REGCLASS
        | oid::REGTYPE
        | oid::REGNAMESPACE
        | oid::REGROLE
        | oid::REGCOLLATION => oid::OID,
        oid::UNKNOWN | oid::CSTRING => oid::TEXT,
        oid::INT2VECTOR => oid::ANYARRAY,
        // A table's row type orders as an anonymous record.
        other if crate::types::is_row(other) => oid::RECORD,
        other if crate::types::user::is_enum(other) => oid::ANYENUM,
        other if element_of(other).is_some() && other != oid::OIDVECTOR => oid::ANYARRAY,
        other => other,
    }
}

/// Equality of a type: its default btree or hash operator. `None` for types without one (json, point).
pub fn equality(type_oid: u32) -> Option<&'static Function> {
    let order = order_type(type_oid);
    if let Some((equal, _)) = REGISTRY.orders.get(&order) {
        return Some(equal);
    }
    let equal = operators("=")
        .iter()
        .find(|operator| operator.left == order && operator.right == order)?;
    by_oid(equal.function)
}

/// Less-than of a type's default btree order. `None` for types without one.
pub fn less(type_oid: u32) -> Option<&'static Function> {
    REGISTRY.orders.get(&order_type(type_oid)).map(|(_, less)| *less)
}

/// Text and binary functions of array types: arrays are read and written by the types' own code, but tools compare
/// `pg_type.typinput` with `array_in`.
const ARRAY_IO: [(&str, u32); 4] = [
    ("array_in", 750),
    ("array_out", 751),
    ("array_recv", 2400),
    ("array_send", 2401),
];

/// Number of a type's input or output function that is no function of the registry.
pub fn io_function_oid(name: &str) -> Option<u32> {
    let found = ARRAY_IO.iter().find(|(candidate, _)| *candidate == name);
    found.map(|(_, oid)| *oid)
}

/// Name of a function that [`io_function_oid`] numbers.
pub fn io_function_name(oid: u32) -> Option<&'static str> {
    let found = ARRAY_IO.iter().find(|(_, candidate)| *candidate == oid);
    found.map(|(name, _)| *name)
}
