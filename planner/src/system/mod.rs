//! System relations: tables whose rows the server computes (pg_catalog, information_schema, cambium).

use std::sync::{Arc, LazyLock};

use crate::catalog::{Relation, SystemRows};
use crate::statement::StatementContext;
use crate::{SqlError, SqlResult};

/// Every system relation of this build.
pub fn relations() -> &'static [Arc<Relation>] {
    static RELATIONS: LazyLock<Vec<Arc<Relation>>> = LazyLock::new(Vec::new);
    &RELATIONS
}

/// The rows of a system relation, in the order of its columns.
pub async fn rows(relation: &Relation, context: &StatementContext) -> SqlResult<SystemRows> {
    let _ = context;
    Err(SqlError::unsupported(format!("reading {}", relation.name)))
}
