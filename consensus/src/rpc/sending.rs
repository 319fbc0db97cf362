//! Sending: the half of a connection that takes frames out of an [`Outbox`] whenever the other side can take some.

use std::hash::Hash;
use std::sync::Arc;

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::frame::Frame;
use super::grpc;
use super::outbox::{Outbox, Outgoing};

/// What waits to be sent over one connection.
pub(crate) struct Sending<L> {
    state: Mutex<State<L>>,
    wake: Notify,
}

struct State<L> {
    outbox: Outbox<L>,
    /// Hellos and refusals.
    first: Vec<Frame>,
    /// Whether both sides know who the other is: only then anything else goes out.
    is_open: bool,
    is_ended: bool,
}

impl<L: Clone + Eq + Hash + Send + 'static> Sending<L> {
    pub(crate) fn new() -> Arc<Sending<L>> {
        Arc::new(Sending {
            state: Mutex::new(State {
                outbox: Outbox::default(),
                first: Vec::new(),
                is_open: false,
                is_ended: false,
            }),
            wake: Notify::new(),
        })
    }

    /// Sends a hello or a refusal.
    pub(crate) fn say(&self, frame: Frame) {
        self.state.lock().first.push(frame);
        self.wake.notify_one();
    }

    /// Lets out what waits.
    pub(crate) fn open(&self) {
        self.state.lock().is_open = true;
        self.wake.notify_one();
    }

    /// Sends no more than what was said so far.
    pub(crate) fn end(&self) {
        self.state.lock().is_ended = true;
        self.wake.notify_one();
    }

    /// Puts a body into its lane.
    pub(crate) fn push(&self, lane: L, outgoing: Outgoing) {
        self.state.lock().outbox.push(lane, outgoing);
        self.wake.notify_one();
    }

    /// Gives up a request.
    pub(crate) fn cancel(&self, id: u64) {
        self.state.lock().outbox.cancel(id);
        self.wake.notify_one();
    }

    /// The messages, each put together when it is asked for.
    pub(crate) fn messages(self: &Arc<Self>) -> grpc::Outgoing {
        futures::stream::unfold(self.clone(), |sending| async move {
            let frames = sending.next().await?;
            Some((frames, sending))
        })
        .boxed()
    }

    async fn next(&self) -> Option<Vec<Frame>> {
        loop {
            {
                let mut state = self.state.lock();
                let mut frames = std::mem::take(&mut state.first);
                if state.is_open && !state.is_ended {
                    frames.extend(state.outbox.take());
                }
                if !frames.is_empty() {
                    return Some(frames);
                }
                if state.is_ended {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }
}
