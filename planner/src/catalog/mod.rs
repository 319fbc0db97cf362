//! Catalog: what exists. One immutable snapshot per registry version, shared by sessions.
//!
//! The registry is a set of ordinary versioned rows in system tables of the meta group (shard 0), written by ordinary
//! transactions; so `BEGIN; CREATE TABLE …; ROLLBACK` needs no mechanism of its own. A [`Catalog`] is those rows decoded
//! and indexed by name. A session inside a transaction that ran DDL sees a catalog of its own.
//!
//! ```text
//!   registry row (kind, oid) → JSON  ──load──►  Catalog { databases, schemas, relations, roles, names }
//!                                                  └─ system relations of this build are added, never stored
//! ```

pub mod family;
pub mod registry;
pub mod relation;
pub mod user_type;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use family::{BoundText, EdgeText, Family, Origin, PartitionKey, PartitionKeyPart, Strategy};
pub use relation::*;
pub use user_type::{CompiledCheck, Domain, DomainCheck, UserType, UserTypeKind};

use crate::eval::SessionView;

/// OID of schema `pg_catalog`, as in PostgreSQL.
pub const PG_CATALOG: u32 = 11;
/// OID of schema `pg_toast`, as in PostgreSQL; always empty.
pub const PG_TOAST: u32 = 99;
/// OID of schema `public` of the first database, as in PostgreSQL.
pub const PUBLIC: u32 = 2200;
/// OID of schema `information_schema`.
pub const INFORMATION_SCHEMA: u32 = 13_000;
/// OID of schema `cambium`: what PostgreSQL has no catalog for.
pub const CAMBIUM_SCHEMA: u32 = 13_001;
/// OID of the bootstrap superuser `cambium`, as PostgreSQL's `postgres`.
pub const BOOTSTRAP_ROLE: u32 = 10;
/// OID of the first database.
pub const FIRST_DATABASE: u32 = 5;

/// What the names of schemas of temporary objects begin with; the session's number follows.
pub const TEMPORARY_PREFIX: &str = "pg_temp_";

/// Everything that exists, at one registry version.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Commit timestamp of the newest registry change in it.
    pub version: u64,
    /// Whether it holds what one transaction changed and nobody else sees.
    pub is_private: bool,
    /// Databases by OID.
    pub databases: BTreeMap<u32, Database>,
    /// Schemas by OID; those of `pg_catalog`, `information_schema` and `cambium` are in every database.
    pub schemas: BTreeMap<u32, Schema>,
    /// Relations by OID, system relations included.
    pub relations: BTreeMap<u32, Arc<Relation>>,
    /// Roles by OID.
    pub roles: BTreeMap<u32, Role>,
    /// Domains and enums by OID.
    pub types: BTreeMap<u32, Arc<UserType>>,
    /// (schema, name) → OID of a domain or enum.
    pub type_names: HashMap<(u32, String), u32>,
    /// (schema, name) → relation OID.
    pub names: HashMap<(u32, String), u32>,
    /// (schema, index name) → (table OID, index OID). Indexes share the name space of relations.
    pub index_names: HashMap<(u32, String), (u32, u32)>,
    /// Session → schema of its temporary objects (`pg_temp_N`).
    pub temporary: HashMap<i32, u32>,
    /// Table → tables with a foreign key on it (themselves included).
    pub referencing: HashMap<u32, Vec<u32>>,
    /// Table → its children by INHERITS or PARTITION OF, in the order of their ids.
    pub children: HashMap<u32, Vec<u32>>,
    /// Stored text of each relation: what did not change is not decoded again.
    pub(crate) texts: HashMap<u32, Arc<str>>,
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

impl Schema {
    /// Number of the session whose temporary objects it holds.
    pub fn temporary_session(&self) -> Option<i32> {
        self.name.strip_prefix(TEMPORARY_PREFIX)?.parse().ok()
    }

    /// Whether it holds temporary objects.
    pub fn is_temporary(&self) -> bool {
        self.temporary_session().is_some()
    }
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

impl Catalog {
    /// A database by name.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.values().find(|database| database.name == name)
    }

