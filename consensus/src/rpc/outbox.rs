//! Outbox: what waits to be sent to a node, and in what order it goes.
//!
//! ```text
//!   lane g3 appends    [a1 a2 a3]      ── first in, first out within a lane (C6)
//!   lane g3 heartbeats [h]             ── a piece of at most 64 KiB of each lane in turn
//!   lane g5 snapshot   [s s s s]
//!   lane 812           [question]      ── questions to services have a lane each
//! ```
//!
//! Whatever is chosen is chosen late, when the connection can take it, so that a heartbeat waits for one turn of the lanes
//! and not for the megabytes that were there before it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::frame::{Frame, Head, MESSAGE_BYTES, PIECE_BYTES};

/// A body to be sent.
pub(crate) struct Outgoing {
    pub(crate) id: u64,
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    /// Given back when all of it is sent.
    #[expect(dead_code, reason = "held until it is dropped")]
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

struct Lane {
    /// Of the first one, `sent` bytes are gone.
    queue: VecDeque<Outgoing>,
    sent: usize,
    has_begun: bool,
}

/// What waits to be sent.
pub(crate) struct Outbox<L> {
    lanes: HashMap<L, Lane>,
    /// Lanes that are not empty, in the order of their turns.
    turns: VecDeque<L>,
    /// The lane of each body that is not sent.
    of: HashMap<u64, L>,
    control: VecDeque<Frame>,
}

impl<L> Default for Outbox<L> {
    fn default() -> Outbox<L> {
        Outbox {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            of: HashMap::new(),
            control: VecDeque::new(),
        }
    }
}

impl<L: Clone + Eq + Hash> Outbox<L> {
    /// Puts a body at the end of its lane.
    pub(crate) fn push(&mut self, lane: L, outgoing: Outgoing) {
        self.of.insert(outgoing.id, lane.clone());
        let entry = self.lanes.entry(lane.clone()).or_insert_with(|| {
            self.turns.push_back(lane);
            Lane {
                queue: VecDeque::new(),
                sent: 0,
                has_begun: false,
            }
        });
        entry.queue.push_back(outgoing);
    }

    /// Takes a request back: nothing more of it is sent, and if something was, the other side is told.
    pub(crate) fn cancel(&mut self, id: u64) {
        let Some(key) = self.of.remove(&id) else {
            self.control.push_back(Frame::Cancel { id });
            return;
        };
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(place) = lane.queue.iter().position(|outgoing| outgoing.id == id) else {
            return;
        };
        lane.queue.remove(place);
        if place == 0 && std::mem::take(&mut lane.has_begun) {
            lane.sent = 0;
            self.control.push_back(Frame::Cancel { id });
        }
        if lane.queue.is_empty() {
            self.lanes.remove(&key);
            self.turns.retain(|turn| *turn != key);
        }
    }

    /// Takes what goes next, about a message full; empty if there is nothing.
    pub(crate) fn take(&mut self) -> Vec<Frame> {
        let mut frames: Vec<Frame> = self.control.drain(..).collect();
        let mut bytes: usize = frames.iter().map(Frame::size).sum();
        while bytes < MESSAGE_BYTES {
            let Some(frame) = self.turn() else { break };
            bytes += frame.size();
            frames.push(frame);
        }
        frames
    }

