//! Sequences: their states are the meta leader's to move on.
//!
//! Where another node leads the meta group a state is read, moved on here, and put back if nobody was faster. If the answer
//! to that is lost, what it may have handed out is skipped: the state is read anew.

use std::sync::Arc;

use super::RemoteShard;
use super::message::{Answer, ShardAsk};
use super::shard_ref::ShardRef;
use crate::TxnError;
use crate::command::Body;
use crate::machine::records;
use crate::node::NodeInner;
use crate::placement::META;
use crate::shard::Shard;

/// How often a state is read anew because others were faster.
const TRIES_MAX: usize = 100;

/// Makes the next state of a sequence of its current one.
pub(crate) type Advance<'a> = &'a (dyn Fn(Option<Vec<u8>>) -> Result<Vec<u8>, TxnError> + Send + Sync);

impl NodeInner {
    /// Moves a sequence on; see [`crate::Node::advance_sequence`].
    pub(crate) async fn move_sequence(
        self: &Arc<Self>,
        sequence: u32,
        advance: Advance<'_>,
    ) -> Result<Vec<u8>, TxnError> {
        match self.leader(META) {
            ShardRef::Local(meta) => self.move_sequence_here(&meta, sequence, advance).await,
            ShardRef::Remote(meta) => move_elsewhere(&meta, sequence, advance).await,
        }
    }

    /// The state of a sequence, on the meta leader.
    pub(crate) fn sequence_here(&self, meta: &Shard, sequence: u32) -> Result<Option<Vec<u8>>, TxnError> {
        let known = meta.sequences.lock().get(&sequence).cloned();
        match known {
            Some(state) => Ok(Some(state)),
            None => {
                let view = meta.view();
                let state = view.get(&records::sequence(sequence))?;
                Ok(state.map(|state| state.to_vec()))
            }
        }
    }

    /// Moves a sequence on, on the meta leader.
    pub(crate) async fn move_sequence_here(
        &self,
        meta: &Arc<Shard>,
        sequence: u32,
        advance: Advance<'_>,
    ) -> Result<Vec<u8>, TxnError> {
        let (state, receiver) = {
            let mut sequences = meta.sequences.lock();
            let current = match sequences.get(&sequence) {
                Some(state) => Some(state.clone()),
                None => {
                    let view = meta.view();
                    let state = view.get(&records::sequence(sequence))?;
                    state.map(|state| state.to_vec())
                }
            };
            let state = advance(current)?;
            let receiver = meta.keep_house(Body::Sequence {
                sequence,
                state: state.clone().into(),
            })?;
            sequences.insert(sequence, state.clone());
            (state, receiver)
        };
        match receiver.applied().await {
            Ok(()) => Ok(state),
            Err(_) => {
                let mut sequences = meta.sequences.lock();
                // Whoever moved on from a state that was not lost keeps his place.
                if sequences.get(&sequence) == Some(&state) {
                    sequences.remove(&sequence);
                }
                Err(TxnError::Unavailable)
            }
        }
    }
}

async fn move_elsewhere(meta: &RemoteShard, sequence: u32, advance: Advance<'_>) -> Result<Vec<u8>, TxnError> {
    for _ in 0..TRIES_MAX {
        let expected = match meta.ask(ShardAsk::Sequence { sequence }).await? {
            Answer::Sequence(state) => state,
            other => return Err(other.unexpected()),
        };
        let state = advance(expected.clone())?;
        let ask = ShardAsk::MoveSequence {
            sequence,
            expected,
            state: state.clone(),
        };
        match meta.ask(ask).await? {
            Answer::Done => return Ok(state),
            Answer::Refused(TxnError::Serialization { .. }) => {}
            other => return Err(other.unexpected()),
        }
    }
    Err(TxnError::serialization("a sequence is moved on by too many at once"))
}
