//! Groups: the Raft groups of a node, over one engine, one log writer and one transport.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::{Config, SnapshotPolicy};
use parking_lot::RwLock;
use storage::{Engine, EngineError};
use tokio::sync::{mpsc, oneshot};

use crate::ConsensusError;
use crate::group::{Group, GroupRaft, Incoming};
use crate::leadership::Shared;
use crate::log::{GroupLog, LogStore, LogWriter};
use crate::machine::{Machine, StateMachine};
use crate::network::Network;
use crate::snapshot::{SnapshotData, SnapshotFiles};
use crate::transport::{Request, Response, Service, ServiceId, SnapshotPiece, Transport, TransportError};
use crate::types::{GroupId, NodeId, TypeConfig};

/// Key in the engine's local metadata of the node's number.
const NODE_KEY: &[u8] = b"node";

/// Entries behind a snapshot that stay in the log, so that a follower that lags a little needs no snapshot; and how few a
/// new replica may lag to count as caught up.
const KEPT_ENTRIES: u64 = 64;

/// Called once when storage fails: the node should stop.
pub type FatalHandler = Arc<dyn Fn(ConsensusError) + Send + Sync>;

/// How the groups of a node run.
#[derive(Clone)]
pub struct GroupsOptions {
    /// This node. Written into the data directory on first start; another number is refused later.
    pub node: NodeId,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Least time without a heartbeat after which a follower looks for a new leader.
    pub election_min: Duration,
    /// Greatest such time; also the length of openraft's leader lease.
    pub election_max: Duration,
    /// Bytes of log of a group after which a snapshot is taken.
    pub snapshot_bytes: usize,
    /// Told when storage fails.
    pub on_fatal: FatalHandler,
}

impl Default for GroupsOptions {
    fn default() -> Self {
        Self {
            node: 1,
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(400),
            election_max: Duration::from_millis(800),
            snapshot_bytes: 64 << 20,
            on_fatal: Arc::new(|error| tracing::error!(%error, "storage failed")),
        }
    }
}

/// Who is in a group that does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// This node alone votes; it is initialised on first start.
    Alone,
    /// These nodes vote; every one of them may say so on first start.
    Voters(BTreeSet<NodeId>),
    /// Others decide: this node waits to be added.
    Unknown,
}

/// The Raft groups of a node.
pub struct Groups {
    engine: Arc<Engine>,
    writer: Arc<LogWriter>,
    transport: Arc<dyn Transport>,
    options: GroupsOptions,
    groups: RwLock<HashMap<GroupId, Arc<Group>>>,
    /// Who answers other nodes' questions that are not about a group.
    services: RwLock<HashMap<ServiceId, Arc<dyn Service>>>,
}

impl Groups {
    /// Starts a node's log writer. Groups are opened one by one.
    ///
    /// # Errors
    /// The directory belongs to another node, or cannot be written.
    pub fn open(
        engine: Arc<Engine>,
        transport: Arc<dyn Transport>,
        options: GroupsOptions,
    ) -> Result<Arc<Groups>, ConsensusError> {
        match engine.local_get(NODE_KEY)? {
            None => engine.local_put(NODE_KEY, &options.node.to_be_bytes())?,
            Some(bytes) if bytes == options.node.to_be_bytes() => {}
            Some(_) => {
                let text = format!("the data directory belongs to another node than {}", options.node);
                return Err(ConsensusError::Configuration(text));
            }
        }
        let on_fatal = options.on_fatal.clone();
        let on_log_fatal: crate::log::writer::FatalHandler = Arc::new(move |error| on_fatal(error.into()));
        let writer = LogWriter::start(engine.clone(), on_log_fatal)?;
        let groups = RwLock::new(HashMap::new());
        Ok(Arc::new(Groups {
            engine,
            writer,
            transport,
            options,
            groups,
            services: RwLock::default(),
        }))
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.options.node
    }

    /// The engine below.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// An open group.
    pub fn group(&self, id: GroupId) -> Option<Arc<Group>> {
        self.groups.read().get(&id).cloned()
    }

