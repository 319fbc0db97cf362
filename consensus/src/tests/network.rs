//! The network of a test: in memory, or sockets on loopback. Nodes can be cut off and connected again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::rpc::{ClusterId, Directory, Rpc, RpcOptions, Security, system_clock};
use crate::{Groups, LocalTransport, NodeId, Transport};

pub(super) enum Network {
    InMemory(Arc<LocalTransport>),
    OverSockets(Sockets),
}

pub(super) struct Sockets {
    cluster: ClusterId,
    directory: Arc<Directory>,
    nodes: Mutex<BTreeMap<NodeId, Arc<Rpc>>>,
    isolated: Mutex<HashSet<NodeId>>,
}

impl Network {
    pub(super) fn in_memory() -> Network {
        Network::InMemory(LocalTransport::new())
    }

    pub(super) fn over_sockets() -> Network {
        Network::OverSockets(Sockets {
            cluster: ClusterId::random(),
            directory: Directory::new(),
            nodes: Mutex::default(),
            isolated: Mutex::default(),
        })
    }

    pub(super) async fn end(&self, id: NodeId) -> Arc<dyn Transport> {
        match self {
            Network::InMemory(network) => network.end(id),
            Network::OverSockets(sockets) => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let options = RpcOptions {
                    cluster: sockets.cluster,
                    node: id,
                    advertise: listener.local_addr().unwrap().to_string(),
                    security: Security::Loopback,
                    directory: sockets.directory.clone(),
                    clock: system_clock(),
                };
                let rpc = Rpc::start(listener, options).unwrap();
                sockets.nodes.lock().insert(id, rpc.clone());
                sockets.cut();
                rpc
            }
        }
    }

    pub(super) fn connect(&self, groups: &Arc<Groups>) {
        match self {
            Network::InMemory(network) => network.connect(groups),
            Network::OverSockets(sockets) => sockets.nodes.lock()[&groups.node()].connect(groups),
        }
    }

    /// The node is gone.
    pub(super) fn disconnect(&self, id: NodeId) {
        match self {
            Network::InMemory(_) => {}
            Network::OverSockets(sockets) => {
                if let Some(rpc) = sockets.nodes.lock().remove(&id) {
                    rpc.shutdown();
                }
            }
        }
    }

    pub(super) fn isolate(&self, id: NodeId) {
        match self {
            Network::InMemory(network) => network.isolate(id),
            Network::OverSockets(sockets) => {
                sockets.isolated.lock().insert(id);
                sockets.cut();
            }
        }
    }

    pub(super) fn heal(&self) {
        match self {
            Network::InMemory(network) => network.heal(),
            Network::OverSockets(sockets) => {
                sockets.isolated.lock().clear();
                sockets.cut();
            }
        }
    }
}

impl Sockets {
    fn cut(&self) {
        let (nodes, isolated) = (self.nodes.lock(), self.isolated.lock());
        for (id, rpc) in &*nodes {
            for other in nodes.keys().filter(|other| *other != id) {
                if isolated.contains(id) || isolated.contains(other) {
                    rpc.block(*other);
                } else {
                    rpc.unblock(*other);
                }
            }
        }
    }
}
