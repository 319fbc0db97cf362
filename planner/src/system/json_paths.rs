//! cambium.json_paths: what the documents of jsonb columns look like (DESIGN C7).

use storage::Datum;
use storage::shape::path_text;

use super::SystemContext;
use super::builder::{Builder, text};
use crate::types::oid;

/// One row a known path, of the tables of the session's database.
pub(super) async fn fill(rows: &mut Builder, context: &SystemContext<'_>) {
    // What was committed before the question is part of the answer. Without room to write it down the rest still is.
    if let Err(error) = context.transaction.settle_paths().await {
        tracing::debug!(%error, "paths of documents that are not registered yet are not shown");
    }
    let database = context.catalog.session_database(context.session);
    for relation in context.catalog.relations.values() {
        let schema = context.catalog.schemas.get(&relation.schema);
        let Some(schema) = schema.filter(|schema| schema.database == database) else {
            continue;
        };
        let documents = relation
            .live_columns()
            .filter(|(_, column)| column.ty.oid == oid::JSONB);
        for (at, column) in documents {
            let shape = context.transaction.known_paths(relation.id, at);
            if shape.is_empty() {
                continue;
            }
            shape.for_each(&mut |steps, node| {
                let types = node.types().names().map(Datum::text).collect();
                rows.row([
                    ("table_schema", text(&schema.name)),
                    ("table_name", text(&relation.name)),
                    ("column_name", text(&column.name)),
                    ("path", text(path_text(steps))),
                    ("types", Datum::array(oid::TEXT, types)),
                    ("opaque", Datum::Bool(node.is_opaque())),
                    ("closed", Datum::Bool(column.closed)),
                ]);
            });
        }
    }
}
