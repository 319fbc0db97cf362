//! Catalog: what exists. One immutable snapshot per registry version, shared by sessions.
//!
//! The registry is a set of ordinary versioned rows in system tables of the meta group (shard 0), written by ordinary
//! transactions; so `BEGIN; CREATE TABLE …; ROLLBACK` needs no mechanism of its own. A [`Catalog`] is those rows decoded
//! and indexed by name. A session inside a transaction that ran DDL sees a catalog of its own.

pub mod relation;

pub use relation::*;

/// Everything that exists, at one registry version.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Commit timestamp of the newest registry change in it.
    pub version: u64,
    /// Databases by OID.
    pub databases: std::collections::BTreeMap<u32, Database>,
    /// Schemas by OID; those of `pg_catalog`, `information_schema` and `cambium` are in every database.
    pub schemas: std::collections::BTreeMap<u32, Schema>,
    /// Relations by OID, system relations included.
    pub relations: std::collections::BTreeMap<u32, std::sync::Arc<Relation>>,
    /// Roles by OID.
    pub roles: std::collections::BTreeMap<u32, Role>,
    /// (schema, name) → relation OID.
    pub names: std::collections::HashMap<(u32, String), u32>,
    /// (schema, index name) → (table OID, index OID). Indexes share the name space of relations.
    pub index_names: std::collections::HashMap<(u32, String), (u32, u32)>,
}

/// A database.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Database {
    /// `pg_database.oid`
    pub id: u32,
    /// Name.
    pub name: String,
    /// Owner.
    pub owner: u32,
    /// COMMENT ON DATABASE.
    pub comment: Option<String>,
}

/// A schema.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Schema {
    /// `pg_namespace.oid`
    pub id: u32,
    /// Database it is in; 0 for the system schemas, which are in all.
    pub database: u32,
    /// Name.
    pub name: String,
    /// Owner.
    pub owner: u32,
    /// COMMENT ON SCHEMA.
    pub comment: Option<String>,
}

/// A role.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Role {
    /// `pg_authid.oid`
    pub id: u32,
    /// Name.
    pub name: String,
    /// SUPERUSER
    pub superuser: bool,
    /// LOGIN
    pub login: bool,
    /// CREATEDB
    pub create_database: bool,
    /// CREATEROLE
    pub create_role: bool,
    /// SCRAM-SHA-256 verifier, never the password.
    pub password: Option<String>,
    /// Roles it is a member of.
    pub member_of: Vec<u32>,
}
