//! Admin API: the cluster over HTTP, on every node.
//!
//! ```text
//!   GET    /admin/cluster                     everything: nodes, shards, replicas, moves, settings
//!   GET    /admin/health                      what is not as it should be; 503 where a shard is not available
//!   GET    /admin/nodes[/ID[/health]]         POST /admin/nodes  registers one (it still has to be started with --join)
//!   DELETE /admin/nodes/ID                    decommissions; POST /admin/nodes/ID/drain and /activate
//!   GET    /admin/shards[/ID[/health]]        GET /admin/replicas[/SHARD/NODE]        GET /admin/moves
//!   GET    /admin/settings                    PUT /admin/settings  {"replicas": 3, "dead_ms": 300000, …}
//! ```
//!
//! Whoever can open a connection may look. Changes are taken from this machine only: there is no password here, and elsewhere
//! the same can be done in SQL (`cambium.drain_node(…)`).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use txn::cluster::{NodeAddresses, NodeDescription, NodeOrder, Overview, Settings};
use txn::{Node, TxnError};

use super::http::Pages;

/// The routes.
pub fn router() -> Router<Pages> {
    Router::new()
        .route("/admin/cluster", get(cluster))
        .route("/admin/health", get(health))
        .route("/admin/nodes", get(nodes).post(add_node))
        .route("/admin/nodes/{id}", get(node).delete(decommission))
        .route("/admin/nodes/{id}/health", get(node_health))
        .route("/admin/nodes/{id}/drain", post(drain))
        .route("/admin/nodes/{id}/activate", post(activate))
        .route("/admin/shards", get(shards))
        .route("/admin/shards/{id}", get(shard))
        .route("/admin/shards/{id}/health", get(shard_health))
        .route("/admin/replicas", get(replicas))
        .route("/admin/replicas/{shard}/{node}", get(replica))
        .route("/admin/moves", get(moves))
        .route("/admin/settings", get(settings).put(set_settings))
}

/// Why a request is not answered.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<TxnError> for Refusal {
    fn from(error: TxnError) -> Refusal {
        let status = if error.is_retryable() || error == TxnError::Unavailable {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::CONFLICT
        };
        Refusal(status, error.to_string())
    }
}

type Answer = Result<Json<Value>, Refusal>;

fn open_node(pages: &Pages) -> Result<Arc<Node>, Refusal> {
    let starting = || {
        Refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node is starting or stopping".into(),
        )
    };
    pages.node().ok_or_else(starting)
}

async fn overview(pages: &Pages) -> Result<Overview, Refusal> {
    Ok(open_node(pages)?.cluster_overview().await?)
}

/// The node, for a change asked for from this machine.
fn changeable(pages: &Pages, peer: SocketAddr) -> Result<Arc<Node>, Refusal> {
    if !peer.ip().is_loopback() {
        let text = "changes are taken from the node's own machine; elsewhere use SQL: SELECT cambium.drain_node(1)";
        return Err(Refusal(StatusCode::FORBIDDEN, text.into()));
    }
    open_node(pages)
}

fn encoded(value: impl serde::Serialize) -> Answer {
    let failed = |error: serde_json::Error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    serde_json::to_value(value).map(Json).map_err(failed)
}

fn found(value: Option<impl serde::Serialize>, what: &str) -> Answer {
    match value {
        Some(value) => encoded(value),
        None => Err(Refusal(StatusCode::NOT_FOUND, format!("there is no such {what}"))),
    }
}

