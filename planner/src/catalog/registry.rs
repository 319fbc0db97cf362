//! Registry: the rows of the meta group a [`Catalog`] is made of, and how they are written.
//!
//! One table, [`REGISTRY`]; its key is a kind byte and the object's OID, its one column the object as JSON. JSON because
//! objects grow members between versions of the product, and a registry is small.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures::StreamExt;
use serde::{Serialize, de::DeserializeOwned};
use storage::{Datum, Row};
use txn::{KeyRange, RowWrite, Transaction};

use crate::catalog::{
    BOOTSTRAP_ROLE, CAMBIUM_SCHEMA, Catalog, Database, FIRST_DATABASE, INFORMATION_SCHEMA, PG_CATALOG, PG_TOAST,
    PUBLIC, Relation, Role, Schema, UserType,
};
use crate::{SqlError, SqlResult, SqlState, system};

/// Table id of the registry; below 16384, so it lives in the meta group.
pub const REGISTRY: u32 = 1;
/// Sequence id the OIDs of new objects are drawn from.
pub const OID_SEQUENCE: u32 = 1;

/// What a registry row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Database = 1,
    Schema = 2,
    Relation = 3,
    Role = 4,
    Type = 5,
}

/// An object of the registry.
#[derive(Clone, Debug)]
pub enum Object {
    /// A database.
    Database(Database),
    /// A schema.
    Schema(Schema),
    /// A table, view or sequence.
    Relation(Box<Relation>),
    /// A role.
    Role(Role),
    /// A domain or enum.
    Type(UserType),
}

impl Object {
    fn kind(&self) -> Kind {
        match self {
            Object::Database(_) => Kind::Database,
            Object::Schema(_) => Kind::Schema,
            Object::Relation(_) => Kind::Relation,
            Object::Role(_) => Kind::Role,
            Object::Type(_) => Kind::Type,
        }
    }

    fn id(&self) -> u32 {
        match self {
            Object::Database(object) => object.id,
            Object::Schema(object) => object.id,
            Object::Relation(object) => object.id,
            Object::Role(object) => object.id,
            Object::Type(object) => object.id,
        }
    }

    fn json(&self) -> SqlResult<String> {
        fn encode<T: Serialize>(object: &T) -> SqlResult<String> {
            serde_json::to_string(object).map_err(|error| SqlError::new(SqlState::INTERNAL_ERROR, error.to_string()))
        }
        match self {
            Object::Database(object) => encode(object),
            Object::Schema(object) => encode(object),
            Object::Relation(object) => encode(object),
            Object::Role(object) => encode(object),
            Object::Type(object) => encode(object),
        }
    }
}

fn key(kind: Kind, id: u32) -> Bytes {
    let mut key = vec![kind as u8];
    key.extend_from_slice(&id.to_be_bytes());
    key.into()
}

/// Buffers the creation or replacement of an object.
///
/// # Errors
/// What [`Transaction::write`] reports.
pub fn put(transaction: &Transaction, object: &Object) -> SqlResult<()> {
    let row: Row = vec![Datum::Text(Arc::from(object.json()?))];
    Ok(transaction.write(REGISTRY, &key(object.kind(), object.id()), RowWrite::Put(row))?)
}

/// Buffers the removal of an object.
///
/// # Errors
/// What [`Transaction::write`] reports.
pub fn remove(transaction: &Transaction, object: &Object) -> SqlResult<()> {
    Ok(transaction.write(REGISTRY, &key(object.kind(), object.id()), RowWrite::Delete)?)
}