    /// The way to other nodes.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Makes a service answer from now on, until the node is shut down (it may own what owns these groups).
    pub fn serve(&self, id: ServiceId, service: Arc<dyn Service>) {
        self.services.write().insert(id, service);
    }

    /// Answers a question of a node to a service, which a [`Transport`] has received.
    ///
    /// # Errors
    /// The service does not answer here yet, or any more; or what it says.
    pub async fn answer(&self, from: NodeId, id: ServiceId, body: Bytes) -> Result<Bytes, TransportError> {
        let service = self.services.read().get(&id).cloned();
        let service =
            service.ok_or_else(|| TransportError::Unreachable(format!("service {id} does not answer here")))?;
        service.answer(from, body).await
    }

    fn config(&self) -> Result<Arc<Config>, ConsensusError> {
        let config = Config {
            cluster_name: "cambium".into(),
            heartbeat_interval: self.options.heartbeat.as_millis() as u64,
            election_timeout_min: self.options.election_min.as_millis() as u64,
            election_timeout_max: self.options.election_max.as_millis() as u64,
            // C4: a restarted leader that led again in the same term would do so without its locks.
            enable_leader_restore: Some(false),
            enable_pre_vote: Some(true),
            // C5: by bytes of log, which we count.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: KEPT_ENTRIES,
            replication_lag_threshold: KEPT_ENTRIES,
            ..Config::default()
        };
        let config = config
            .validate()
            .map_err(|error| ConsensusError::Configuration(error.to_string()))?;
        Ok(Arc::new(config))
    }

    /// Opens a group: replays what its family lacks, and joins. With one voter it is led from here as soon as its first
    /// entry is applied, without waiting for an election timeout.
    ///
    /// # Errors
    /// Its log or family cannot be read.
    pub async fn open_group(
        &self,
        id: GroupId,
        machine: Arc<dyn Machine>,
        members: Members,
    ) -> Result<Arc<Group>, ConsensusError> {
        let node = self.options.node;
        let shared = Arc::new(Shared::new(node, self.options.election_max));
        let (alive, released) = mpsc::channel(1);
        let log = GroupLog::open(id, self.writer.clone(), self.options.snapshot_bytes)?;
        let state = StateMachine::open(id, self.engine.clone(), machine, shared.clone(), Some(alive.clone()))?;
        // C4: a vote that was saved may have been for a leader that counts on its lease.
        let refuse_votes_until = log.vote().map(|_| Instant::now() + self.options.election_max);
        let network = Network::new(node, id, self.engine.clone(), self.transport.clone());
        let store = LogStore::new(log.clone(), Some(alive));
        let raft: GroupRaft = match GroupRaft::new(node, self.config()?, network, store, state).await {
            Ok(raft) => raft,
            Err(error) => return Err(open_error(&shared, error)),
        };
        initialize(&raft, node, &members).await?;
        let group = Group::new(id, raft, shared, log, self.engine.clone(), refuse_votes_until, released);
        if group.voters() == BTreeSet::from([node]) {
            // Nobody else can be elected: there is nothing to wait for.
            group
                .raft
                .trigger()
                .elect(false)
                .await
                .map_err(|_| ConsensusError::Stopped)?;
        }
        self.watch_failure(&group);
        self.groups.write().insert(id, group.clone());
        Ok(group)
    }

    /// Tells the fatal handler if applying fails; a failure of the log is told by its writer.
    fn watch_failure(&self, group: &Arc<Group>) {
        let (mut leadership, shared) = (group.leadership(), group.shared.clone());
        let on_fatal = self.options.on_fatal.clone();
        group.own(tokio::spawn(async move {
            let stopped = leadership
                .wait_for(|now| now.role == crate::leadership::Role::Stopped)
                .await
                .is_ok();
            if let (true, Some(error)) = (stopped, shared.failure()) {
                on_fatal(error.into());
            }
        }));
    }

