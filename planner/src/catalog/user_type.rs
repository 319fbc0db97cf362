//! UserType: domains and enums as the registry stores them. Composite types are relations.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use storage::Datum;

use crate::eval::SessionView;
use crate::modify::program::RowProgram;
use crate::{SqlError, SqlResult, SqlState, Type};

/// A domain or an enum. The kind is also in its OID: see [`crate::types::user`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserType {
    /// `pg_type.oid`
    pub id: u32,
    /// OID of the schema.
    pub schema: u32,
    /// Name without schema.
    pub name: String,
    /// Owning role.
    pub owner: u32,
    /// What it is.
    pub kind: UserTypeKind,
    /// COMMENT ON TYPE, COMMENT ON DOMAIN.
    pub comment: Option<String>,
}

/// What a user's type is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum UserTypeKind {
    /// CREATE DOMAIN
    Domain(Domain),
    /// CREATE TYPE … AS ENUM
    Enum {
        /// Number and label, ordered by number: values are held as the number. Gaps are left for ADD VALUE … BEFORE.
        labels: Vec<(u32, String)>,
    },
}

/// A domain: a type with conditions on its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Domain {
    /// The type the values have, other domains resolved.
    pub base: Type,
    /// The domain it is made of, whose conditions hold too.
    pub parent: Option<u32>,
    /// DEFAULT, for columns that have none of their own.
    pub default: Option<String>,
    /// NOT NULL
    pub not_null: bool,
    /// CHECK (…), over a column `value`.
    pub checks: Vec<DomainCheck>,
}

/// A condition of a domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DomainCheck {
    /// Name.
    pub name: String,
    /// The condition as SQL text.
    pub expression: String,
    /// What it was compiled to when a value was first checked.
    #[serde(skip)]
    pub compiled: CompiledCheck,
}

/// A condition's program, made at its first use and kept as long as this version of the catalog.
#[derive(Clone, Default)]
pub struct CompiledCheck(OnceLock<Arc<RowProgram>>);

impl CompiledCheck {
    /// The program.
    ///
    /// # Errors
    /// What compiling reports.
    pub fn get_or_compile(&self, compile: impl FnOnce() -> SqlResult<RowProgram>) -> SqlResult<Arc<RowProgram>> {
        if let Some(program) = self.0.get() {
            return Ok(program.clone());
        }
        let program = Arc::new(compile()?);
        Ok(self.0.get_or_init(|| program).clone())
    }
}

impl fmt::Debug for CompiledCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompiledCheck")
    }
}

/// Distance between the numbers of labels that were made together.
pub const LABEL_GAP: u32 = 1 << 16;

/// Number below that of the first label: there is room below it, too.
pub const LABEL_BASE: u32 = 1 << 30;

/// The labels of an enum the session sees.
pub fn labels(type_oid: u32, session: &dyn SessionView) -> SqlResult<Vec<(u32, String)>> {
    let catalog = session.catalog();
    match catalog
        .as_ref()
        .and_then(|catalog| catalog.types.get(&type_oid))
        .map(|user| &user.kind)
    {
        Some(UserTypeKind::Enum { labels }) => Ok(labels.clone()),
        _ => Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("cache lookup failed for type {type_oid}"),
        )),
    }
}

/// Reads an enum's value.
///
/// # Errors
/// 22P02 for a label that is not one of its.
pub fn enum_input(type_oid: u32, text: &str, session: &dyn SessionView) -> SqlResult<Datum> {
    let found = labels(type_oid, session)?.into_iter().find(|(_, label)| label == text);
    match found {
        Some((number, _)) => Ok(Datum::Oid(number)),
        None => {
            let name = session
                .object_name(crate::types::oid::REGTYPE, type_oid)
                .unwrap_or_default();
            Err(SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input value for enum {name}: \"{text}\""),
            ))
        }
    }
}

/// The label of an enum's value.
///
/// # Errors
/// XX001 for a number that has no label.
pub fn enum_output(type_oid: u32, value: u32, session: &dyn SessionView) -> SqlResult<String> {
    let found = labels(type_oid, session)?
        .into_iter()
        .find(|(number, _)| *number == value);
    found.map(|(_, label)| label).ok_or_else(|| {
        SqlError::new(
            SqlState::DATA_CORRUPTED,
            format!("invalid internal value for enum: {value}"),
        )
    })
}
