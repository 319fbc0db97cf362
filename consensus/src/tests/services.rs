//! Services: questions of the layers above to other nodes, answered, cut off and given up.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{PATIENCE, engine, options};
use crate::{Groups, LocalTransport, NodeId, Service, ServiceId, TransportError};

const ECHO: ServiceId = ServiceId(900);
const STUCK: ServiceId = ServiceId(901);

/// Answers with the asker and what it said.
pub(crate) struct Echo;

#[async_trait]
impl Service for Echo {
    async fn answer(&self, from: NodeId, body: Bytes) -> Result<Bytes, TransportError> {
        Ok([&from.to_be_bytes(), &body[..]].concat().into())
    }
}

/// Never answers; tells when it was asked, and when the asker gave up.
pub(crate) struct Stuck(pub(crate) mpsc::UnboundedSender<&'static str>);

#[async_trait]
impl Service for Stuck {
    async fn answer(&self, _: NodeId, _: Bytes) -> Result<Bytes, TransportError> {
        struct OnDrop(mpsc::UnboundedSender<&'static str>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                let _ = self.0.send("given up");
            }
        }
        let _on_drop = OnDrop(self.0.clone());
        let _ = self.0.send("asked");
        std::future::pending().await
    }
}

fn node(network: &Arc<LocalTransport>, id: NodeId) -> (Arc<Groups>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let groups = Groups::open(engine(directory.path()), network.end(id), options(id)).unwrap();
    network.connect(&groups);
    (groups, directory)
}

#[tokio::test]
async fn a_service_answers_and_knows_who_asks_until_it_is_cut_off() {
    let network = LocalTransport::new();
    let ((one, _a), (two, _b)) = (node(&network, 1), node(&network, 2));
    let missing = one.transport().ask(2, ECHO, Bytes::new()).await;
    assert!(matches!(missing, Err(TransportError::Unreachable(_))), "{missing:?}");
    two.serve(ECHO, Arc::new(Echo));
    one.serve(ECHO, Arc::new(Echo));
    let answer = one
        .transport()
        .ask(2, ECHO, Bytes::from_static(b"hello"))
        .await
        .unwrap();
    assert_eq!(&answer[..], b"\0\0\0\0\0\0\0\x01hello");
    assert!(
        one.transport().ask(1, ECHO, Bytes::new()).await.is_ok(),
        "a node may ask itself"
    );
    network.isolate(2);
    let cut = one.transport().ask(2, ECHO, Bytes::new()).await;
    assert!(matches!(cut, Err(TransportError::Unreachable(_))), "{cut:?}");
    network.heal();
    assert!(one.transport().ask(2, ECHO, Bytes::new()).await.is_ok());
    two.shutdown(false).await.unwrap();
    assert!(
        one.transport().ask(2, ECHO, Bytes::new()).await.is_err(),
        "nobody answers after the shutdown"
    );
}

#[tokio::test]
async fn who_stops_waiting_for_an_answer_cancels_the_work() {
    let network = LocalTransport::new();
    let ((one, _a), (two, _b)) = (node(&network, 1), node(&network, 2));
    let (sender, mut events) = mpsc::unbounded_channel();
    two.serve(STUCK, Arc::new(Stuck(sender)));
    let transport = one.transport().clone();
    let asking = tokio::spawn(async move { transport.ask(2, STUCK, Bytes::new()).await });
    let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap();
    assert_eq!(event, Some("asked"));
    asking.abort();
    let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap();
    assert_eq!(event, Some("given up"));
}
