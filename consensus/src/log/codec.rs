//! Bytes of the Raft log. The layout is described in `storage/FORMAT.md`.
//!
//! Keys are `group ‖ kind ‖ index`, so that a group's entries are one range in log order. An entry is
//! `payload kind ‖ term ‖ payload`: written by hand, because it is on the path of every commit.

use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::vote::RaftVote;
use storage::EngineError;

use crate::types::{Entry, GroupId, LogId, Payload, Vote, log_id};

const KIND_VOTE: u8 = 0;
const KIND_COMMITTED: u8 = 1;
const KIND_PURGED: u8 = 2;
const KIND_ENTRY: u8 = 3;

const PAYLOAD_BLANK: u8 = 0;
const PAYLOAD_COMMAND: u8 = 1;
const PAYLOAD_MEMBERSHIP: u8 = 2;

/// Bytes of an entry besides its payload.
const ENTRY_HEAD_BYTES: usize = 9;

fn key(group: GroupId, kind: u8) -> [u8; 9] {
    let mut key = [0; 9];
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key[8] = kind;
    key
}

/// Key of a group's vote.
pub(crate) fn vote_key(group: GroupId) -> [u8; 9] {
    key(group, KIND_VOTE)
}

/// Key of a group's committed log id.
pub(crate) fn committed_key(group: GroupId) -> [u8; 9] {
    key(group, KIND_COMMITTED)
}

/// Key of a group's purged log id.
pub(crate) fn purged_key(group: GroupId) -> [u8; 9] {
    key(group, KIND_PURGED)
}

/// Key of an entry.
pub(crate) fn entry_key(group: GroupId, index: u64) -> [u8; 17] {
    let mut bytes = [0; 17];
    bytes[..9].copy_from_slice(&key(group, KIND_ENTRY));
    bytes[9..].copy_from_slice(&index.to_be_bytes());
    bytes
}

/// First key beyond all entries of a group.
pub(crate) fn entries_end(group: GroupId) -> [u8; 9] {
    key(group, KIND_ENTRY + 1)
}

/// Index of an entry's key.
pub(crate) fn entry_index(key: &[u8]) -> Result<u64, EngineError> {
    let index = key.get(9..).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    index.map(u64::from_be_bytes).ok_or_else(|| corrupted("an entry's key"))
}

fn corrupted(what: &str) -> EngineError {
    EngineError::Corrupted(format!("raft log: {what} cannot be decoded"))
}

/// Encodes a log id.
pub(crate) fn encode_log_id(id: &LogId) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&id.leader_id.term.to_be_bytes());
    bytes[8..].copy_from_slice(&id.index.to_be_bytes());
    bytes
}

/// Decodes a log id.
pub(crate) fn decode_log_id(bytes: &[u8]) -> Result<LogId, EngineError> {
    let (Some(term), Some(index)) = (read_u64(bytes, 0), read_u64(bytes, 8)) else {
        return Err(corrupted("a log id"));
    };
    if bytes.len() != 16 {
        return Err(corrupted("a log id"));
    }
    Ok(log_id(term, index))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Encodes a vote.
pub(crate) fn encode_vote(vote: &Vote) -> [u8; 17] {
    let mut bytes = [0; 17];
    bytes[..8].copy_from_slice(&vote.leader_id.term.to_be_bytes());
    bytes[8..16].copy_from_slice(&vote.leader_id.voted_for.to_be_bytes());
    bytes[16] = u8::from(vote.committed);
    bytes
}

/// Decodes a vote.
pub(crate) fn decode_vote(bytes: &[u8]) -> Result<Vote, EngineError> {
    let (Some(term), Some(node)) = (read_u64(bytes, 0), read_u64(bytes, 8)) else {
        return Err(corrupted("a vote"));
    };
    let is_committed = match bytes.get(16..) {
        Some([0]) => false,
        Some([1]) => true,
        _ => return Err(corrupted("a vote")),
    };
    let leader = openraft::impls::leader_id_std::LeaderId { term, voted_for: node };
    Ok(Vote::from_leader_id(leader, is_committed))
}

/// Bytes an entry takes in the log, roughly.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        Payload::Blank => 0,
        Payload::Normal(command) => command.0.len(),
        // Rare, and small.
        Payload::Membership(_) => 64,
    };
    ENTRY_HEAD_BYTES + 17 + payload
}

/// Encodes an entry into `bytes`, which is cleared first.
pub(crate) fn encode_entry(entry: &Entry, bytes: &mut Vec<u8>) -> Result<(), EngineError> {
    bytes.clear();
    let kind = match &entry.payload {
        Payload::Blank => PAYLOAD_BLANK,
        Payload::Normal(_) => PAYLOAD_COMMAND,
        Payload::Membership(_) => PAYLOAD_MEMBERSHIP,
    };
    bytes.push(kind);
    bytes.extend_from_slice(&entry.log_id.leader_id.term.to_be_bytes());
    match &entry.payload {
        Payload::Blank => {}
        Payload::Normal(command) => bytes.extend_from_slice(&command.0),
        Payload::Membership(membership) => {
            let encoded = postcard::to_stdvec(membership).map_err(|_| corrupted("a membership"))?;
            bytes.extend_from_slice(&encoded);
        }
    }
    Ok(())
}

/// Bytes of the command in an entry.
pub(crate) fn size_of_command(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Normal(command) => command.0.len(),
        Payload::Blank | Payload::Membership(_) => 0,
    }
}

/// Decodes an entry.
pub(crate) fn decode_entry(index: u64, bytes: &[u8]) -> Result<Entry, EngineError> {
    let Some(term) = read_u64(bytes, 1) else {
        return Err(corrupted("an entry"));
    };
    let body = &bytes[ENTRY_HEAD_BYTES..];
    let payload = match bytes[0] {
        PAYLOAD_BLANK if body.is_empty() => Payload::Blank,
        PAYLOAD_COMMAND => Payload::Normal(crate::types::Command(Bytes::copy_from_slice(body), None)),
        PAYLOAD_MEMBERSHIP => Payload::Membership(postcard::from_bytes(body).map_err(|_| corrupted("a membership"))?),
        _ => return Err(corrupted("an entry")),
    };
    Ok(Entry::new(log_id(term, index), payload))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Command;

    proptest! {
        #[test]
        fn entries_survive_encoding(term: u64, index: u64, bytes: Vec<u8>, kind in 0..3u8) {
            let payload = match kind {
                0 => Payload::Blank,
                1 => Payload::Normal(Command(bytes.into(), None)),
                _ => Payload::Membership(openraft::Membership::new_with_defaults(vec![[1, term].into()], [index])),
            };
            let entry = Entry::new(log_id(term, index), payload);
            let mut encoded = Vec::new();
            encode_entry(&entry, &mut encoded).unwrap();
            prop_assert_eq!(decode_entry(index, &encoded).unwrap(), entry);
        }

        #[test]
        fn damaged_bytes_are_refused_and_not_trusted(bytes: Vec<u8>) {
            let _ = decode_entry(1, &bytes);
            let _ = decode_vote(&bytes);
            let _ = decode_log_id(&bytes);
        }

        #[test]
        fn entry_keys_sort_by_group_and_index(a: (u64, u64), b: (u64, u64)) {
            let key = |(group, index): (u64, u64)| entry_key(GroupId(group), index);
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            prop_assert!(key(a).as_slice() < entries_end(GroupId(a.0)).as_slice());
        }
    }
}
