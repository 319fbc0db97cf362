//! Hello: what two nodes say first, and why one may refuse the other.
//!
//! Both say who they are; both check the other, and tell it if they refuse. A node is refused if it is of another cluster,
//! speaks another protocol, is not who was called or not who its certificate says, has a number that another process uses,
//! or a clock that is far off.

use std::time::Duration;

use crate::types::NodeId;

/// Version of frames, hello and Raft's requests; nodes of different versions refuse each other.
pub const PROTOCOL: u32 = 1;

/// How far clocks may be apart. Timestamps stay in order whatever clocks do; but after a change of the meta leader they
/// could run ahead of real time by as much, and staleness and expiry are measured in them.
pub const CLOCK_OFFSET_MAX: Duration = Duration::from_millis(500);

/// How long a hello may be on its way.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

const MAGIC: &[u8; 8] = b"cambium\0";

/// Number of a cluster, made with its first node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ClusterId(pub [u8; 16]);

impl ClusterId {
    /// A new one.
    pub fn random() -> ClusterId {
        ClusterId(uuid::Uuid::new_v4().into_bytes())
    }
}

impl std::fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(formatter)
    }
}

impl std::fmt::Debug for ClusterId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Hello {
    /// `None` before it has joined.
    pub(crate) member: Option<(ClusterId, NodeId)>,
    /// Made when the process started.
    pub(crate) boot: u64,
    /// Where others reach it.
    pub(crate) address: String,
    /// Its clock, in milliseconds since 1970.
    pub(crate) clock_ms: u64,
}

/// Why a node refuses another. Both ends log it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Refusal {
    /// Something else listens, or calls.
    #[error("what is at the other end is not a Cambium node")]
    Stranger,
    /// One of the two is older.
    #[error("protocol versions differ: {0} here, {1} there; upgrade the older node")]
    Protocol(u32, u32),
    /// The address is of a node of another cluster, or the data directory is.
    #[error("node of another cluster: {ours} here, {theirs} there")]
    OtherCluster {
        /// Of who refuses.
        ours: ClusterId,
        /// Of who is refused.
        theirs: ClusterId,
    },
    /// Not yet a member.
    #[error("the node has not joined this cluster")]
    NotMember,
    /// The address now belongs to another node.
    #[error("node {expected} was called and node {found} answered: the address has changed hands")]
    OtherNode {
        /// Called.
        expected: NodeId,
        /// Answered.
        found: NodeId,
    },
    /// Two processes with one identity.
    #[error("node {node} already runs at {address}: two processes use the same identity (a copied data directory?)")]
    Duplicate {
        /// Who.
        node: NodeId,
        /// Where the first one is.
        address: String,
    },
    /// The certificate is for another node or cluster.
    #[error("the certificate is not for node {node} of this cluster")]
    Certificate {
        /// Who it says it is.
        node: NodeId,
    },
    /// The clocks differ.
    #[error("clocks are {offset_ms} ms apart, allowed are {max_ms}: synchronise them (NTP)")]
    Clock {
        /// By how much, at least.
        offset_ms: u64,
        /// Allowed.
        max_ms: u64,
    },
}

impl Hello {
    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &PROTOCOL.to_le_bytes()].concat();
        // A vector grows as it must: nothing can fail.
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        bytes
    }

    /// Reads what another process said.
    ///
    /// # Errors
    /// It is not a node, or of another version.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Hello, Refusal> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Refusal::Stranger)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(Refusal::Stranger)?;
        match u32::from_le_bytes(*version) {
            PROTOCOL => postcard::from_bytes(rest).map_err(|_| Refusal::Stranger),
            other => Err(Refusal::Protocol(PROTOCOL, other)),
        }
    }

    /// Whether the other is of the same cluster.
    ///
    /// # Errors
    /// It is not, or has not joined any.
    pub(crate) fn check_cluster(&self, theirs: &Hello) -> Result<(), Refusal> {
        match (self.member, theirs.member) {
            (Some((ours, _)), Some((theirs, _))) if ours != theirs => Err(Refusal::OtherCluster { ours, theirs }),
            _ => Ok(()),
        }
    }

    /// Whether the other's clock, read at some time between the two readings of ours, is near it.
    ///
    /// # Errors
    /// It cannot be.
    pub(crate) fn check_clock(&self, before_ms: u64, after_ms: u64) -> Result<(), Refusal> {
        let max_ms = CLOCK_OFFSET_MAX.as_millis() as u64;
        let behind = before_ms.saturating_sub(self.clock_ms);
        let ahead = self.clock_ms.saturating_sub(after_ms);
        let offset_ms = behind.max(ahead);
        if offset_ms > max_ms {
            return Err(Refusal::Clock { offset_ms, max_ms });
        }
        Ok(())
    }
}

impl Refusal {
    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads what another process said.
    pub(crate) fn decode(bytes: &[u8]) -> Refusal {
        postcard::from_bytes(bytes).unwrap_or(Refusal::Stranger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            member: Some((ClusterId([1; 16]), 3)),
            boot: 9,
            address: "db3:7070".into(),
            clock_ms: 10_000,
        }
    }

    #[test]
    fn a_hello_is_read_back_and_anything_else_is_not_one() {
        assert_eq!(Hello::decode(&hello().encode()), Ok(hello()));
        assert_eq!(Hello::decode(b"GET / HTTP/1.1"), Err(Refusal::Stranger));
        let mut newer = hello().encode();
        newer[8] = 7;
        assert_eq!(Hello::decode(&newer), Err(Refusal::Protocol(PROTOCOL, 7)));
        let refusal = Refusal::Duplicate {
            node: 3,
            address: "db3:7070".into(),
        };
        assert_eq!(Refusal::decode(&refusal.encode()), refusal);
    }

    #[test]
    fn clocks_are_compared_with_the_time_the_hello_took() {
        assert_eq!(hello().check_clock(9_900, 10_100), Ok(()));
        assert_eq!(hello().check_clock(10_500, 10_600), Ok(()));
        assert_eq!(hello().check_clock(5_000, 12_000), Ok(()), "a slow hello says little");
        let refused = Refusal::Clock {
            offset_ms: 501,
            max_ms: 500,
        };
        assert_eq!(hello().check_clock(10_501, 10_600), Err(refused.clone()));
        assert_eq!(hello().check_clock(9_000, 9_499), Err(refused));
    }

    #[test]
    fn another_cluster_is_refused_and_no_cluster_is_not() {
        let other = Hello {
            member: Some((ClusterId([2; 16]), 3)),
            ..hello()
        };
        assert!(matches!(
            hello().check_cluster(&other),
            Err(Refusal::OtherCluster { .. })
        ));
        let none = Hello {
            member: None,
            ..hello()
        };
        assert_eq!(hello().check_cluster(&none), Ok(()));
    }
}
