//! Orders: what may not be done twice is done once.
//!
//! A transaction asks one thing after the other of a shard, and numbers what it asks: its *order*. The leader remembers the
//! newest order of each transaction and what it answered.
//!
//! ```text
//!   order 7, first time      run it, keep the answer
//!   order 7, sent again      the answer, if there is one; otherwise the first run is stopped and undone, and it is run again
//!   order 6                  late: the transaction has gone on, nobody waits for an answer
//! ```
//! What belongs to a leader that leads no more needs no memory: its locks have fallen, and the epoch says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::message::Answer;
use crate::TxnError;
use crate::command::TransactionId;
use crate::interrupt::Interrupt;
use crate::placement::ShardId;

/// How long an answer is remembered for a repetition of its question.
const KEPT: Duration = Duration::from_secs(600);

type Key = (ShardId, TransactionId);

/// The newest order of each transaction of another node, on each shard led here.
#[derive(Default)]
pub(crate) struct Orders {
    newest: Mutex<HashMap<Key, Order>>,
    ended: Notify,
}

struct Order {
    number: u64,
    attempt: u32,
    stage: Stage,
    touched: Instant,
}

enum Stage {
    Running(Arc<Interrupt>),
    /// It was given up, or its connection broke: what it did may stand.
    Stopped,
    Answered(Box<Answer>),
}

/// What is to be done about a request.
pub(crate) enum Begin {
    /// Nobody waits for an answer.
    Late,
    /// It was done before.
    Answered(Answer),
    /// It is to be done; after undoing what a stopped run may have left, if `again`.
    Run { run: Run, again: bool },
}

/// A run of a request. Dropped without an answer it counts as stopped.
pub(crate) struct Run {
    orders: Arc<Orders>,
    key: Key,
    number: u64,
    attempt: u32,
    pub(crate) interrupt: Arc<Interrupt>,
}

enum Found {
    Late,
    Answered(Answer),
    Run { again: bool },
    Wait,
}

impl Orders {
    /// Begins what a transaction asks for. Whatever it asked for before and is still being done is stopped first.
    pub(crate) async fn begin(self: &Arc<Self>, key: Key, number: u64, attempt: u32) -> Begin {
        let interrupt = Arc::new(Interrupt::default());
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            match self.look(key, number, attempt, &interrupt) {
                Found::Late => return Begin::Late,
                Found::Answered(answer) => return Begin::Answered(answer),
                Found::Run { again } => {
                    let orders = self.clone();
                    let run = Run {
                        orders,
                        key,
                        number,
                        attempt,
                        interrupt,
                    };
                    return Begin::Run { run, again };
                }
                Found::Wait => ended.await,
            }
        }
    }

    fn look(&self, key: Key, number: u64, attempt: u32, interrupt: &Arc<Interrupt>) -> Found {
        let mut newest = self.newest.lock();
        let running = || Stage::Running(interrupt.clone());
        let Some(order) = newest.get_mut(&key) else {
            let order = Order {
                number,
                attempt,
                stage: running(),
                touched: Instant::now(),
            };
            newest.insert(key, order);
            return Found::Run { again: attempt > 0 };
        };
        if (number, attempt) < (order.number, order.attempt) {
            return match &order.stage {
                // The repetition came before what it repeats.
                Stage::Answered(answer) if order.number == number => Found::Answered((**answer).clone()),
                _ => Found::Late,
            };
        }
        let is_same = order.number == number;
        match &order.stage {
            Stage::Running(earlier) => {
                earlier.doom(TxnError::Cancelled);
                Found::Wait
            }
            Stage::Answered(answer) if is_same => Found::Answered((**answer).clone()),
            Stage::Answered(_) | Stage::Stopped => {
                *order = Order {
                    number,
                    attempt,
                    stage: running(),
                    touched: Instant::now(),
                };
                Found::Run { again: is_same }
            }
        }
    }

    /// Nothing of a transaction need be remembered: it has ended, and is refused for that.
    pub(crate) fn forget(&self, key: Key) {
        self.newest.lock().remove(&key);
        self.ended.notify_waiters();
    }

    /// Forgets what nobody will repeat any more.
    pub(crate) fn sweep(&self) {
        self.newest
            .lock()
            .retain(|_, order| matches!(order.stage, Stage::Running(_)) || order.touched.elapsed() < KEPT);
    }

    fn end(&self, run: &Run, stage: Stage) {
        let mut newest = self.newest.lock();
        if let Some(order) = newest.get_mut(&run.key)
            && (order.number, order.attempt) == (run.number, run.attempt)
            && matches!(order.stage, Stage::Running(_))
        {
            order.stage = stage;
            order.touched = Instant::now();
        }
        drop(newest);
        self.ended.notify_waiters();
    }
}

impl Run {
    /// Keeps the answer for whoever asks again.
    pub(crate) fn answer(self, answer: Answer) -> Answer {
        self.orders.end(&self, Stage::Answered(Box::new(answer.clone())));
        answer
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Without effect if it was answered.
        self.orders.end(self, Stage::Stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(orders: &Arc<Orders>, number: u64, attempt: u32) -> (Run, bool) {
        match orders.begin((1, 7), number, attempt).await {
            Begin::Run { run, again } => (run, again),
            Begin::Late | Begin::Answered(_) => panic!("it is to be run"),
        }
    }

    #[tokio::test]
    async fn a_repetition_gets_the_answer_and_what_is_late_gets_none() {
        let orders = Arc::new(Orders::default());
        let (first, again) = run(&orders, 3, 0).await;
        assert!(!again);
        first.answer(Answer::Done);
        assert!(matches!(
            orders.begin((1, 7), 3, 1).await,
            Begin::Answered(Answer::Done)
        ));
        assert!(matches!(orders.begin((1, 7), 2, 5).await, Begin::Late));
        let (next, again) = run(&orders, 4, 0).await;
        assert!(!again);
        next.answer(Answer::Done);
        assert!(matches!(orders.begin((1, 7), 3, 1).await, Begin::Late));
        assert!(matches!(orders.begin((1, 7), 4, 0).await, Begin::Answered(_)));
    }

    #[tokio::test]
    async fn a_repetition_stops_a_run_whose_asker_is_gone_and_runs_again() {
        let orders = Arc::new(Orders::default());
        let (first, _) = run(&orders, 3, 0).await;
        let second = orders.begin((1, 7), 3, 1);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        assert!(first.interrupt.check().is_err(), "it is told to stop");
        drop(first);
        match second.await {
            Begin::Run { again, .. } => assert!(again, "what the first did is undone"),
            Begin::Late | Begin::Answered(_) => panic!("nothing was answered"),
        }
    }

    #[tokio::test]
    async fn a_run_that_ends_after_all_answers_its_repetition() {
        let orders = Arc::new(Orders::default());
        let (first, _) = run(&orders, 3, 0).await;
        let second = orders.begin((1, 7), 3, 1);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        first.answer(Answer::Done);
        assert!(matches!(second.await, Begin::Answered(Answer::Done)));
    }
}
