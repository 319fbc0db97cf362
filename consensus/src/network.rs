//! Network: openraft's requests to one replica, over the [`Transport`].
//!
//! All requests are real: the defaults of openraft for `pre_vote` and `transfer_leader` grant, and do nothing (**C4**).
//! Appends are pipelined: the next is sent before the last is answered (**C6**).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{EmptyNode, OptionalSend};
use storage::Engine;
use tokio::io::AsyncReadExt;

use crate::snapshot::{SnapshotData, SnapshotFiles};
use crate::transport::{Request, Response, SnapshotPiece, Transport, TransportError};
use crate::types::{CommittedLeaderId, GroupId, NodeId, TypeConfig, Vote};

/// Appends to one replica that are sent and not yet answered, at most.
const APPENDS_IN_FLIGHT_MAX: usize = 16;

/// Bytes of a snapshot in one request.
const PIECE_BYTES: usize = 1 << 20;

/// How long the receiver may take for a piece, and for installing the whole.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

type RpcResult<T> = Result<T, RPCError<TypeConfig>>;

/// Makes the connections of one group's replica on this node.
#[derive(Clone)]
pub struct Network {
    node: NodeId,
    group: GroupId,
    engine: Arc<Engine>,
    transport: Arc<dyn Transport>,
}

impl Network {
    pub(crate) fn new(node: NodeId, group: GroupId, engine: Arc<Engine>, transport: Arc<dyn Transport>) -> Self {
        Self {
            node,
            group,
            engine,
            transport,
        }
    }
}

/// The way to one replica of a group.
pub struct Connection {
    network: Network,
    target: NodeId,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: NodeId, _node: &EmptyNode) -> Connection {
        Connection {
            network: self.clone(),
            target,
        }
    }
}

/// A future for one call, which owns what it needs so that several can be in flight.
async fn call(
    network: Network,
    target: NodeId,
    request: Request,
    kind: RPCTypes,
    timeout: Duration,
) -> RpcResult<Response> {
    let call = network.transport.call(target, network.group, request);
    match tokio::time::timeout(timeout, call).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error @ TransportError::Unreachable(_))) => Err(Unreachable::new(&error).into()),
        Ok(Err(error @ TransportError::Failed(_))) => Err(NetworkError::new(&error).into()),
        Err(_) => Err(Timeout {
            action: kind,
            id: network.node,
            target,
            timeout,
        }
        .into()),
    }
}

fn unexpected<T>() -> RpcResult<T> {
    let error = TransportError::Failed("the answer is not to what was asked".into());
    Err(NetworkError::new(&error).into())
}

impl Connection {
    fn call(
        &self,
        request: Request,
        kind: RPCTypes,
        timeout: Duration,
    ) -> impl Future<Output = RpcResult<Response>> + use<> {
        call(self.network.clone(), self.target, request, kind, timeout)
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot<CommittedLeaderId, NodeId, EmptyNode, SnapshotData>,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        static TRANSFER: AtomicU64 = AtomicU64::new(1);
        let transfer = TRANSFER.fetch_add(1, Ordering::Relaxed) << 16 | (self.network.node & 0xffff);
        let files = match snapshot.snapshot {
            SnapshotData::Received(files) => files,
            SnapshotData::Here(view) => {
                let (engine, group) = (self.network.engine.clone(), self.network.group);
                let export = move || SnapshotFiles::export(&engine, group, &view);
                let exported = tokio::task::spawn_blocking(export)
                    .await
                    .map_err(|error| NetworkError::new(&error))?;
                exported.map_err(|error| NetworkError::new(&error))?
            }
        };
        for (number, path) in files.files.iter().enumerate() {
            self.send_piece(SnapshotPiece::File {
                transfer,
                file: number as u32,
            })
            .await?;
            let mut file = tokio::fs::File::open(path)
                .await
                .map_err(|error| NetworkError::new(&error))?;
            loop {
                let mut bytes = Vec::with_capacity(PIECE_BYTES);
                let limited = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut bytes).await;
                if limited.map_err(|error| NetworkError::new(&error))? == 0 {
                    break;
                }
                self.send_piece(SnapshotPiece::Bytes {
                    transfer,
                    bytes: Bytes::from(bytes),
                })
                .await?;
            }
        }
        let file_count = files.files.len() as u32;
        let install = SnapshotPiece::Install {
            transfer,
            file_count,
            vote,
            meta: snapshot.meta,
        };
        match self
            .call(Request::Snapshot(install), RPCTypes::InstallSnapshot, INSTALL_TIMEOUT)
            .await?
        {
            Response::Snapshot(response) => Ok(response),
            _ => Ok(unexpected()?),
        }
    }

    async fn send_piece(&self, piece: SnapshotPiece) -> Result<(), StreamingError<TypeConfig>> {
        match self
            .call(Request::Snapshot(piece), RPCTypes::InstallSnapshot, PIECE_TIMEOUT)
            .await?
        {
            Response::SnapshotPiece => Ok(()),
            _ => Ok(unexpected()?),
        }
    }
}

