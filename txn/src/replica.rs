//! Replica: this node's part in one group, and the leader's side of it whenever the node leads.
//!
//! ```text
//!   opened ── follower: applies ──serving in term t──► Shard of t rebuilt from the family ── in the table of leaders
//!                  ▲                                                                                │
//!                  └───────── locks fall, waiters are told, proposals are lost ◄──leadership over───┘
//! ```
//!
//! A replica is opened without waiting for anybody to lead. What a leader knows beyond its family (locks, marks, what is on
//! its way) belongs to one term and is thrown away with it; the next leader, here or elsewhere, reads from its family what
//! was prepared and decided.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use consensus::{Group, GroupId, Leadership, Members, NodeId, Role};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::TxnError;
use crate::command::Epoch;
use crate::locks::LockConfig;
use crate::machine::Machine;
use crate::node::NodeInner;
use crate::placement::{META, ShardId};
use crate::shard::{Facts, Shard};

/// This node's part in one group.
pub(crate) struct Replica {
    pub(crate) id: ShardId,
    pub(crate) group: Arc<Group>,
    pub(crate) facts: Arc<Facts>,
    machine: Arc<Machine>,
    /// How the newest leadership of this node began: its term, or why it could not.
    began: watch::Sender<Option<Result<u64, TxnError>>>,
}

/// The replicas of a node.
#[derive(Default)]
pub(crate) struct Replicas {
    open: RwLock<BTreeMap<ShardId, Arc<Replica>>>,
    /// One is opened or closed at a time.
    changing: tokio::sync::Mutex<()>,
}

/// Key in local metadata of the groups this node has a replica of, if others decide that.
const REPLICAS: &[u8] = b"replicas";

impl Replicas {
    /// A replica of this node.
    pub(crate) fn get(&self, id: ShardId) -> Option<Arc<Replica>> {
        self.open.read().get(&id).cloned()
    }

    /// All replicas of this node, the meta group's first.
    pub(crate) fn all(&self) -> Vec<Arc<Replica>> {
        self.open.read().values().cloned().collect()
    }

    /// The replicas this node had when it was told last to open or close one; empty if it never was.
    pub(crate) fn recorded(node: &NodeInner) -> Result<Vec<ShardId>, TxnError> {
        match node.engine.local_get(REPLICAS)? {
            None => Ok(Vec::new()),
            Some(bytes) => crate::command::decode(&bytes),
        }
    }

    /// Opens a replica, which leads whenever it is elected. Idempotent.
    pub(crate) async fn open(node: &Arc<NodeInner>, id: ShardId, members: Members) -> Result<Arc<Replica>, TxnError> {
        let replicas = &node.replicas;
        let _one_at_a_time = replicas.changing.lock().await;
        if let Some(replica) = replicas.get(id) {
            return Ok(replica);
        }
        let facts = Arc::new(Facts::default());
        let machine = Arc::new(Machine::new(id, node.engine.clone(), facts.clone(), &node.registry));
        let group = node
            .groups
            .open_group(GroupId(u64::from(id)), machine.clone(), members)
            .await?;
        if id == META {
            node.open_meta(&group)?;
        }
        let replica = Arc::new(Replica {
            id,
            group,
            facts,
            machine,
            began: watch::Sender::new(None),
        });
        replicas.open.write().insert(id, replica.clone());
        replicas.record(node)?;
        tokio::spawn(follow(
            Arc::downgrade(node),
            replica.clone(),
            replica.group.leadership(),
        ));
        Ok(replica)
    }

    /// Closes a replica and deletes its data. Only for a group whose members do not include this node any more.
    pub(crate) async fn remove(node: &Arc<NodeInner>, id: ShardId) -> Result<(), TxnError> {
        let replicas = &node.replicas;
        let _one_at_a_time = replicas.changing.lock().await;
        replicas.open.write().remove(&id);
        // First: if deleting fails, calling again finishes, and a restart does not open what is half there.
        replicas.record(node)?;
        node.groups.remove_group(GroupId(u64::from(id))).await?;
        if let Some(shard) = node.leaders.get(id) {
            node.leaders.end(&shard);
        }
        Ok(())
    }

