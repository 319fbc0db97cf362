//! Sequences: values reserved durably through the meta group, handed out from memory.
//!
//! PostgreSQL logs 32 values ahead, so that most calls of nextval write nothing; a crash skips what was reserved. So do
//! we. Sequences are not transactional: a rolled back transaction does not give its values back.

use std::collections::HashMap;

use parking_lot::Mutex;
use std::sync::Arc;
use txn::{Node, TxnError};

use crate::catalog::Sequence;
use crate::{SqlError, SqlResult, SqlState};

/// Values reserved at once beyond the sequence's own CACHE.
const RESERVED_AHEAD: i64 = 32;

/// The sequences of a node.
pub struct Sequences {
    node: Arc<Node>,
    reserved: Mutex<HashMap<u32, Arc<tokio::sync::Mutex<Reserved>>>>,
}

/// Values of one sequence that are ours to hand out.
#[derive(Default)]
struct Reserved {
    next: i64,
    count: i64,
}

/// Durable state of a sequence: the last value given away and whether it was given at all.
#[derive(Clone, Copy, Debug, PartialEq)]
struct State {
    last: i64,
    is_called: bool,
}

impl State {
    fn decode(bytes: &[u8]) -> Result<State, TxnError> {
        match <[u8; 9]>::try_from(bytes) {
            Ok(bytes) => {
                let (last, called) = bytes.split_at(8);
                let last = last.try_into().map(i64::from_be_bytes).map_err(|_| corrupted())?;
                Ok(State {
                    last,
                    is_called: called == [1],
                })
            }
            Err(_) => Err(corrupted()),
        }
    }

    fn encode(self) -> Vec<u8> {
        let mut bytes = self.last.to_be_bytes().to_vec();
        bytes.push(u8::from(self.is_called));
        bytes
    }
}

fn corrupted() -> TxnError {
    TxnError::Corrupted("the state of a sequence cannot be decoded".into())
}

impl Sequences {
    /// The sequences of a node.
    pub fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            reserved: Mutex::default(),
        }
    }

    fn reserved(&self, sequence: u32) -> Arc<tokio::sync::Mutex<Reserved>> {
        self.reserved.lock().entry(sequence).or_default().clone()
    }

    /// The next value.
    ///
    /// # Errors
    /// 2200H when a sequence without CYCLE is exhausted.
    pub async fn next(&self, sequence: u32, name: &str, parameters: &Sequence) -> SqlResult<i64> {
        let reserved = self.reserved(sequence);
        let mut reserved = reserved.lock().await;
        if reserved.count == 0 {
            *reserved = self.reserve(sequence, name, parameters).await?;
        }
        let value = reserved.next;
        reserved.count -= 1;
        if reserved.count > 0 {
            reserved.next += parameters.increment;
        }
        Ok(value)
    }

    async fn reserve(&self, sequence: u32, name: &str, parameters: &Sequence) -> SqlResult<Reserved> {
        let wanted = RESERVED_AHEAD + parameters.cache;
        let first = Mutex::new(None);
        let p = parameters.clone();
        let advance = |bytes: Option<Vec<u8>>| {
            let state = bytes.map(|bytes| State::decode(&bytes)).transpose()?;
            *first.lock() = None;
            let Some(start) = following(state, &p) else {
                return Ok(state.map_or_else(Vec::new, State::encode));
            };
            let room = if p.increment > 0 {
                (i128::from(p.max) - i128::from(start)) / i128::from(p.increment)
            } else {
                (i128::from(p.min) - i128::from(start)) / i128::from(p.increment)
            };
            let count = i64::try_from(room + 1).unwrap_or(i64::MAX).min(wanted).max(1);
            *first.lock() = Some(Reserved { next: start, count });
            Ok(State {
                last: start + (count - 1) * p.increment,
                is_called: true,
            }
            .encode())
        };
        self.node.advance_sequence(sequence, &advance).await?;
        first.into_inner().ok_or_else(|| {
            let (word, bound) = if parameters.increment > 0 {
                ("maximum", parameters.max)
            } else {
                ("minimum", parameters.min)
            };
            SqlError::new(
                SqlState("2200H"),
                format!("nextval: reached {word} value of sequence \"{name}\" ({bound})"),
            )
        })
    }

    /// The last value handed out and whether it was: what `SELECT last_value, is_called FROM sequence` shows.
    ///
    /// # Errors
    /// What reading it reports.
    pub async fn state(&self, sequence: u32, parameters: &Sequence) -> SqlResult<(i64, bool)> {
        Ok(self.row(sequence, parameters).await?.0)
    }

    /// As [`state`](Self::state), and how many values are reserved.
    ///
    /// # Errors
    /// What reading it reports.
    pub async fn row(&self, sequence: u32, parameters: &Sequence) -> SqlResult<((i64, bool), i64)> {
        let reserved = self.reserved(sequence);
        let reserved = reserved.lock().await;
        if reserved.count > 0 {
            return Ok(((reserved.next - parameters.increment, true), reserved.count));
        }
        let found = Mutex::new((parameters.start, false));
        // The state is read where it is changed; writing what is there already changes nothing.
        let read = |bytes: Option<Vec<u8>>| {
            let state = match bytes {
                Some(bytes) => State::decode(&bytes)?,
                None => State {
                    last: parameters.start,
                    is_called: false,
                },
            };
            *found.lock() = (state.last, state.is_called);
            Ok(state.encode())
        };
        self.node.advance_sequence(sequence, &read).await?;
        Ok((found.into_inner(), 0))
    }

    /// setval: the value, and whether the next call gives the one after it.
    ///
    /// # Errors
    /// 22003 outside of the sequence's bounds.
    pub async fn set(&self, sequence: u32, parameters: &Sequence, value: i64, is_called: bool) -> SqlResult<()> {
        let reserved = self.reserved(sequence);
        let mut reserved = reserved.lock().await;
        if value < parameters.min || value > parameters.max {
            return Err(SqlError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {value} is out of bounds for sequence ({}..{})",
                    parameters.min, parameters.max
                ),
            ));
        }
        *reserved = Reserved::default();
        let state = State { last: value, is_called };
        self.node.advance_sequence(sequence, &|_| Ok(state.encode())).await?;
        Ok(())
    }
}

