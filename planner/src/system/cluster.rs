//! cambium.nodes, shards, replicas and moves: the cluster as the leader of the meta group sees it (DESIGN C9).

use storage::Datum;
use txn::cluster::Overview;

use super::SystemContext;
use super::builder::{Builder, text};
use crate::types::oid;
use crate::{SqlError, SqlResult};

/// Microseconds between 1970 and 2000, in milliseconds.
const EPOCH_MS: i64 = 946_684_800_000;

fn number(value: u64) -> Datum {
    Datum::Int8(value as i64)
}

fn optional(value: Option<u64>) -> Datum {
    value.map_or(Datum::Null, number)
}

fn numbers(values: &[u64]) -> Datum {
    Datum::array(oid::INT8, values.iter().copied().map(number).collect())
}

fn words(value: &str) -> Datum {
    if value.is_empty() { Datum::Null } else { text(value) }
}

/// Fills one of the relations.
pub(super) async fn fill(name: &str, rows: &mut Builder, context: &SystemContext<'_>) -> SqlResult<()> {
    let overview = context.transaction.cluster_overview().await.map_err(SqlError::from)?;
    match name {
        "nodes" => nodes(rows, &overview),
        "shards" => shards(rows, &overview),
        "replicas" => replicas(rows, &overview),
        _ => moves(rows, &overview),
    }
    Ok(())
}

fn nodes(rows: &mut Builder, overview: &Overview) {
    for node in &overview.nodes {
        rows.row([
            ("node_id", number(node.id)),
            ("state", text(node.state.name())),
            ("is_alive", Datum::Bool(node.is_alive)),
            ("down_ms", optional(node.down_ms)),
            ("node_address", words(&node.addresses.node)),
            ("sql_address", words(&node.addresses.sql)),
            ("http_address", words(&node.addresses.http)),
            ("version", words(&node.version)),
            ("domain", node.domain.as_deref().map_or(Datum::Null, text)),
            ("weight", Datum::Int4(node.weight as i32)),
            ("replicas", number(node.replica_count)),
            ("leaders", number(node.leader_count)),
            ("bytes", number(node.bytes)),
        ]);
    }
}

fn shards(rows: &mut Builder, overview: &Overview) {
    for shard in &overview.shards {
        rows.row([
            ("shard_id", number(shard.shard)),
            ("leader", optional(shard.leader)),
            ("term", number(shard.term)),
            ("voters", numbers(&shard.voters)),
            ("learners", numbers(&shard.learners)),
            ("wanted", numbers(&shard.wanted)),
            ("wanted_leader", optional(shard.wanted_leader)),
            ("healthy", number(shard.healthy_count)),
            ("health", text(&shard.health)),
        ]);
    }
}

fn replicas(rows: &mut Builder, overview: &Overview) {
    for replica in &overview.replicas {
        rows.row([
            ("shard_id", number(replica.shard)),
            ("node_id", number(replica.node)),
            ("role", text(&replica.role)),
            ("applied", optional(replica.applied)),
            ("lag", optional(replica.lag)),
            ("bytes", optional(replica.bytes)),
            ("is_healthy", Datum::Bool(replica.is_healthy)),
        ]);
    }
}

fn moves(rows: &mut Builder, overview: &Overview) {
    for moved in &overview.moves {
        rows.row([
            ("shard_id", number(moved.shard)),
            ("added", numbers(&moved.add)),
            ("removed", numbers(&moved.remove)),
            ("phase", text(&moved.phase)),
            ("lag", optional(moved.lag)),
            ("began", Datum::TimestampTz((moved.began_ms as i64 - EPOCH_MS) * 1000)),
        ]);
    }
}
