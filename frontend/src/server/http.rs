//! HTTP: health, readiness and metrics of this node; [`super::admin`] has the pages about the cluster.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::FutureExt;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use txn::Node;

use crate::session::registry::Registry;

/// How long a question of readiness may take.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// Whether clients are served.
    pub is_ready: Arc<AtomicBool>,
    /// Metrics.
    pub metrics: PrometheusHandle,
    /// Sessions.
    pub registry: Arc<Registry>,
    /// The node, once it is open.
    pub node: Arc<OnceLock<Weak<Node>>>,
}

impl Pages {
    /// The node, while it is open.
    pub fn node(&self) -> Option<Arc<Node>> {
        self.node.get()?.upgrade()
    }
}

/// The process's metrics. There is one recorder, however many nodes a test starts.
///
/// # Errors
/// When something else in the process records metrics.
pub fn metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock();
    match &*handle {
        Some(handle) => Ok(handle.clone()),
        None => {
            let new = PrometheusBuilder::new()
                .install_recorder()
                .context("cannot install the metrics recorder")?;
            Ok(handle.insert(new).clone())
        }
    }
}

/// Serves the pages until the process ends.
pub async fn serve(listener: TcpListener, pages: Pages) {
    let router = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics_page))
        .merge(super::admin::router())
        .with_state(pages)
        .into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the HTTP listener ended");
    }
}

/// Whether the process is worth keeping: its storage has not failed.
async fn health(State(pages): State<Pages>) -> impl IntoResponse {
    let failure = pages.node().and_then(|node| node.failed().now_or_never());
    let version = env!("CARGO_PKG_VERSION");
    match failure {
        None => (
            StatusCode::OK,
            axum::Json(serde_json::json!({ "status": "ok", "version": version })),
        ),
        Some(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            axum::Json(serde_json::json!({ "status": "failed", "version": version, "error": error })),
        ),
    }
}

/// Whether clients are served, and a linearizable read is possible: the leader of the meta group is reached.
async fn ready(State(pages): State<Pages>) -> impl IntoResponse {
    let is_ready = match pages.node() {
        Some(node) if pages.is_ready.load(Ordering::Acquire) => tokio::time::timeout(READY_TIMEOUT, node.is_ready())
            .await
            .unwrap_or(false),
        Some(_) | None => false,
    };
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(serde_json::json!({ "ready": is_ready })))
}

async fn metrics_page(State(pages): State<Pages>) -> impl IntoResponse {
    ::metrics::gauge!("cambium_connections").set(pages.registry.count() as f64);
    if let Some(node) = pages.node() {
        super::admin::gauges(&node);
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        pages.metrics.render(),
    )
}