    /// A role by name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.name == name)
    }

    /// A schema of a database (or a system schema) by name.
    pub fn schema(&self, database: u32, name: &str) -> Option<&Schema> {
        self.schemas
            .values()
            .find(|schema| (schema.database == database || schema.database == 0) && schema.name == name)
    }

    /// A schema by name as a session sees it: `pg_temp` is its own.
    pub fn schema_of(&self, session: &dyn SessionView, name: &str) -> Option<&Schema> {
        if name == "pg_temp" {
            return self.temporary_schema(session);
        }
        self.schema(self.session_database(session), name)
    }

    /// The schema of a session's temporary objects, once it has made one.
    pub fn temporary_schema(&self, session: &dyn SessionView) -> Option<&Schema> {
        let id = self.temporary.get(&session.backend_pid())?;
        self.schemas.get(id)
    }

    /// Adds a schema under its name.
    pub fn add_schema(&mut self, schema: Schema) {
        if let Some(session) = schema.temporary_session() {
            self.temporary.insert(session, schema.id);
        }
        self.schemas.insert(schema.id, schema);
    }

    /// The database a session is connected to.
    pub fn session_database(&self, session: &dyn SessionView) -> u32 {
        self.database(&session.current_database())
            .map_or(0, |database| database.id)
    }

    /// Schemas of a session's `search_path` that exist; in front of it the session's temporary schema and `pg_catalog`,
    /// unless the path names them.
    pub fn search_path(&self, session: &dyn SessionView) -> Vec<u32> {
        let mut path = self.explicit_path(session);
        if !path.contains(&PG_CATALOG) {
            path.insert(0, PG_CATALOG);
        }
        if let Some(temporary) = self.temporary.get(&session.backend_pid())
            && !path.contains(temporary)
        {
            path.insert(0, *temporary);
        }
        path
    }

    /// Schemas that `search_path` names and that exist.
    fn explicit_path(&self, session: &dyn SessionView) -> Vec<u32> {
        let database = self.session_database(session);
        let text = session
            .setting("search_path")
            .unwrap_or_else(|| "\"$user\", public".into());
        let mut path: Vec<u32> = Vec::new();
        for name in split_identifiers(&text) {
            let is_user = name == "$user";
            if name == "pg_temp" {
                path.extend(self.temporary.get(&session.backend_pid()));
                continue;
            }
            let name = if is_user { session.current_user() } else { name };
            // "$user" means a schema somebody made for the role, not the system's own `cambium`.
            if let Some(schema) = self.schema(database, &name)
                && !path.contains(&schema.id)
                && !(is_user && schema.database == 0)
            {
                path.push(schema.id);
            }
        }
        path
    }

    /// Whether new objects are temporary because the search path begins with `pg_temp`.
    pub fn creates_temporary(&self, session: &dyn SessionView) -> bool {
        let path = session.setting("search_path").unwrap_or_default();
        split_identifiers(&path).first().is_some_and(|name| name == "pg_temp")
    }

    /// The schema new objects go to: the first of the search path that is not a system schema.
    pub fn creation_schema(&self, session: &dyn SessionView) -> Option<u32> {
        self.explicit_path(session)
            .into_iter()
            .find(|id| self.schemas.get(id).is_some_and(|schema| schema.database != 0))
    }

    /// A relation by name, in one schema or along the session's search path.
    pub fn relation(&self, session: &dyn SessionView, schema: Option<&str>, name: &str) -> Option<&Arc<Relation>> {
        self.find(session, schema, |schema| self.names.get(&(schema, name.to_string())))
            .and_then(|id| self.relations.get(id))
    }

    /// A domain or enum by name, in one schema or along the session's search path.
    pub fn user_type(&self, session: &dyn SessionView, schema: Option<&str>, name: &str) -> Option<&Arc<UserType>> {
        self.find(session, schema, |schema| {
            self.type_names.get(&(schema, name.to_string()))
        })
        .and_then(|id| self.types.get(id))
    }

    /// Adds a domain or enum under its name.
    pub fn add_type(&mut self, user: Arc<UserType>) {
        self.type_names.insert((user.schema, user.name.clone()), user.id);
        self.types.insert(user.id, user);
    }

    /// An index by name, in one schema or along the session's search path: its table and itself.
    pub fn index(
        &self,
        session: &dyn SessionView,
        schema: Option<&str>,
        name: &str,
    ) -> Option<(&Arc<Relation>, &Index)> {
        let (table, index) = self.find(session, schema, |schema| {
            self.index_names.get(&(schema, name.to_string()))
        })?;
        let table = self.relations.get(table)?;
        Some((table, table.indexes.iter().find(|candidate| candidate.id == *index)?))
    }

    fn find<'a, T>(
        &'a self,
        session: &dyn SessionView,
        schema: Option<&str>,
        look: impl Fn(u32) -> Option<&'a T>,
    ) -> Option<&'a T> {
        match schema {
            Some(name) => look(self.schema_of(session, name)?.id),
            None => self.search_path(session).into_iter().find_map(look),
        }
    }

    /// Adds a relation under its names; a newer version replaces an older one.
    pub fn add(&mut self, relation: Arc<Relation>) {
        self.names.insert((relation.schema, relation.name.clone()), relation.id);
        for index in &relation.indexes {
            self.index_names
                .insert((relation.schema, index.name.clone()), (relation.id, index.id));
        }
        for constraint in &relation.constraints {
            if let ConstraintKind::Foreign { table, .. } = &constraint.kind {
                let referencing = self.referencing.entry(*table).or_default();
                if !referencing.contains(&relation.id) {
                    referencing.push(relation.id);
                }
            }
        }
        for parent in &relation.family.parents {
            let children = self.children.entry(*parent).or_default();
            if let Err(place) = children.binary_search(&relation.id) {
                children.insert(place, relation.id);
            }
        }
        self.relations.insert(relation.id, relation);
    }
}

/// Splits a list of identifiers as `search_path` holds it: comma-separated, folded unless quoted.
fn split_identifiers(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if quoted => name.push(c),
            c if c.is_whitespace() => {}
            c => name.extend(c.to_lowercase()),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::split_identifiers;

    #[test]
    fn search_path_elements_fold_unless_quoted() {
        assert_eq!(
            split_identifiers(r#""$user", Public,"We""ird, one""#),
            ["$user", "public", "We\"ird, one"]
        );
        assert!(split_identifiers("").is_empty());
    }
}