    /// Answers a request of another node, which a [`Transport`] has received.
    ///
    /// # Errors
    /// The group is not open here, or has stopped.
    pub async fn handle(&self, id: GroupId, request: Request) -> Result<Response, TransportError> {
        let group = self
            .group(id)
            .ok_or_else(|| TransportError::Unreachable(format!("no group {id} here")))?;
        let stopped = |error: &dyn std::fmt::Display| TransportError::Unreachable(error.to_string());
        match request {
            Request::Append(request) => {
                let response = group
                    .raft
                    .append_entries(request)
                    .await
                    .map_err(|error| stopped(&error))?;
                Ok(Response::Append(response))
            }
            Request::Vote(request) => {
                if let Some(refusal) = group.refuse_vote(&request) {
                    return Ok(Response::Vote(refusal));
                }
                Ok(Response::Vote(
                    group.raft.vote(request).await.map_err(|error| stopped(&error))?,
                ))
            }
            Request::PreVote(request) => {
                if let Some(refusal) = group.refuse_vote(&request) {
                    return Ok(Response::Vote(refusal));
                }
                Ok(Response::Vote(
                    group.raft.pre_vote(request).await.map_err(|error| stopped(&error))?,
                ))
            }
            Request::TransferLeader(request) => {
                let response = group
                    .raft
                    .handle_transfer_leader(request)
                    .await
                    .map_err(|error| stopped(&error))?;
                Ok(Response::TransferLeader(response))
            }
            Request::Snapshot(piece) => group.receive(&self.engine, piece).await,
        }
    }

    /// Removes a replica from this node: stops it, and deletes its log and its family. To be called only when the group's
    /// members no longer include this node; a voter that forgot its vote could vote twice.
    ///
    /// # Errors
    /// Storage failed; calling it again finishes.
    pub async fn remove_group(&self, id: GroupId) -> Result<(), ConsensusError> {
        let group = self.groups.write().remove(&id);
        if let Some(group) = group {
            group.shutdown().await;
        }
        let (done, receiver) = oneshot::channel();
        // Through the writer: whatever it still has queued of the group comes first.
        self.writer
            .submit(crate::log::writer::Request::Forget { group: id, done })?;
        receiver.await.map_err(|_| ConsensusError::Stopped)??;
        let engine = self.engine.clone();
        let dropped = tokio::task::spawn_blocking(move || engine.drop_family(id.0)).await;
        Ok(dropped.map_err(|error| EngineError::Io(error.to_string()))??)
    }

    /// Stops all groups and writes what is queued. Must be called before the node is dropped, or the groups run on. With `flush`, everything is made durable, so that the next start has
    /// nothing to replay.
    ///
    /// # Errors
    /// Flushing failed; the log is durable all the same.
    pub async fn shutdown(&self, flush: bool) -> Result<(), ConsensusError> {
        drop(std::mem::take(&mut *self.services.write()));
        let groups: Vec<Arc<Group>> = self.groups.write().drain().map(|(_, group)| group).collect();
        for group in &groups {
            group.shutdown().await;
        }
        if flush {
            let engine = self.engine.clone();
            let flushed = tokio::task::spawn_blocking(move || engine.flush_all()).await;
            flushed.map_err(|error| EngineError::Io(error.to_string()))??;
        }
        Ok(())
    }
}

fn open_error(shared: &Shared, error: openraft::errors::Fatal<TypeConfig>) -> ConsensusError {
    match shared.failure() {
        Some(error) => error.into(),
        None => EngineError::Io(error.to_string()).into(),
    }
}

