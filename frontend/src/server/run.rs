//! Run: a node from its first line to its last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use planner::statement::Planner;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use txn::{DeadlockPolicy, Node, NodeConfig};

use super::options::{Auth, Check, Deadlock, Start, addresses};
use super::tls::Tls;
use super::{Authentication, Server, http};
use crate::connection;
use crate::session::Services;
use crate::session::notify::Notifier;
use crate::session::registry::Registry;

/// How long sessions have to end at shutdown before the node closes under them.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a waiting transaction waits before other nodes are asked about deadlocks.
const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a node until it is told to stop.
///
/// # Errors
/// With a sentence for the operator when it cannot start.
pub async fn run(start: Start) -> Result<()> {
    let mut stop = StopSignals::new()?;
    let running = Running::start(&start).await?;
    announce(running.sql, &start);
    let node = running.services().planner.node.clone();
    tokio::select! {
        () = stop.wait() => {
            tracing::info!("shutting down");
            running.stop().await;
            Ok(())
        }
        // Nothing is flushed: who has heard of a commit finds it in the log, and more cannot be promised.
        error = node.failed() => bail!("storage failed, the node stops (58030): {error}"),
    }
}

/// Opens a data directory that no server uses, recovers it, and checks every invariant that can be checked at rest.
///
/// # Errors
/// With the first invariant that is broken.
pub async fn check(check: Check) -> Result<()> {
    let config = NodeConfig {
        data: check.data.clone(),
        ..NodeConfig::default()
    };
    let node = Node::open(config).await.map_err(|error| anyhow!("{error}"))?;
    let planner = Planner::open(node).await.map_err(|error| anyhow!("{error}"))?;
    let of_node = planner.node.check_invariants().await;
    let of_tables = planner.check_tables().await;
    planner.node.shutdown().await;
    of_node.map_err(|error| anyhow!("{}: {error}", check.data.display()))?;
    let counted = of_tables.map_err(|error| anyhow!("{}: {error}", check.data.display()))?;
    println!(
        "{}: clean; {} tables, {} rows, {} index entries",
        check.data.display(),
        counted.tables,
        counted.rows,
        counted.entries
    );
    Ok(())
}

/// A node that serves clients.
pub struct Running {
    /// Where PostgreSQL clients connect.
    pub sql: SocketAddr,
    /// Where pages are served.
    pub http: SocketAddr,
    server: Arc<Server>,
    is_ready: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
    paging: JoinHandle<()>,
}

impl Running {
    /// Starts a node.
    ///
    /// # Errors
    /// With a sentence for the operator when it cannot start.
    pub async fn start(start: &Start) -> Result<Running> {
        if let Some(peer) = &start.join {
            bail!("--join {peer}: clusters are not supported yet; start without --join for a single node");
        }
        crate::session::calls::started();
        // Ports first: a second server on the same machine fails before it touches the data directory.
        let sql = bind("sql", &start.sql).await?;
        let http = bind("http", &start.http).await?;
        let (sql_address, http_address) = (sql.local_addr()?, http.local_addr()?);
        let tls = match (&start.tls_cert, &start.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::new(certificate, key)?),
            _ => None,
        };
        let registry = Arc::new(Registry::new(start.max_connections));
        let is_ready = Arc::new(AtomicBool::new(false));
        let pages = http::Pages {
            is_ready: is_ready.clone(),
            metrics: http::metrics()?,
            registry: registry.clone(),
            node: Arc::default(),
        };
        let served = pages.node.clone();
        let paging = tokio::spawn(http::serve(http, pages));
        let node = Node::open(config(start)).await.map_err(|error| anyhow!("{error}"))?;
        // The pages do not keep the node alive.
        let _ = served.set(Arc::downgrade(&node));
        let planner = Planner::open(node).await.map_err(|error| anyhow!("{error}"))?;
        let services = Arc::new(Services {
            planner,
            registry,
            notifier: Arc::new(Notifier::default()),
        });
        let server = Arc::new(Server {
            services,
            authentication: authentication(start, sql_address),
            tls,
        });
        let accepting = tokio::spawn(accept(sql, server.clone()));
        is_ready.store(true, Ordering::Release);
        Ok(Running {
            sql: sql_address,
            http: http_address,
            server,
            is_ready,
            accepting,
            paging,
        })
    }

    /// What the node's sessions share.
    pub fn services(&self) -> &Arc<Services> {
        &self.server.services
    }

    /// Ends all sessions and closes the data directory; everything committed is durable.
    pub async fn stop(self) {
        self.is_ready.store(false, Ordering::Release);
        self.accepting.abort();
        let registry = &self.server.services.registry;
        if tokio::time::timeout(DRAIN_TIMEOUT, registry.close()).await.is_err() {
            tracing::warn!(count = registry.count(), "sessions did not end in time");
        }
        self.server.services.planner.node.shutdown().await;
        self.paging.abort();
    }
}

fn config(start: &Start) -> NodeConfig {
    NodeConfig {
        data: start.data.clone(),
        shard_count: start.shards,
        deadlock: match start.deadlock {
            Deadlock::Detect => DeadlockPolicy::Detect,
            Deadlock::WoundWait => DeadlockPolicy::WoundWait,
            Deadlock::WaitDie => DeadlockPolicy::WaitDie,
        },
        deadlock_timeout: DEADLOCK_TIMEOUT,
        retention: Duration::from_secs(start.retention_seconds),
        free_space_reserve_bytes: start.free_space_reserve_mib << 20,
        lock_memory_bytes_max: (start.lock_memory_mib as usize) << 20,
        ..NodeConfig::default()
    }
}

async fn bind(option: &str, text: &str) -> Result<TcpListener> {
    let candidates = addresses(option, text)?;
    TcpListener::bind(&candidates[..]).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow!("--{option} {text}: the port is in use; is another server running? Choose another with --{option} HOST:PORT")
        }
        std::io::ErrorKind::PermissionDenied => anyhow!("--{option} {text}: no permission to listen there"),
        _ => anyhow!("--{option} {text}: {error}"),
    })
}

/// A server that is reached from elsewhere demands passwords of everybody: behind a proxy every client looks local.
fn authentication(start: &Start, address: SocketAddr) -> Authentication {
    if start.auth == Auth::Scram || !address.ip().is_loopback() {
        Authentication::Scram
    } else {
        Authentication::Trust
    }
}

fn announce(address: SocketAddr, start: &Start) {
    let host = if address.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        address.ip().to_string()
    };
    println!(
        "Cambium {} is ready on {address}, data in {}: psql -h {host} -p {} -U cambium cambium",
        env!("CARGO_PKG_VERSION"),
        start.data.display(),
        address.port(),
    );
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(addresses) = prepare(&stream, peer) {
                    tokio::spawn(connection::serve(stream, addresses, server.clone()));
                }
            }
            Err(error) => {
                // Usually too many open files: others may close some meanwhile.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream, peer: SocketAddr) -> Option<(SocketAddr, SocketAddr)> {
    stream.set_nodelay(true).ok()?;
    Some((peer, stream.local_addr().ok()?))
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
