//! The network over sockets: what is promised of it (N1–N5), and who gets in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::network::Network;
use super::services::{Echo, Stuck};
use super::{PATIENCE, engine};
use crate::rpc::security::{cluster_name, node_name};
use crate::rpc::{
    Certificates, Clock, ClusterId, Directory, JOIN, PeerState, Refusal, Rpc, RpcOptions, Security, ask_to_join,
    system_clock,
};
use crate::types::TypeConfig;
use crate::{Groups, Members, NodeId, Service, ServiceId, Transport, TransportError};

const ECHO: ServiceId = ServiceId(900);
const STUCK: ServiceId = ServiceId(901);
const SLOW: ServiceId = ServiceId(902);

/// Answers after as many milliseconds as its question says.
struct Slow;

#[async_trait]
impl Service for Slow {
    async fn answer(&self, _: NodeId, body: Bytes) -> Result<Bytes, TransportError> {
        tokio::time::sleep(Duration::from_millis(u64::from(body[0]))).await;
        Ok(body)
    }
}

struct Member {
    rpc: Arc<Rpc>,
    groups: Arc<Groups>,
    _data: TempDir,
}

impl Member {
    async fn start(options: RpcOptions) -> Member {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let advertise = listener.local_addr().unwrap().to_string();
        Self::start_on(listener, RpcOptions { advertise, ..options }).await
    }

    async fn start_on(listener: TcpListener, options: RpcOptions) -> Member {
        let node = options.node;
        let data = tempfile::tempdir().unwrap();
        let rpc = Rpc::start(listener, options).unwrap();
        let groups = Groups::open(engine(data.path()), rpc.clone(), super::options(node)).unwrap();
        groups.serve(ECHO, Arc::new(Echo));
        groups.serve(SLOW, Arc::new(Slow));
        rpc.connect(&groups);
        let _data = data;
        Member { rpc, groups, _data }
    }

    async fn ask(&self, node: NodeId) -> Result<Bytes, TransportError> {
        tokio::time::timeout(PATIENCE, self.rpc.ask(node, ECHO, Bytes::from_static(b"?")))
            .await
            .expect("an answer or an error in time")
    }

    /// Asks until there is an answer.
    async fn reach(&self, node: NodeId) {
        let reached = async { while self.ask(node).await.is_err() {} };
        // Without a pause: failures during the back-off come at once.
        tokio::time::timeout(PATIENCE, tokio::task::unconstrained(reached))
            .await
            .expect("reached in time");
    }