/// Writes the first membership of a group that has none.
async fn initialize(raft: &GroupRaft, node: NodeId, members: &Members) -> Result<(), ConsensusError> {
    let voters = match members {
        Members::Alone => BTreeSet::from([node]),
        Members::Voters(voters) => voters.clone(),
        Members::Unknown => return Ok(()),
    };
    if raft.is_initialized().await.map_err(|_| ConsensusError::Stopped)? {
        return Ok(());
    }
    let nodes: std::collections::BTreeMap<NodeId, openraft::EmptyNode> = voters
        .into_iter()
        .map(|node| (node, openraft::EmptyNode::new()))
        .collect();
    match raft.initialize(nodes).await {
        Ok(()) => Ok(()),
        // Another voter was first, and its log has arrived meanwhile.
        Err(openraft::errors::RaftError::APIError(openraft::errors::InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(ConsensusError::Membership(error.to_string())),
    }
}

impl Group {
    /// The refusal a restarted voter owes the leader it may have promised a lease (C4). A transfer is the leader's own wish.
    fn refuse_vote(
        &self,
        request: &openraft::raft::VoteRequest<TypeConfig>,
    ) -> Option<openraft::raft::VoteResponse<TypeConfig>> {
        let is_refusing = self.refuse_votes_until.is_some_and(|until| Instant::now() < until);
        if !is_refusing || request.leadership_transfer {
            return None;
        }
        let vote = self.log.vote()?;
        // Refusing a vote of a node we voted for is harmless: it will ask again.
        tracing::debug!(group = %self.id(), candidate = request.vote.leader_id().voted_for, "vote refused after restart");
        Some(openraft::raft::VoteResponse::new(vote, self.log.ends().1, false))
    }

    /// Takes a piece of a snapshot, and installs it with the last.
    async fn receive(&self, engine: &Engine, piece: SnapshotPiece) -> Result<Response, TransportError> {
        let failed = |error: &dyn std::fmt::Display| TransportError::Failed(error.to_string());
        let mut incoming = self.incoming.lock().await;
        let transfer = piece.transfer();
        let is_begin = matches!(
            piece,
            SnapshotPiece::File { file: 0, .. } | SnapshotPiece::Install { file_count: 0, .. }
        );
        if is_begin {
            let files = SnapshotFiles::create(engine, self.id()).map_err(|error| failed(&error))?;
            *incoming = Some(Incoming {
                transfer,
                files,
                writer: None,
            });
        }
        let Some(current) = incoming.as_mut().filter(|current| current.transfer == transfer) else {
            return Err(TransportError::Failed("a piece of another snapshot".into()));
        };
        match piece {
            SnapshotPiece::File { file, .. } => {
                if file as usize != current.files.files.len() {
                    return Err(TransportError::Failed("a file of the snapshot is missing".into()));
                }
                current.finish_file().await.map_err(|error| failed(&error))?;
                let path = current.files.push();
                current.writer = Some(tokio::fs::File::create(path).await.map_err(|error| failed(&error))?);
                Ok(Response::SnapshotPiece)
            }
            SnapshotPiece::Bytes { bytes, .. } => {
                let Some(writer) = &mut current.writer else {
                    return Err(TransportError::Failed("bytes of no file".into()));
                };
                let written = tokio::io::AsyncWriteExt::write_all(writer, &bytes).await;
                written.map_err(|error| failed(&error))?;
                Ok(Response::SnapshotPiece)
            }
            SnapshotPiece::Install {
                file_count, vote, meta, ..
            } => {
                if file_count as usize != current.files.files.len() {
                    return Err(TransportError::Failed("a file of the snapshot is missing".into()));
                }
                current.finish_file().await.map_err(|error| failed(&error))?;
                let Some(received) = incoming.take() else {
                    return Err(TransportError::Failed("the snapshot is gone".into()));
                };
                let snapshot = openraft::Snapshot {
                    meta,
                    snapshot: SnapshotData::Received(received.files),
                };
                let response = self.raft.install_full_snapshot(vote, snapshot).await;
                Ok(Response::Snapshot(
                    response.map_err(|error| TransportError::Unreachable(error.to_string()))?,
                ))
            }
        }
    }
}

impl Incoming {
    /// Makes the file being written durable.
    async fn finish_file(&mut self) -> Result<(), std::io::Error> {
        match self.writer.take() {
            Some(mut writer) => {
                tokio::io::AsyncWriteExt::flush(&mut writer).await?;
                writer.sync_all().await
            }
            None => Ok(()),
        }
    }
}