/// The value after a state; `None` when the sequence is exhausted.
fn following(state: Option<State>, parameters: &Sequence) -> Option<i64> {
    match state {
        None => Some(parameters.start),
        Some(State { last, is_called: false }) => Some(last),
        Some(State { last, is_called: true }) => {
            match last
                .checked_add(parameters.increment)
                .filter(|next| (parameters.min..=parameters.max).contains(next))
            {
                Some(next) => Some(next),
                None if parameters.cycle && parameters.increment > 0 => Some(parameters.min),
                None if parameters.cycle => Some(parameters.max),
                None => None,
            }
        }
    }
}

/// A counter without bounds of its own, reserved in blocks: OIDs and row ids.
pub(crate) struct Counter {
    id: u32,
    block: u32,
    reserved: tokio::sync::Mutex<(i64, i64)>,
}

impl Counter {
    pub(crate) fn new(id: u32, block: u32) -> Self {
        Self {
            id,
            block,
            reserved: tokio::sync::Mutex::new((0, 0)),
        }
    }

    /// The next value, `first` or above.
    pub(crate) async fn next(&self, node: &Node, first: i64) -> SqlResult<i64> {
        let mut reserved = self.reserved.lock().await;
        if reserved.0 == reserved.1 {
            let start = Mutex::new(first);
            let advance = |bytes: Option<Vec<u8>>| {
                let state = bytes.map(|bytes| State::decode(&bytes)).transpose()?;
                let next = state.map_or(first, |state| state.last + 1);
                *start.lock() = next;
                Ok(State {
                    last: next + i64::from(self.block) - 1,
                    is_called: true,
                }
                .encode())
            };
            node.advance_sequence(self.id, &advance).await?;
            let start = start.into_inner();
            *reserved = (start, start + i64::from(self.block));
        }
        reserved.0 += 1;
        Ok(reserved.0 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Type;

    fn parameters(increment: i64, cycle: bool) -> Sequence {
        Sequence {
            ty: Type::INT8,
            start: 5,
            increment,
            min: 1,
            max: 10,
            cycle,
            cache: 1,
            owned_by: None,
        }
    }

    #[test]
    fn a_sequence_starts_at_start_and_ends_at_its_bound() {
        assert_eq!(following(None, &parameters(3, false)), Some(5));
        let at = |last| Some(State { last, is_called: true });
        assert_eq!(following(at(5), &parameters(3, false)), Some(8));
        assert_eq!(following(at(8), &parameters(3, false)), None);
        assert_eq!(following(at(8), &parameters(3, true)), Some(1));
        assert_eq!(following(at(2), &parameters(-3, true)), Some(10));
        assert_eq!(
            following(
                Some(State {
                    last: 7,
                    is_called: false
                }),
                &parameters(1, false)
            ),
            Some(7)
        );
    }

    #[test]
    fn state_survives_encoding() {
        let state = State {
            last: -42,
            is_called: true,
        };
        assert_eq!(State::decode(&state.encode()).expect("decodes"), state);
    }
}