/// Writes the first objects of a new node: database and superuser `cambium`, schema `public`.
///
/// # Errors
/// What [`Transaction::write`] reports.
pub fn bootstrap(transaction: &Transaction) -> SqlResult<()> {
    let name = || "cambium".to_string();
    put(
        transaction,
        &Object::Database(Database {
            id: FIRST_DATABASE,
            name: name(),
            owner: BOOTSTRAP_ROLE,
            comment: None,
        }),
    )?;
    put(
        transaction,
        &Object::Schema(Schema {
            id: PUBLIC,
            database: FIRST_DATABASE,
            name: "public".into(),
            owner: BOOTSTRAP_ROLE,
            comment: Some("standard public schema".into()),
        }),
    )?;
    put(
        transaction,
        &Object::Role(Role {
            id: BOOTSTRAP_ROLE,
            name: name(),
            superuser: true,
            login: true,
            create_database: true,
            create_role: true,
            password: None,
            member_of: Vec::new(),
        }),
    )
}

/// Reads the registry at the transaction's snapshot, its own writes included, and builds the catalog.
///
/// `known` is an earlier catalog: what did not change since is not decoded again.
///
/// # Errors
/// XX001 when a row cannot be decoded; what the scan reports.
pub async fn load(transaction: &Transaction, version: u64, known: Option<&Catalog>) -> SqlResult<Catalog> {
    let mut catalog = Catalog::clone(&SYSTEM);
    catalog.version = version;
    let mut rows = transaction.scan(REGISTRY, KeyRange::default(), false);
    while let Some(batch) = rows.next().await {
        for (key, row) in batch? {
            decode(&mut catalog, &key, &row, known)?;
        }
    }
    Ok(catalog)
}

/// What every catalog holds: the system schemas and their relations.
static SYSTEM: LazyLock<Catalog> = LazyLock::new(|| {
    let mut catalog = Catalog::default();
    for (id, name) in [
        (PG_CATALOG, "pg_catalog"),
        (PG_TOAST, "pg_toast"),
        (INFORMATION_SCHEMA, "information_schema"),
        (CAMBIUM_SCHEMA, "cambium"),
    ] {
        catalog.schemas.insert(
            id,
            Schema {
                id,
                database: 0,
                name: name.into(),
                owner: BOOTSTRAP_ROLE,
                comment: None,
            },
        );
    }
    for relation in system::relations() {
        catalog.add(relation.clone());
    }
    catalog
});

/// Adds an object; a relation whose text `known` has already is taken from there.
fn decode(catalog: &mut Catalog, key: &[u8], row: &Row, known: Option<&Catalog>) -> SqlResult<()> {
    let Some(Datum::Text(json)) = row.first() else {
        return Err(SqlError::new(SqlState::DATA_CORRUPTED, "a registry row has no value"));
    };
    fn object<T: DeserializeOwned>(json: &str) -> SqlResult<T> {
        serde_json::from_str(json).map_err(|error| {
            SqlError::new(
                SqlState::DATA_CORRUPTED,
                format!("a registry row cannot be decoded: {error}"),
            )
        })
    }
    match key.first() {
        Some(kind) if *kind == Kind::Database as u8 => {
            let database: Database = object(json)?;
            catalog.databases.insert(database.id, database);
        }
        Some(kind) if *kind == Kind::Schema as u8 => {
            let schema: Schema = object(json)?;
            catalog.add_schema(schema);
        }
        Some(kind) if *kind == Kind::Relation as u8 => {
            let id = key.get(1..5).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
            let same = id.zip(known).and_then(|(id, known)| {
                let text = known.texts.get(&id).filter(|text| ***text == **json)?;
                Some((text.clone(), known.relations.get(&id)?.clone()))
            });
            let (text, relation) = match same {
                Some(same) => same,
                None => (json.clone(), Arc::new(object(json)?)),
            };
            catalog.texts.insert(relation.id, text);
            catalog.add(relation);
        }
        Some(kind) if *kind == Kind::Role as u8 => {
            let role: Role = object(json)?;
            catalog.roles.insert(role.id, role);
        }
        Some(kind) if *kind == Kind::Type as u8 => catalog.add_type(Arc::new(object(json)?)),
        kind => {
            return Err(SqlError::new(
                SqlState::DATA_CORRUPTED,
                format!("a registry row is of unknown kind {kind:?}"),
            ));
        }
    }
    Ok(())
}
