//! Directory: where the nodes of the cluster listen for each other. May change at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use storage::Engine;
use tokio::sync::watch;

use crate::ConsensusError;
use crate::types::NodeId;

/// Key in the engine's local metadata of the addresses known last, so that a node finds the others after a restart.
const DIRECTORY_KEY: &[u8] = b"directory";

/// Addresses (`HOST:PORT`) of the nodes' ports for each other.
pub struct Directory {
    addresses: RwLock<BTreeMap<NodeId, String>>,
    changes: watch::Sender<u64>,
    engine: Option<Arc<Engine>>,
}

impl Directory {
    /// Empty, and forgotten with the process.
    pub fn new() -> Arc<Directory> {
        Arc::new(Directory {
            addresses: RwLock::default(),
            changes: watch::Sender::new(0),
            engine: None,
        })
    }

    /// As it was known last; changes are kept in the engine's local metadata.
    ///
    /// # Errors
    /// Storage failed.
    pub fn load(engine: Arc<Engine>) -> Result<Arc<Directory>, ConsensusError> {
        let addresses = match engine.local_get(DIRECTORY_KEY)? {
            None => BTreeMap::new(),
            Some(bytes) => postcard::from_bytes(&bytes).map_err(|error| {
                ConsensusError::Configuration(format!("the directory of nodes is damaged: {error}"))
            })?,
        };
        Ok(Arc::new(Directory {
            addresses: RwLock::new(addresses),
            changes: watch::Sender::new(0),
            engine: Some(engine),
        }))
    }

    /// Where a node listens.
    pub fn get(&self, node: NodeId) -> Option<String> {
        self.addresses.read().get(&node).cloned()
    }

    /// All nodes.
    pub fn all(&self) -> BTreeMap<NodeId, String> {
        self.addresses.read().clone()
    }

    /// Sees each change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Says where a node listens now. Connections to an older address end.
    pub fn set(&self, node: NodeId, address: &str) {
        let before = self.addresses.write().insert(node, address.to_owned());
        if before.as_deref() != Some(address) {
            self.changed();
        }
    }

    /// Forgets a node.
    pub fn remove(&self, node: NodeId) {
        if self.addresses.write().remove(&node).is_some() {
            self.changed();
        }
    }

    fn changed(&self) {
        if let Some(engine) = &self.engine {
            let saved = postcard::to_allocvec(&*self.addresses.read())
                .map_err(|error| error.to_string())
                .and_then(|bytes| {
                    engine
                        .local_put(DIRECTORY_KEY, &bytes)
                        .map_err(|error| error.to_string())
                });
            if let Err(error) = saved {
                // The addresses are learned again from any node that can be reached.
                tracing::warn!(error, "the directory of nodes was not saved");
            }
        }
        self.changes.send_modify(|count| *count += 1);
    }
}