/// A uuid as people write it.
fn uuid_text(uuid: [u8; 16]) -> String {
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn uuid_from(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let digits = std::str::from_utf8(&digits).ok().filter(|digits| digits.len() == 32)?;
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

// ---- looking ----

async fn cluster(State(pages): State<Pages>) -> Answer {
    let overview = overview(&pages).await?;
    let id = overview.cluster.map(uuid_text);
    let mut value = encoded(overview)?;
    value["cluster"] = json!(id);
    Ok(value)
}

async fn health(State(pages): State<Pages>) -> Result<(StatusCode, Json<Value>), Refusal> {
    let overview = overview(&pages).await?;
    let silent: Vec<u64> = overview
        .nodes
        .iter()
        .filter(|node| !node.is_alive)
        .map(|node| node.id)
        .collect();
    let of_health = |health: &str| -> Vec<u64> {
        let shards = overview.shards.iter().filter(|shard| shard.health == health);
        shards.map(|shard| shard.shard).collect()
    };
    let (degraded, unavailable) = (of_health("degraded"), of_health("unavailable"));
    let is_served = unavailable.is_empty() && overview.is_complete;
    let status = if is_served {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let value = json!({
        "is_complete": overview.is_complete,
        "nodes_down": silent,
        "shards_degraded": degraded,
        "shards_unavailable": unavailable,
        "moves": overview.moves.len(),
    });
    Ok((status, Json(value)))
}

async fn nodes(State(pages): State<Pages>) -> Answer {
    encoded(overview(&pages).await?.nodes)
}

async fn node(State(pages): State<Pages>, Path(id): Path<u64>) -> Answer {
    let nodes = overview(&pages).await?.nodes;
    found(nodes.into_iter().find(|node| node.id == id), "node")
}

async fn node_health(State(pages): State<Pages>, Path(id): Path<u64>) -> Answer {
    let overview = overview(&pages).await?;
    let unhealthy = overview
        .replicas
        .iter()
        .filter(|replica| replica.node == id && !replica.is_healthy);
    let unhealthy: Vec<u64> = unhealthy.map(|replica| replica.shard).collect();
    let health = |node: &txn::cluster::NodeStatus| json!({ "is_alive": node.is_alive, "state": node.state, "down_ms": node.down_ms, "replicas_behind": unhealthy });
    found(overview.nodes.iter().find(|node| node.id == id).map(health), "node")
}

async fn shards(State(pages): State<Pages>) -> Answer {
    encoded(overview(&pages).await?.shards)
}

async fn shard(State(pages): State<Pages>, Path(id): Path<u64>) -> Answer {
    let shards = overview(&pages).await?.shards;
    found(shards.into_iter().find(|shard| shard.shard == id), "shard")
}

async fn shard_health(State(pages): State<Pages>, Path(id): Path<u64>) -> Answer {
    let overview = overview(&pages).await?;
    let health = |shard: &txn::cluster::ShardStatus| {
        let of_shard = overview.replicas.iter().filter(|replica| replica.shard == id);
        let replicas: Vec<Value> = of_shard
            .map(|replica| json!({ "node": replica.node, "lag": replica.lag, "is_healthy": replica.is_healthy }))
            .collect();
        json!({ "health": shard.health, "leader": shard.leader, "replicas": replicas })
    };
    found(
        overview.shards.iter().find(|shard| shard.shard == id).map(health),
        "shard",
    )
}

async fn replicas(State(pages): State<Pages>) -> Answer {
    encoded(overview(&pages).await?.replicas)
}

async fn replica(State(pages): State<Pages>, Path((shard, node)): Path<(u64, u64)>) -> Answer {
    let replicas = overview(&pages).await?.replicas;
    let replica = replicas
        .into_iter()
        .find(|replica| replica.shard == shard && replica.node == node);
    found(replica, "replica")
}

async fn moves(State(pages): State<Pages>) -> Answer {
    encoded(overview(&pages).await?.moves)
}

async fn settings(State(pages): State<Pages>) -> Answer {
    encoded(overview(&pages).await?.settings)
}

// ---- changing ----

async fn order(pages: &Pages, peer: SocketAddr, id: u64, order: NodeOrder) -> Answer {
    changeable(pages, peer)?.order_node(id, order).await?;
    let nodes = overview(pages).await?.nodes;
    found(nodes.into_iter().find(|node| node.id == id), "node")
}

async fn drain(State(pages): State<Pages>, ConnectInfo(peer): ConnectInfo<SocketAddr>, Path(id): Path<u64>) -> Answer {
    order(&pages, peer, id, NodeOrder::Drain).await
}

async fn activate(
    State(pages): State<Pages>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(id): Path<u64>,
) -> Answer {
    order(&pages, peer, id, NodeOrder::Activate).await
}

async fn decommission(
    State(pages): State<Pages>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(id): Path<u64>,
) -> Answer {
    order(&pages, peer, id, NodeOrder::Decommission).await
}

/// What a registration says.
#[derive(serde::Deserialize)]
struct NewNode {
    uuid: String,
    node: String,
    #[serde(default)]
    sql: String,
    #[serde(default)]
    http: String,
    domain: Option<String>,
    #[serde(default = "ordinary_weight")]
    weight: u32,
}

fn ordinary_weight() -> u32 {
    100
}

async fn add_node(
    State(pages): State<Pages>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Json(new): Json<NewNode>,
) -> Answer {
    let bad = || Refusal(StatusCode::BAD_REQUEST, format!("not a uuid: {}", new.uuid));
    let description = NodeDescription {
        uuid: uuid_from(&new.uuid).ok_or_else(bad)?,
        addresses: NodeAddresses {
            node: new.node.clone(),
            sql: new.sql.clone(),
            http: new.http.clone(),
        },
        version: String::new(),
        domain: new.domain.clone(),
        weight: new.weight,
    };
    let registered = changeable(&pages, peer)?.register_node(description, None).await?;
    Ok(Json(
        json!({ "node": registered.node, "cluster": uuid_text(registered.cluster) }),
    ))
}

/// Settings to change; what is missing stays.
#[derive(serde::Deserialize)]
struct NewSettings {
    replicas: Option<u32>,
    dead_ms: Option<u64>,
    moves_max: Option<u32>,
    node_moves_max: Option<u32>,
}

async fn set_settings(
    State(pages): State<Pages>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Json(new): Json<NewSettings>,
) -> Answer {
    let node = changeable(&pages, peer)?;
    let now = node.cluster_overview().await?.settings;
    let settings = Settings {
        replicas: new.replicas.unwrap_or(now.replicas),
        dead_ms: new.dead_ms.unwrap_or(now.dead_ms),
        moves_max: new.moves_max.unwrap_or(now.moves_max),
        node_moves_max: new.node_moves_max.unwrap_or(now.node_moves_max),
    };
    node.set_cluster(settings).await?;
    encoded(settings)
}

// ---- metrics ----

/// Sets the gauges about this node's replicas; on the leader of the meta group also those about the cluster.
pub fn gauges(node: &Arc<Node>) {
    let Ok(overview) = node.own_overview() else { return };
    let own = node.id();
    for replica in overview.replicas.iter().filter(|replica| replica.node == own) {
        let shard = replica.shard.to_string();
        let is_leader = f64::from(u8::from(replica.role == "leader"));
        metrics::gauge!("cambium_replica_leads", "shard" => shard.clone()).set(is_leader);
        metrics::gauge!("cambium_replica_applied_index", "shard" => shard.clone())
            .set(replica.applied.unwrap_or(0) as f64);
        metrics::gauge!("cambium_replica_bytes", "shard" => shard).set(replica.bytes.unwrap_or(0) as f64);
    }
    if !overview.is_complete {
        return;
    }
    for node in &overview.nodes {
        let is_alive = f64::from(u8::from(node.is_alive));
        metrics::gauge!("cambium_node_up", "node" => node.id.to_string()).set(is_alive);
    }
    for shard in &overview.shards {
        let (name, healthy) = (shard.shard.to_string(), shard.healthy_count as f64);
        metrics::gauge!("cambium_shard_healthy_voters", "shard" => name.clone()).set(healthy);
        let lags = overview.replicas.iter().filter(|replica| replica.shard == shard.shard);
        let lag = lags.filter_map(|replica| replica.lag).max().unwrap_or(0);
        metrics::gauge!("cambium_shard_lag_entries", "shard" => name).set(lag as f64);
    }
    metrics::gauge!("cambium_moves").set(overview.moves.len() as f64);
}
