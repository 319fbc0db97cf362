//! HTTP: health, readiness and metrics of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::session::registry::Registry;

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// Whether clients are served.
    pub is_ready: Arc<AtomicBool>,
    /// Metrics.
    pub metrics: PrometheusHandle,
    /// Sessions.
    pub registry: Arc<Registry>,
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
        .with_state(pages);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the HTTP listener ended");
    }
}

async fn health() -> impl IntoResponse {
    axum::Json(serde_json::json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

async fn ready(State(pages): State<Pages>) -> impl IntoResponse {
    if pages.is_ready.load(Ordering::Acquire) {
        (StatusCode::OK, axum::Json(serde_json::json!({ "ready": true })))
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            axum::Json(serde_json::json!({ "ready": false })),
        )
    }
}

async fn metrics_page(State(pages): State<Pages>) -> impl IntoResponse {
    ::metrics::gauge!("cambium_connections").set(pages.registry.count() as f64);
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        pages.metrics.render(),
    )
}
