//! Types of users: their OIDs say what kind of type they are.
//!
//! Most of what the server does with a type needs no catalog, so neither should this: objects draw their OIDs from one
//! counter, and a type's OID is its number with a flag above. A number without a flag is a row type (a table, or CREATE
//! TYPE … AS), the type it is the row of being the relation of the same number.

/// Added to a type's OID: the array type over it.
pub const ARRAY: u32 = 0x4000_0000;
/// Added to a number: an enum. Its values are held as [`storage::Datum::Oid`], in the order of the labels.
pub const ENUM: u32 = 0x2000_0000;
/// Added to a number: a domain. Values have the type the domain is made of; columns remember the domain beside it.
pub const DOMAIN: u32 = 0x1000_0000;

const FLAGS: u32 = ARRAY | ENUM | DOMAIN;

/// Whether a type is an array over a type of users.
pub fn is_array(type_oid: u32) -> bool {
    type_oid & ARRAY != 0
}

/// Whether a type is an enum.
pub fn is_enum(type_oid: u32) -> bool {
    type_oid & (ARRAY | ENUM) == ENUM
}

/// Whether a type is a domain.
pub fn is_domain(type_oid: u32) -> bool {
    type_oid & (ARRAY | DOMAIN) == DOMAIN
}

/// Whether a type that is not built in is a row type.
pub(super) fn is_plain(type_oid: u32) -> bool {
    type_oid != 0 && type_oid & FLAGS == 0
}
