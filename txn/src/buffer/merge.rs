//! Merge: writes that were set aside and those in memory as one ordered sequence.

use std::iter::Peekable;

use super::spill::{Pages, Spilled, Writes};
use crate::TxnError;

/// Keys with all their writes, in order. What was set aside is older.
pub(super) struct Merge<W: Spilled, I: Iterator<Item = (W::Key, Writes<W>)>> {
    pages: Option<Pages<W>>,
    head: Option<(W::Key, Writes<W>)>,
    memory: Peekable<I>,
    reverse: bool,
}

impl<W: Spilled, I: Iterator<Item = (W::Key, Writes<W>)>> Merge<W, I> {
    pub(super) fn new(pages: Option<Pages<W>>, memory: I, reverse: bool) -> Self {
        Merge {
            pages,
            head: None,
            memory: memory.peekable(),
            reverse,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<(W::Key, Writes<W>)>, TxnError> {
        if self.head.is_none()
            && let Some(pages) = &mut self.pages
        {
            self.head = pages.next()?;
            if self.head.is_none() {
                self.pages = None;
            }
        }
        let Some((aside, _)) = &self.head else {
            return Ok(self.memory.next());
        };
        let Some((in_memory, _)) = self.memory.peek() else {
            return Ok(self.head.take());
        };
        let order = if self.reverse {
            in_memory.cmp(aside)
        } else {
            aside.cmp(in_memory)
        };
        match order {
            std::cmp::Ordering::Less => Ok(self.head.take()),
            std::cmp::Ordering::Greater => Ok(self.memory.next()),
            std::cmp::Ordering::Equal => {
                let newer = self.memory.next().map(|(_, writes)| writes).unwrap_or_default();
                Ok(self.head.take().map(|(key, mut writes)| {
                    writes.extend(newer);
                    (key, writes)
                }))
            }
        }
    }
}