    async fn refusal(&self, node: NodeId) -> Refusal {
        let _ = self.ask(node).await;
        let statuses = self.rpc.status();
        let status = statuses.iter().find(|status| status.node == node).unwrap();
        match &status.state {
            PeerState::Refused(refusal) => refusal.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn plain(cluster: ClusterId, node: NodeId, directory: &Arc<Directory>) -> RpcOptions {
    RpcOptions {
        cluster,
        node,
        advertise: String::new(),
        security: Security::Loopback,
        directory: directory.clone(),
        clock: system_clock(),
    }
}

async fn pair() -> (Member, Member) {
    let (cluster, directory) = (ClusterId::random(), Directory::new());
    let one = Member::start(plain(cluster, 1, &directory)).await;
    let two = Member::start(plain(cluster, 2, &directory)).await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_overtake_each_other_and_large_ones_arrive_whole() {
    let (one, two) = pair().await;
    let answer = one.ask(2).await.unwrap();
    assert_eq!(&answer[..], b"\0\0\0\0\0\0\0\x01?");
    two.reach(1).await;
    assert!(one.ask(1).await.is_ok(), "a node may ask itself");
    let (slow, fast) = (
        one.rpc.ask(2, SLOW, Bytes::from_static(&[250])),
        one.rpc.ask(2, SLOW, Bytes::from_static(&[0])),
    );
    let first = futures::future::select(slow, fast).await;
    assert!(matches!(first, futures::future::Either::Right((Ok(_), _))));
    let large: Bytes = (0..20u32 << 20).map(|number| (number % 251) as u8).collect();
    let questions = (0..3).map(|_| one.rpc.ask(2, ECHO, large.clone()));
    for answer in futures::future::join_all(questions).await {
        assert!(answer.unwrap()[8..] == large);
    }
    let too_large = Bytes::from(vec![0; crate::rpc::frame::BODY_BYTES_MAX + 1]);
    let refused = one.rpc.ask(2, ECHO, too_large).await;
    assert!(matches!(refused, Err(TransportError::Failed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn n3_who_stops_waiting_cancels_the_work_and_so_does_the_end_of_the_asker() {
    let (one, two) = pair().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    two.groups.serve(STUCK, Arc::new(Stuck(sender)));
    let mut next = async || tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    for end in ["asker", "node"] {
        let rpc = one.rpc.clone();
        let asking = tokio::spawn(async move { rpc.ask(2, STUCK, Bytes::from(vec![0; 1 << 20])).await });
        assert_eq!(next().await, "asked");
        if end == "asker" {
            asking.abort();
        } else {
            one.rpc.shutdown();
            assert!(asking.await.unwrap().is_err());
        }
        assert_eq!(next().await, "given up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_fails_what_is_under_way_and_is_made_again() {
    let (one, two) = pair().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    two.groups.serve(STUCK, Arc::new(Stuck(sender)));
    let rpc = one.rpc.clone();
    let asking = tokio::spawn(async move { rpc.ask(2, STUCK, Bytes::new()).await });
    assert_eq!(events.recv().await, Some("asked"));
    two.rpc.block(1);
    let lost = tokio::time::timeout(PATIENCE, asking).await.unwrap().unwrap();
    assert!(matches!(lost, Err(TransportError::Unreachable(_))), "{lost:?}");
    assert!(one.ask(2).await.is_err());
    two.rpc.unblock(1);
    one.reach(2).await;
    // It starts again, somewhere else.
    let directory = one.rpc.directory().clone();
    let cluster = two.rpc.cluster().unwrap();
    two.rpc.shutdown();
    drop(two);
    let again = Member::start(plain(cluster, 2, &directory)).await;
    one.reach(2).await;
    again.reach(1).await;
    one.rpc.directory().set(2, "127.0.0.1:1");
    let nobody = async { while one.ask(2).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, nobody)
        .await
        .expect("the address is followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_small_questions_do_not_wait_for_large_ones() {
    let (one, two) = pair().await;
    one.reach(2).await;
    // More than may be under way at once.
    let large = Bytes::from(vec![7; 32 << 20]);
    let before = Instant::now();
    let flood = futures::future::join_all((0..4).map(|_| one.rpc.ask(2, ECHO, large.clone())));
    let mut flood = Box::pin(flood);
    let mut slowest = Duration::ZERO;
    let mut count = 0;
    loop {
        let asked = Instant::now();
        let small = one.ask(2);
        tokio::select! {
            answers = &mut flood => {
                assert!(answers.iter().all(Result::is_ok));
                break;
            }
            answer = small => {
                answer.unwrap();
                count += 1;
                slowest = slowest.max(asked.elapsed());
            }
        }
    }
    let whole = before.elapsed();
    assert!(
        count > 10 && slowest < whole / 2,
        "{count} answers, the slowest after {slowest:?} of {whole:?}"
    );
    drop(two);
}

#[tokio::test(flavor = "multi_thread")]
async fn n5_nodes_of_another_cluster_with_another_clock_or_a_number_in_use_are_refused_at_both_ends() {
    let (cluster, directory) = (ClusterId::random(), Directory::new());
    let one = Member::start(plain(cluster, 1, &directory)).await;
    // Of another cluster.
    let stranger = Member::start(plain(ClusterId::random(), 2, &directory)).await;
    assert!(matches!(one.refusal(2).await, Refusal::OtherCluster { .. }));
    assert!(matches!(stranger.refusal(1).await, Refusal::OtherCluster { .. }));
    // With a clock that is off.
    let clock: Clock = Arc::new(|| system_clock()() + 60_000);
    let late = Member::start(RpcOptions {
        clock,
        ..plain(cluster, 3, &directory)
    })
    .await;
    assert!(matches!(one.refusal(3).await, Refusal::Clock { .. }));
    assert!(matches!(late.refusal(1).await, Refusal::Clock { .. }));
    // With the number of another process.
    let first = Member::start(plain(cluster, 4, &directory)).await;
    first.reach(1).await;
    let address = directory.get(4).unwrap();
    let copy = Member::start(plain(cluster, 4, &directory)).await;
    assert_eq!(
        copy.refusal(1).await,
        Refusal::Duplicate {
            node: 4,
            address: address.clone()
        }
    );
    let greeting = copy.rpc.greet(Duration::from_millis(300)).await;
    assert!(greeting.accepted.is_empty() && greeting.refused.iter().any(|(node, _)| *node == 1));
    // The address of another node.
    directory.set(5, &address);
    assert!(matches!(
        one.refusal(5).await,
        Refusal::OtherNode { expected: 5, found: 4 }
    ));
    // And one with nothing wrong.
    assert_eq!(first.rpc.greet(PATIENCE).await.accepted, [1]);
}

/// An authority, and certificates it makes.
pub(super) struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Authority {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new([cluster_name("test")]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(parameters, key);
        Authority { pem, issuer }
    }

    pub(super) fn security(&self, node: NodeId) -> Security {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = [node_name(node, "test"), cluster_name("test")];
        let parameters = rcgen::CertificateParams::new(names).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        let certificates = Certificates::from_pem(self.pem.as_bytes(), certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!((certificates.node, certificates.cluster.as_str()), (node, "test"));
        Security::Certificates(Arc::new(certificates))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_gets_in_nowhere() {
    let (cluster, directory) = (ClusterId::random(), Directory::new());
    let (ours, theirs) = (Authority::new(), Authority::new());
    let with = |node, security| RpcOptions {
        security,
        ..plain(cluster, node, &directory)
    };
    let one = Member::start(with(1, ours.security(1))).await;
    let two = Member::start(with(2, ours.security(2))).await;
    one.reach(2).await;
    two.reach(1).await;
    // Of another authority, of another node, and none at all: neither calls nor is called.
    for (node, security) in [(3, theirs.security(3)), (4, ours.security(5)), (6, Security::Loopback)] {
        let wrong = Member::start(with(node, security)).await;
        assert!(wrong.ask(1).await.is_err());
        assert!(one.ask(node).await.is_err());
        assert!(
            !one.rpc
                .status()
                .iter()
                .any(|status| status.node == node && status.is_calling)
        );
    }
    assert!(one.ask(2).await.is_ok());
    // Joining takes any certificate of the cluster, and no other.
    one.groups.serve(JOIN, Arc::new(Echo));
    let address = directory.get(1).unwrap();
    let join = async |security: Security| {
        ask_to_join(
            &address,
            &security,
            system_clock(),
            Bytes::from_static(b"please"),
            PATIENCE,
        )
        .await
    };
    let joined = join(ours.security(9)).await.unwrap();
    assert_eq!(&joined[..], b"\0\0\0\0\0\0\0\0please");
    for security in [theirs.security(9), Security::Loopback] {
        assert!(join(security).await.is_err());
    }
}

#[tokio::test]
async fn without_certificates_only_loopback_is_used() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = Rpc::start(listener, plain(ClusterId::random(), 1, &Directory::new()));
    assert!(refused.is_err_and(|error| error.to_string().contains("--insecure-node-port")));
    let directory = Directory::new();
    let one = Member::start(plain(ClusterId::random(), 1, &directory)).await;
    directory.set(2, "192.0.2.1:7070");
    let refused = one.ask(2).await;
    assert!(
        matches!(&refused, Err(TransportError::Unreachable(text)) if text.contains("certificates")),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_snapshot_does_not_keep_heartbeats_waiting() {
    let mut cluster = Cluster::start(Network::over_sockets(), [1]).await;
    super::serving(cluster.group(1)).await;
    let mut state = 1u64;
    let mut random = || {
        // xorshift: text that does not compress.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state % 75) as u8)
    };
    for number in 0..96 {
        let value: String = (0..512 << 10).map(|_| random()).collect();
        cluster.group(1).propose(super::set(number, value)).await.unwrap();
    }
    cluster.group(1).snapshot(PATIENCE).await.unwrap();
    let purged = |metrics: &openraft::RaftMetrics<TypeConfig>| metrics.purged.is_some_and(|purged| purged.index > 10);
    cluster
        .group(1)
        .raft
        .wait(Some(PATIENCE))
        .metrics(purged, "purged")
        .await
        .unwrap();
    for id in [2, 3] {
        cluster.open(id, Members::Unknown).await;
    }
    cluster.group(1).add_learner(2).await.unwrap();
    cluster.group(1).change_voters([1, 2].into()).await.unwrap();
    let term = cluster.group(1).current_leadership().term;
    // The third one needs all of it, while the lease of the first depends on heartbeats to the second.
    let leader = cluster.group(1).clone();
    let adding = tokio::spawn(async move { leader.add_learner(3).await });
    let mut closed = 0;
    while !adding.is_finished() {
        closed += usize::from(!cluster.group(1).is_lease_open());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    adding.await.unwrap().unwrap();
    assert_eq!(
        super::value(cluster.group(3), "95").map(|value| value.len()),
        Some(512 << 10)
    );
    assert_eq!(
        cluster.group(1).current_leadership().term,
        term,
        "leadership was not lost"
    );
    assert!(closed < 100, "the lease was closed {closed} times");
}