/// Answers of appends in order; ends after the first that was not a full success, because what was sent behind it is void.
async fn append_result(
    call: impl Future<Output = RpcResult<Response>>,
    previous: Option<crate::types::LogId>,
    last: Option<crate::types::LogId>,
) -> (RpcResult<StreamAppendResult<TypeConfig>>, bool) {
    match call.await {
        Ok(Response::Append(response)) => {
            let is_full = match &response {
                AppendEntriesResponse::Success => true,
                AppendEntriesResponse::PartialSuccess(upto) => *upto == last,
                AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => false,
            };
            (Ok(response.into_stream_result(previous, last)), is_full)
        }
        Ok(_) => (unexpected(), false),
        Err(error) => (Err(error), false),
    }
}

impl RaftNetworkV2<TypeConfig> for Connection {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<TypeConfig>> {
        match self
            .call(Request::Append(request), RPCTypes::AppendEntries, option.soft_ttl())
            .await?
        {
            Response::Append(response) => Ok(response),
            _ => unexpected(),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, RpcResult<BoxStream<'s, RpcResult<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let timeout = option.soft_ttl();
        let network = self.network.clone();
        let target = self.target;
        // The futures are first polled in order, which is when a transport takes their place in line.
        let calls = input.map(move |request| {
            let previous = request.prev_log_id;
            let last = request.entries.last().map(RaftEntry::log_id).or(previous);
            let call = call(
                network.clone(),
                target,
                Request::Append(request),
                RPCTypes::AppendEntries,
                timeout,
            );
            append_result(call, previous, last)
        });
        let results = calls
            .buffered(APPENDS_IN_FLIGHT_MAX)
            .scan(false, |is_over, (result, is_full)| {
                let item = if *is_over { None } else { Some(result) };
                *is_over = !is_full;
                futures::future::ready(item)
            });
        let results: BoxStream<'s, _> = results.boxed();
        async move { Ok(results) }.boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        match self
            .call(Request::Vote(request), RPCTypes::Vote, option.soft_ttl())
            .await?
        {
            Response::Vote(response) => Ok(response),
            _ => unexpected(),
        }
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        match self
            .call(Request::PreVote(request), RPCTypes::Vote, option.soft_ttl())
            .await?
        {
            Response::Vote(response) => Ok(response),
            _ => unexpected(),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<CommittedLeaderId, NodeId, EmptyNode, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            result = self.send_snapshot(vote, snapshot) => result,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<TransferLeaderResponse<TypeConfig>> {
        match self
            .call(
                Request::TransferLeader(request),
                RPCTypes::TransferLeader,
                option.soft_ttl(),
            )
            .await?
        {
            Response::TransferLeader(response) => Ok(response),
            _ => unexpected(),
        }
    }
}