    /// The next piece of the next lane.
    fn turn(&mut self) -> Option<Frame> {
        let key = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let first = lane.queue.front()?;
        let end = first.body.len().min(lane.sent + PIECE_BYTES);
        let piece = first.body.slice(lane.sent..end);
        let id = first.id;
        let frame = if lane.has_begun {
            Frame::Piece { id, piece }
        } else {
            Frame::Begin {
                id,
                head: first.head,
                size: first.body.len() as u32,
                piece,
            }
        };
        let is_whole = end == first.body.len();
        lane.sent = if is_whole { 0 } else { end };
        lane.has_begun = !is_whole;
        if is_whole {
            lane.queue.pop_front();
            self.of.remove(&id);
        }
        if lane.queue.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::To;
    use super::*;
    use crate::types::GroupId;

    fn outgoing(id: u64, size: usize) -> Outgoing {
        Outgoing {
            id,
            head: Head::Request(To::Group(GroupId(1))),
            body: Bytes::from(vec![id as u8; size]),
            permit: None,
        }
    }

    fn ids(frames: &[Frame]) -> Vec<(u64, usize)> {
        let of = |frame: &Frame| match frame {
            Frame::Begin { id, piece, .. } | Frame::Piece { id, piece } => (*id, piece.len()),
            Frame::Cancel { id } => (*id, usize::MAX),
            Frame::Hello(_) | Frame::Refusal(_) => panic!("only requests are sent"),
        };
        frames.iter().map(of).collect()
    }

    #[test]
    fn lanes_take_turns_and_keep_their_order() {
        let mut outbox = Outbox::default();
        outbox.push("snapshot", outgoing(1, 10 * PIECE_BYTES));
        outbox.push("appends", outgoing(2, PIECE_BYTES + 1));
        outbox.push("appends", outgoing(3, 5));
        outbox.push("heartbeats", outgoing(4, 0));
        let p = PIECE_BYTES;
        assert_eq!(ids(&outbox.take()), [(1, p), (2, p), (4, 0), (1, p), (2, 1), (1, p)]);
        outbox.push("heartbeats", outgoing(5, 7));
        assert_eq!(ids(&outbox.take()), [(3, 5), (1, p), (5, 7), (1, p), (1, p), (1, p)]);
        assert_eq!(ids(&outbox.take()), [(1, p), (1, p), (1, p)]);
        assert_eq!(ids(&outbox.take()), []);
    }

    #[test]
    fn what_is_given_up_is_not_sent_and_what_was_sent_is_called_back() {
        let mut outbox = Outbox::default();
        outbox.push("a", outgoing(1, 8 * PIECE_BYTES));
        outbox.push("a", outgoing(2, 1));
        outbox.push("b", outgoing(3, 1));
        outbox.cancel(3);
        assert_eq!(ids(&outbox.take()).len(), 4, "a message of the first alone");
        outbox.cancel(1);
        assert_eq!(ids(&outbox.take()), [(1, usize::MAX), (2, 1)]);
        outbox.cancel(2);
        assert_eq!(
            ids(&outbox.take()),
            [(2, usize::MAX)],
            "it was sent and may be worked on"
        );
        outbox.push("a", outgoing(4, 1));
        outbox.cancel(4);
        assert_eq!(ids(&outbox.take()), []);
    }

    proptest! {
        #[test]
        fn bodies_of_a_lane_begin_in_order_and_arrive_whole(
            pushes in prop::collection::vec((0..4u8, 0..300_000usize, any::<bool>()), 1..20),
            cancelled in prop::collection::vec(0..20u64, 0..4),
        ) {
            let mut outbox = Outbox::default();
            let (mut begun, mut sizes) = (Vec::new(), HashMap::new());
            let mut take = |outbox: &mut Outbox<u8>| {
                let frames = outbox.take();
                for frame in &frames {
                    match frame {
                        Frame::Begin { id, size, piece, .. } => {
                            begun.push(*id);
                            sizes.insert(*id, *size as usize - piece.len());
                        }
                        Frame::Piece { id, piece } => *sizes.get_mut(id).unwrap() -= piece.len(),
                        Frame::Cancel { id } => drop(sizes.insert(*id, 0)),
                        Frame::Hello(_) | Frame::Refusal(_) => panic!("not pushed"),
                    }
                }
                !frames.is_empty()
            };
            for (id, (lane, size, is_taken)) in pushes.iter().enumerate() {
                outbox.push(*lane, outgoing(id as u64, *size));
                if *is_taken {
                    take(&mut outbox);
                }
            }
            for id in &cancelled {
                outbox.cancel(*id);
            }
            while take(&mut outbox) {}
            for lane in 0..4u8 {
                let of_lane: Vec<u64> = begun.iter().copied().filter(|id| pushes[*id as usize].0 == lane).collect();
                prop_assert!(of_lane.is_sorted());
            }
            prop_assert!(sizes.values().all(|rest| *rest == 0));
            let missing = (0..pushes.len() as u64).filter(|id| !begun.contains(id) && !cancelled.contains(id));
            prop_assert_eq!(missing.count(), 0);
            prop_assert!(outbox.lanes.is_empty() && outbox.of.is_empty());
        }
    }
}