    fn record(&self, node: &NodeInner) -> Result<(), TxnError> {
        let ids: Vec<ShardId> = self.open.read().keys().copied().collect();
        Ok(node.engine.local_put(REPLICAS, &crate::command::encode(&ids)?)?)
    }
}

impl Replica {
    /// Whether this node alone votes, so that nobody else can lead. Waits until the voters of a new group are known.
    pub(crate) async fn is_alone(&self, node: NodeId) -> bool {
        let mut leadership = self.group.leadership();
        loop {
            let voters = self.group.voters();
            if !voters.is_empty() || leadership.changed().await.is_err() {
                return voters.into_iter().eq([node]);
            }
        }
    }

    /// Who leads the group, as far as is known here.
    pub(crate) fn leader_hint(&self) -> Option<NodeId> {
        self.group.current_leadership().leader
    }

    /// Waits until this node leads the group and its locks are rebuilt.
    pub(crate) async fn leading(&self) -> Result<(), TxnError> {
        let mut began = self.began.subscribe();
        let mut leadership = self.group.leadership();
        let stopped = leadership.wait_for(|now| now.role == Role::Stopped);
        tokio::select! {
            began = began.wait_for(Option::is_some) => match began.as_deref() {
                Ok(Some(began)) => began.clone().map(drop),
                Ok(None) | Err(_) => Err(TxnError::Unavailable),
            },
            _ = stopped => Err(TxnError::Unavailable),
        }
    }

    /// Begins to lead in a term whose first entry is applied here.
    fn begin(&self, node: &Arc<NodeInner>, term: u64) -> Result<Arc<Shard>, TxnError> {
        let locks = LockConfig {
            policy: node.config.deadlock,
            memory_bytes_max: node.config.lock_memory_bytes_max,
            ..LockConfig::default()
        };
        let epoch = Epoch { term, generation: 0 };
        let shard = Shard::begin(
            (self.id, self.group.clone()),
            (node.oracle.clone(), self.facts.clone(), node.live.clone()),
            (locks, epoch),
        )?;
        let shard = Arc::new(shard);
        self.machine.lead(&shard);
        if self.id == META {
            node.begin_meta(&shard)?;
        }
        node.leaders.begin(shard.clone());
        Ok(shard)
    }
}

/// Begins and ends leading as the group's leadership comes and goes.
async fn follow(node: Weak<NodeInner>, replica: Arc<Replica>, mut leadership: watch::Receiver<Leadership>) {
    let mut leading: Option<(u64, Option<Arc<Shard>>)> = None;
    loop {
        let now = *leadership.borrow_and_update();
        let serves = now.role == Role::Serving;
        if let Some((term, shard)) = leading.take_if(|(term, _)| !serves || *term != now.term)
            && let (Some(shard), Some(node)) = (shard, node.upgrade())
        {
            // A group that has stopped stays in the table: it says why it stopped.
            if now.role != Role::Stopped {
                node.leaders.end(&shard);
                tracing::info!(shard = replica.id, term, leader = now.leader, "leads no more");
            }
            replica.began.send_replace(None);
            shard.end(&TxnError::Unavailable);
        }
        if now.role == Role::Stopped {
            return;
        }
        if serves && leading.is_none() {
            let Some(node) = node.upgrade() else { return };
            let began = replica.begin(&node, now.term);
            if let Err(error) = &began {
                tracing::error!(shard = replica.id, term = now.term, %error, "this node is elected and cannot lead");
            }
            replica
                .began
                .send_replace(Some(began.as_ref().map(|_| now.term).map_err(TxnError::clone)));
            leading = Some((now.term, began.ok()));
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}
