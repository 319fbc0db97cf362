//! System relations: tables whose rows the server computes (pg_catalog, information_schema, cambium).

use std::sync::{Arc, LazyLock};

use crate::catalog::Relation;

/// Every system relation of this build.
pub fn relations() -> &'static [Arc<Relation>] {
    static RELATIONS: LazyLock<Vec<Arc<Relation>>> = LazyLock::new(Vec::new);
    &RELATIONS
}
