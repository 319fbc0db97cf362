//! C6: appends to a replica go out in order and without waiting for each other, and are answered in order; behind an answer
//! that is not a full success nothing counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use openraft::EmptyNode;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendError};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{PATIENCE, engine};
use crate::network::Network;
use crate::transport::{Request, Response, Transport, TransportError};
use crate::types::{TypeConfig, Vote, log_id};
use crate::{GroupId, NodeId, ServiceId};

type Answer = Result<AppendEntriesResponse<TypeConfig>, TransportError>;

/// Holds every append until the test answers it.
#[derive(Default)]
struct Wire {
    /// Places of the appends that have arrived, in order.
    arrived: watch::Sender<Vec<u64>>,
    open: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
}

#[async_trait]
impl Transport for Wire {
    async fn call(&self, _: NodeId, _: GroupId, request: Request) -> Result<Response, TransportError> {
        let Request::Append(append) = request else {
            panic!("only appends are sent here")
        };
        let place = append.prev_log_id.unwrap().index;
        let (sender, receiver) = oneshot::channel();
        self.open.lock().insert(place, sender);
        self.arrived.send_modify(|arrived| arrived.push(place));
        receiver.await.unwrap().map(Response::Append)
    }

    async fn ask(&self, _: NodeId, _: ServiceId, _: Bytes) -> Result<Bytes, TransportError> {
        Err(TransportError::Unreachable("only appends are sent here".into()))
    }
}

impl Wire {
    /// Waits until so many have arrived, whatever is answered.
    async fn arrived(&self, count: usize) -> Vec<u64> {
        let mut arrived = self.arrived.subscribe();
        let waited = tokio::time::timeout(PATIENCE, arrived.wait_for(|places| places.len() >= count)).await;
        waited
            .expect("sent without waiting for answers")
            .expect("the wire is there")
            .clone()
    }

    fn answer(&self, place: u64, answer: Answer) {
        // Whoever gave up does not listen.
        let _ = self.open.lock().remove(&place).unwrap().send(answer);
    }
}

/// An append of nothing behind an entry: its answer names that entry.
fn append(index: u64) -> AppendEntriesRequest<TypeConfig> {
    AppendEntriesRequest {
        vote: Vote::new(1, 1),
        prev_log_id: Some(log_id(1, index)),
        entries: Vec::new(),
        leader_commit: None,
    }
}

/// What a leader hears about these appends: the entry each of them reached, or an error. `answers` plays the other side.
async fn heard(count: u64, answers: impl AsyncFnOnce(Arc<Wire>)) -> Vec<Result<u64, String>> {
    let directory = tempfile::tempdir().unwrap();
    let wire = Arc::new(Wire::default());
    let mut network = Network::new(1, GroupId(1), engine(directory.path()), wire.clone());
    let mut connection = network.new_client(2, &EmptyNode {}).await;
    let appends = futures::stream::iter((1..=count).map(append));
    let results = connection
        .stream_append(appends, RPCOption::new(Duration::from_secs(60)))
        .await
        .unwrap();
    let results = results.map(|result| match result {
        Ok(Ok(reached)) => Ok(reached.unwrap().index),
        Ok(Err(StreamAppendError::Conflict(_))) => Err("conflict".into()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("lost".into()),
    });
    futures::join!(results.collect::<Vec<_>>(), answers(wire)).0
}

#[tokio::test]
async fn c6_appends_are_sent_ahead_and_heard_in_order() {
    let heard = heard(12, async |wire| {
        let arrived = wire.arrived(12).await;
        assert_eq!(
            arrived,
            (1..=12).collect::<Vec<_>>(),
            "in order, and nobody has answered yet"
        );
        for place in (1..=12).rev() {
            wire.answer(place, Ok(AppendEntriesResponse::Success));
            // What is heard is looked at between two answers.
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(heard.await, (1..=12).map(Ok).collect::<Vec<_>>());
}

#[tokio::test]
async fn c6_behind_an_append_that_failed_nothing_counts() {
    for (answer, expected) in [
        (Ok(AppendEntriesResponse::Conflict), "conflict"),
        (Err(TransportError::Failed("the stream broke".into())), "lost"),
    ] {
        let heard = heard(6, async |wire| {
            wire.arrived(6).await;
            for place in [6, 5, 4, 2, 1] {
                wire.answer(place, Ok(AppendEntriesResponse::Success));
                tokio::task::yield_now().await;
            }
            wire.answer(3, answer);
        });
        assert_eq!(heard.await, [Ok(1), Ok(2), Err(expected.into())]);
    }
}

/// A replica that took a part only has not taken what came behind it.
#[tokio::test]
async fn c6_behind_half_an_append_nothing_counts() {
    let heard = heard(4, async |wire| {
        wire.arrived(4).await;
        wire.answer(1, Ok(AppendEntriesResponse::Success));
        wire.answer(2, Ok(AppendEntriesResponse::PartialSuccess(Some(log_id(1, 1)))));
        wire.answer(3, Ok(AppendEntriesResponse::Success));
        wire.answer(4, Ok(AppendEntriesResponse::Success));
    });
    assert_eq!(heard.await, [Ok(1), Ok(1)]);
}
